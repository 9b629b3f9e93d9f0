//! `Pool`: things that are dear to make and can be used again.
//!
//! A number of shards, each a short list behind its own lock. A worker of a runtime uses the shard of its
//! number, a plain thread that of a number of its own, so the lock is hardly ever waited for and the list stays
//! in that processor's cache. Which shard is only a hint: a goroutine may be on another worker the next moment,
//! and nothing but speed depends on it.

use crate::sys::lock::Spin;
use crate::task::context;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most items that one shard keeps.
const PER_SHARD: usize = 64;
/// Most shards.
const MOST_SHARDS: usize = 64;

/// A store of things that are dear to make, shared by all: buffers, encoders, connections to nothing.
///
/// `get` returns something that was put back, or makes a new one with the function given to [`new`](Pool::new).
/// Each worker of a runtime has its own small stock, so goroutines get and put without waiting for each other;
/// who finds its own stock empty takes from the others'.
///
/// # What becomes of an item
///
/// Which item comes is not promised. An item is dropped instead of kept
///
/// - by `put` (and by a guard's drop) when the caller's stock is full: 64 items per worker;
/// - by [`clear`](Pool::clear), and with the pool;
/// - by the drop of a guard while the thread unwinds: a panic may have left it half changed.
///
/// Nothing else makes items vanish, in particular no time. `get` may miss an item that is being put at the
/// same moment. Items are dropped and made by the caller, outside of any lock.
///
/// # Panics
///
/// A panic of the function that makes new ones is passed on.
///
/// # Example
///
/// ```
/// use gosched::sync::Pool;
///
/// static BUFFERS: Pool<Vec<u8>> = Pool::new(Vec::new);
///
/// let mut buffer = BUFFERS.get_guard();
/// buffer.clear();
/// buffer.extend_from_slice(b"hello");
/// drop(buffer);
/// assert_eq!(*BUFFERS.get_guard(), b"hello", "things come back as they were left");
/// ```
///
/// In Go: `sync.Pool`, whose items the garbage collector takes away; here the stocks are bounded instead.
pub struct Pool<T, F = fn() -> T> {
    new: F,
    shards: Shards<T>,
}

/// Made at the first use, so that a pool can be a static.
struct Shards<T>(OnceLock<Box<[CachePadded<Shard<T>>]>>);

struct Shard<T> {
    /// How many are in `items`, for those who look for a shard to take from. Written under the lock.
    len: AtomicUsize,
    /// The latest at the back. Its owner takes that one, which is in its cache; others take the oldest.
    items: Spin<VecDeque<T>>,
}

impl<T> Shard<T> {
    fn new() -> Self {
        Self { len: AtomicUsize::new(0), items: Spin::new(VecDeque::new()) }
    }

    fn put(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock();
        if items.len() >= PER_SHARD {
            return Err(item);
        }
        items.push_back(item);
        self.len.store(items.len(), Ordering::Relaxed);
        Ok(())
    }

    fn take(&self, which: impl FnOnce(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        // Without the lock: what was put before this call, in the order of things, is seen here.
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut items = self.items.lock();
        let item = which(&mut items);
        self.len.store(items.len(), Ordering::Relaxed);
        item
    }
}

impl<T> Shards<T> {
    fn all(&self) -> &[CachePadded<Shard<T>>] {
        self.0.get_or_init(|| (0..shard_count()).map(|_| CachePadded::new(Shard::new())).collect())
    }

    /// For the caller with the number `who`.
    fn put(&self, who: usize, item: T) -> Result<(), T> {
        let shards = self.all();
        // The number of shards is a power of two.
        shards[who & (shards.len() - 1)].put(item)
    }

    /// For the caller with the number `who`.
    fn take(&self, who: usize) -> Option<T> {
        let shards = self.all();
        let mask = shards.len() - 1;
        let own = shards[who & mask].take(VecDeque::pop_back);
        own.or_else(|| (1..=mask).find_map(|i| shards[(who + i) & mask].take(VecDeque::pop_front)))
    }

    fn drain(&self) -> Vec<VecDeque<T>> {
        let Some(shards) = self.0.get() else { return Vec::new() };
        shards
            .iter()
            .map(|shard| {
                let mut items = shard.items.lock();
                shard.len.store(0, Ordering::Relaxed);
                std::mem::take(&mut *items)
            })
            .collect()
    }
}

/// A power of two, at least as many as there are processors.
fn shard_count() -> usize {
    // Asked once: it reads files.
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        processors.max(4).next_power_of_two().min(MOST_SHARDS)
    })
}

/// The number of the caller: that of its worker, or of its thread.
fn who() -> usize {
    context().map_or_else(thread_number, |context| context.index as usize)
}

/// Not inlined: in migrating mode no function may keep the address of a thread-local across a blocking call.
#[inline(never)]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });
    if NUMBER.get() == 0 {
        NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.get()
}

impl<T, F: Fn() -> T> Pool<T, F> {
    /// An empty pool, in which `new` makes what is missing.
    ///
    /// In Go: a `Pool` with `New`.
    pub const fn new(new: F) -> Self {
        Self { new, shards: Shards(OnceLock::new()) }
    }

    /// An item: one that was put back, or else a new one. The caller gives it back with [`put`](Pool::put), or
    /// keeps it.
    ///
    /// ```
    /// let pool = gosched::sync::Pool::new(|| String::from("new"));
    /// let item = pool.get();
    /// assert_eq!(item, "new");
    /// pool.put(item);
    /// ```
    ///
    /// In Go: `Get`.
    pub fn get(&self) -> T {
        self.try_get().unwrap_or_else(&self.new)
    }

    /// [`get`](Pool::get), with a guard that puts the item back when it is dropped.
    ///
    /// ```
    /// let pool = gosched::sync::Pool::new(Vec::<u8>::new);
    /// pool.get_guard().push(1);
    /// assert_eq!(pool.try_get(), Some(vec![1]));
    /// ```
    pub fn get_guard(&self) -> PoolGuard<'_, T> {
        PoolGuard { item: ManuallyDrop::new(self.get()), shards: &self.shards }
    }
}

impl<T, F> Pool<T, F> {
    /// An item that was put back, if one is found.
    ///
    /// ```
    /// let pool = gosched::sync::Pool::new(|| 0);
    /// assert_eq!(pool.try_get(), None);
    /// pool.put(7);
    /// assert_eq!(pool.try_get(), Some(7));
    /// ```
    ///
    /// In Go: `Get` of a `Pool` without `New`.
    pub fn try_get(&self) -> Option<T> {
        self.shards.take(who())
    }

    /// Gives an item to the pool; it need not have come from there. Dropped if the caller's stock is full.
    ///
    /// In Go: `Put`.
    pub fn put(&self, item: T) {
        drop(self.shards.put(who(), item));
    }

    /// Drops all items that are in the pool.
    ///
    /// ```
    /// let pool = gosched::sync::Pool::new(|| 0);
    /// pool.put(7);
    /// pool.clear();
    /// assert_eq!(pool.try_get(), None);
    /// ```
    pub fn clear(&self) {
        drop(self.shards.drain());
    }
}

impl<T, F> fmt::Debug for Pool<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.shards.0.get().map_or(&[][..], |shards| shards);
        let items: usize = shards.iter().map(|shard| shard.len.load(Ordering::Relaxed)).sum();
        f.debug_struct("Pool").field("items", &items).finish_non_exhaustive()
    }
}

/// An item of a [`Pool`], which goes back when this is dropped. From [`Pool::get_guard`].
///
/// Dropped while the thread unwinds, it drops the item instead.
///
/// ```
/// use gosched::sync::{Pool, PoolGuard};
///
/// let pool = Pool::new(|| 0);
/// let mut guard = pool.get_guard();
/// *guard = 7;
/// let kept = PoolGuard::detach(guard);
/// assert_eq!((kept, pool.try_get()), (7, None));
/// ```
#[must_use = "the item goes back to the pool when the guard is dropped"]
pub struct PoolGuard<'p, T> {
    /// Taken out by `detach` or `drop`, whichever comes.
    item: ManuallyDrop<T>,
    shards: &'p Shards<T>,
}

impl<T> PoolGuard<'_, T> {
    /// The item, which does not go back by itself.
    pub fn detach(guard: Self) -> T {
        let mut guard = ManuallyDrop::new(guard);
        // SAFETY: the guard is not dropped, so this is the only time the item is taken.
        unsafe { ManuallyDrop::take(&mut guard.item) }
    }
}

impl<T> Deref for PoolGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for PoolGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T> Drop for PoolGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the guard goes now, so this is the only time the item is taken; `detach` forgets the guard.
        let item = unsafe { ManuallyDrop::take(&mut self.item) };
        if std::thread::panicking() {
            drop(item);
        } else {
            drop(self.shards.put(who(), item));
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn Y28_own_items_come_latest_first_and_others_lose_their_oldest() {
        let shards = Shards(OnceLock::new());
        for n in 0..6 {
            shards.put(1, n).unwrap();
        }
        assert_eq!(shards.take(1), Some(5));
        assert_eq!(shards.take(2), Some(0));
        assert_eq!(shards.take(3), Some(1));
        assert_eq!(shards.take(1), Some(4));
        shards.put(2, 9).unwrap();
        assert_eq!(shards.take(2), Some(9), "one's own come before others'");
        assert_eq!(shards.take(2), Some(2));
        assert_eq!(shards.take(2), Some(3));
        assert_eq!(shards.take(2), None);
    }

    #[test]
    fn Y27_a_stock_is_bounded() {
        let shards = Shards(OnceLock::new());
        for n in 0..PER_SHARD {
            shards.put(1, n).unwrap();
        }
        assert_eq!(shards.put(1, 1000), Err(1000));
        assert_eq!(shards.put(2, 1000), Ok(()), "another's is not full");
        assert_eq!(shards.drain().iter().map(VecDeque::len).sum::<usize>(), PER_SHARD + 1);
        assert_eq!(shards.take(1), None);
    }
}
