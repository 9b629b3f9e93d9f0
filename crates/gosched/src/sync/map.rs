//! `Map`: a concurrent map, Go's `sync.Map`, on papaya's hash table.
//!
//! papaya's readers take no lock; what they look at is kept alive by a guard that belongs to the *thread*. A
//! goroutine that suspended with such a guard would leave the thread marked as reading (pinned mode) or hand
//! the guard to another thread (migrating mode: unsound). So:
//!
//! - Guards exist inside [`Map::section`] only, which is never inlined (it touches papaya's thread-local) and
//!   runs under `no_suspend`: whatever blocks in there blocks the thread.
//! - In there runs no user code but `K`'s `Eq`, and `K`'s `Drop` when the table frees what was removed. Hashes
//!   are computed before. Values lie behind an `Arc` that is taken out of the table and is cloned, compared and
//!   dropped after the section.
//!
//! # Values go at once, keys later
//!
//! The table frees removed entries in batches, some time later. For a key that is harmless; a value may be a
//! channel's last `Sender`. So an entry *owns* its value in a cell that whoever removes the entry empties, and
//! readers reach it through a `Weak`. A reader that finds it gone has found an entry that was just removed or
//! replaced, and looks again.
//!
//! # `clear` at one instant
//!
//! papaya empties a table slot by slot, so a clear could take what was stored later and leave what was stored
//! earlier. Here each entry carries the generation in which it was stored, and those of an older generation
//! than the map's do not count. `clear` is one increment; what it made invalid is swept after that. An
//! operation that read the old generation before the increment and comes to the table after it
//!
//! - still sees the old entries, and writes one that nobody else will see: it counts as done just before the
//!   clear, with which it overlaps, together with all others of its kind, in the order in which they came to
//!   the table;
//! - starts over if it meets an entry of the new generation, or an old one that has been swept;
//! - sweeps what it wrote, since `clear` may have passed by there.

use crate::sys::lock::Spin;
use crate::wait::no_suspend;
use papaya::{Compute, Equivalent, LocalGuard, Operation};
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A map that goroutines, threads and async tasks share without a lock. Loads write nothing but the value's
/// reference count; operations on different keys do not wait for each other.
///
/// Values are cloned out: `V` is best something cheap to clone, such as an `Arc`. For a map with one writer, or
/// where several keys must change together, a [`Mutex`](super::Mutex) around an ordinary map is better.
///
/// # What happens when
///
/// - Each operation on one key takes effect at one instant between its call and its return, and so does
///   [`clear`](Map::clear). [`range`](Map::range) is no snapshot.
/// - What was done before a value was stored happens before the return of a load that finds it.
/// - A value that is replaced or removed is dropped at once, by whoever did it, unless a load is just cloning
///   it: then that load drops it. Keys of removed entries are dropped some time later, by another operation on
///   the map or with the map.
///
/// # User code
///
/// `Clone`, `PartialEq` and `Drop` of values, `Hash` of keys and the closure of `range` run outside of
/// everything: they may block, and may use the map. `Eq` and `Drop` of keys run while the operation looks at
/// the table, without a lock: they may use the map, but if they block, they block the thread as in
/// [`no_suspend`](crate::no_suspend), and memory is not given back meanwhile. A panic in a key's `Eq` is passed
/// on and may leak what was to be stored.
///
/// # Example
///
/// ```
/// use gosched::sync::Map;
/// use std::sync::Arc;
///
/// let hits = Arc::new(Map::new());
/// let (first, loaded) = hits.load_or_store("start", 1);
/// assert_eq!((first, loaded), (1, false));
/// hits.store("about", 7);
/// assert!(hits.compare_and_swap("start", &1, 2));
/// assert_eq!(hits.load("start"), Some(2));
/// hits.delete("about");
/// assert_eq!(hits.load("about"), None);
/// ```
///
/// In Go: `sync.Map`, with the same operations.
pub struct Map<K, V> {
    table: Table<K, V>,
    hasher: RandomState,
    /// Entries of an older one are as good as removed. See the module's head.
    generation: AtomicU64,
}

type Table<K, V> = papaya::HashMap<Key<K>, Slot<V>, BuildHasherDefault<Known>>;

/// A key with its hash.
pub(super) struct Key<K> {
    hash: u64,
    key: Arc<K>,
}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, key: self.key.clone() }
    }
}

impl<K> Hash for Key<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Eq> PartialEq for Key<K> {
    fn eq(&self, other: &Self) -> bool {
        // Most comparisons end at the hash or at the address.
        self.hash == other.hash && (Arc::ptr_eq(&self.key, &other.key) || self.key == other.key)
    }
}

impl<K: Eq> Eq for Key<K> {}

/// A key that is looked for, with its hash.
struct Lookup<'q, Q: ?Sized> {
    hash: u64,
    key: &'q Q,
}

impl<Q: ?Sized> Hash for Lookup<'_, Q> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Borrow<Q>, Q: Eq + ?Sized> Equivalent<Key<K>> for Lookup<'_, Q> {
    fn equivalent(&self, key: &Key<K>) -> bool {
        self.hash == key.hash && *self.key == *(*key.key).borrow()
    }
}

/// The table's hasher: the hash is known, from a `RandomState`.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys hash themselves to one u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What the table holds for a key.
struct Slot<V> {
    generation: u64,
    /// For readers. Dead once the entry was removed, replaced or swept.
    value: Weak<V>,
    /// What keeps the value alive. Emptied by whoever takes the entry out of the table, or sweeps it.
    owner: Spin<Option<Arc<V>>>,
}

impl<V> Slot<V> {
    fn new(generation: u64, value: &Arc<V>) -> Self {
        Self { generation, value: Arc::downgrade(value), owner: Spin::new(Some(value.clone())) }
    }

    /// Takes the value away from an entry that does not count any more. To be dropped outside of the section.
    fn retire(&self) -> Option<Arc<V>> {
        self.owner.lock().take()
    }
}

/// Values met in a section, to be dropped after it: each might be the last reference to it.
struct Seen<V> {
    now: Option<Arc<V>>,
    /// Of earlier rounds, when others were faster. Hardly ever filled.
    past: Vec<Arc<V>>,
}

impl<V> Seen<V> {
    fn new() -> Self {
        Self { now: None, past: Vec::new() }
    }

    fn set(&mut self, value: Option<Arc<V>>) {
        self.past.extend(std::mem::replace(&mut self.now, value));
    }
}

/// What [`Map::update`] did.
enum Update<V> {
    /// Stored; what was there before.
    Stored(Option<Arc<V>>),
    /// Not wanted; what is there.
    Kept(Option<Arc<V>>),
}

/// Why a closure of [`Map::update`] stored nothing.
enum Not {
    Wanted,
    /// The map was cleared meanwhile, or the entry is being replaced.
    Now,
}

impl<K, V> Map<K, V>
where
    K: Eq + Hash,
{
    /// An empty map. It allocates with the first store.
    pub fn new() -> Self {
        let table = papaya::HashMap::with_hasher(BuildHasherDefault::new());
        Self { table, hasher: RandomState::new(), generation: AtomicU64::new(0) }
    }

    /// The value of `key`.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// map.store("a".to_string(), 1);
    /// assert_eq!(map.load("a"), Some(1));
    /// assert_eq!(map.load("b"), None);
    /// ```
    ///
    /// In Go: `Load`.
    pub fn load<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        Some((*self.find(&self.lookup(key))?.1).clone())
    }

    /// Sets the value of `key`. In Go: `Store`.
    pub fn store(&self, key: K, value: V) {
        drop(self.update(&self.key(key), &Arc::new(value), |_| true));
    }

    /// The value of `key` and true if there is one; else stores `value`, and returns it and false.
    ///
    /// In Go: `LoadOrStore`.
    pub fn load_or_store(&self, key: K, value: V) -> (V, bool)
    where
        V: Clone,
    {
        let value = Arc::new(value);
        match self.load_or_store_shared(&self.key(key), &value) {
            Some(found) => (take(found), true),
            None => ((*value).clone(), false),
        }
    }

    /// Removes `key` and returns what it was.
    ///
    /// In Go: `LoadAndDelete`.
    pub fn load_and_delete<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        self.remove(&self.lookup(key), |_| true).map(take)
    }

    /// Removes `key`. In Go: `Delete`.
    pub fn delete<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        drop(self.remove(&self.lookup(key), |_| true));
    }

    /// Sets the value of `key` and returns what it was before.
    ///
    /// In Go: `Swap`.
    pub fn swap(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        match self.update(&self.key(key), &Arc::new(value), |_| true) {
            Update::Stored(previous) => previous.map(take),
            Update::Kept(_) => unreachable!("it was wanted"),
        }
    }

    /// Sets the value of `key` if it is equal to `old`. False if it is not, or if there is none.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// assert!(!map.compare_and_swap("a", &0, 1));
    /// map.store("a", 0);
    /// assert!(map.compare_and_swap("a", &0, 1));
    /// assert!(!map.compare_and_swap("a", &0, 2));
    /// ```
    ///
    /// In Go: `CompareAndSwap`, which panics if `old` cannot be compared; here the compiler says so.
    pub fn compare_and_swap<Q>(&self, key: &Q, old: &V, new: V) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: PartialEq,
    {
        let (lookup, new) = (self.lookup(key), Arc::new(new));
        // The values are compared here, the `Arc`s in the table: nobody's `eq` runs in there.
        while let Some((key, seen)) = self.find(&lookup) {
            if *seen != *old {
                return false;
            }
            let is_it = |now: Option<&Arc<V>>| now.is_some_and(|now| Arc::ptr_eq(now, &seen));
            if let Update::Stored(_) = self.update(&key, &new, is_it) {
                return true;
            }
        }
        false
    }

    /// Removes `key` if its value is equal to `old`. False if it is not, or if there is none.
    ///
    /// In Go: `CompareAndDelete`.
    pub fn compare_and_delete<Q>(&self, key: &Q, old: &V) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: PartialEq,
    {
        let lookup = self.lookup(key);
        while let Some((_, seen)) = self.find(&lookup) {
            if *seen != *old {
                return false;
            }
            if self.remove(&lookup, |now| Arc::ptr_eq(now, &seen)).is_some() {
                return true;
            }
        }
        false
    }

    /// Calls `f` for each key and its value until `f` returns false, in no particular order.
    ///
    /// No key is visited twice, and a key that is there during the whole call is visited. Otherwise it is no
    /// snapshot: keys stored after the call began may be missed, keys removed before their turn are left out,
    /// and the value is one that the key had at some moment of the call.
    ///
    /// Nothing is held while `f` runs: it may block, and may use the map. The keys are noted first, which takes
    /// time and memory in proportion to the map also if `f` stops early.
    ///
    /// ```
    /// let map = gosched::sync::Map::new();
    /// for n in 0..5 {
    ///     map.store(n, n * n);
    /// }
    /// let mut sum = 0;
    /// map.range(|_, square| {
    ///     sum += square;
    ///     true
    /// });
    /// assert_eq!(sum, 30);
    /// ```
    ///
    /// In Go: `Range`.
    pub fn range(&self, mut f: impl FnMut(&K, &V) -> bool) {
        for (key, generation, value) in self.entries() {
            let fresh = (generation == self.generation.load(Ordering::Acquire)).then(|| value.upgrade());
            // Else it was replaced or removed meanwhile.
            let Some(value) = fresh.flatten().or_else(|| self.find(&key).map(|(_, value)| value)) else {
                continue;
            };
            if !f(&key.key, &value) {
                return;
            }
        }
    }

    /// Removes everything, at one instant: an operation that overlaps with it comes before or after as a whole.
    ///
    /// In Go: `Clear`.
    pub fn clear(&self) {
        // AcqRel, and Acquire where it is read: who sees the new generation comes after the clear.
        let now = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        let mut swept = Vec::new();
        self.section(|table, guard| {
            table.retain(
                |_, slot| {
                    let keep = slot.generation >= now;
                    if !keep {
                        swept.extend(slot.retire());
                    }
                    keep
                },
                guard,
            );
        });
        drop(swept);
    }

    // ---- what the operations are made of ----

    /// Runs `f` with a guard for the table. Not inlined, and nothing in it suspends: see the module's head.
    #[inline(never)]
    fn section<R>(&self, f: impl FnOnce(&Table<K, V>, &LocalGuard<'_>) -> R) -> R {
        no_suspend(|| {
            let guard = self.table.guard();
            f(&self.table, &guard)
        })
    }

    fn lookup<'q, Q: Hash + ?Sized>(&self, key: &'q Q) -> Lookup<'q, Q> {
        Lookup { hash: self.hasher.hash_one(key), key }
    }

    pub(super) fn key(&self, key: K) -> Key<K> {
        Key { hash: self.hasher.hash_one(&key), key: Arc::new(key) }
    }

    /// The key and value that are there.
    fn find<L>(&self, lookup: &L) -> Option<(Key<K>, Arc<V>)>
    where
        L: Equivalent<Key<K>> + Hash,
    {
        enum Found<K, V> {
            Nothing,
            It(Key<K>, Arc<V>),
            Gone,
        }
        loop {
            let found = self.section(|table, guard| {
                let Some((key, slot)) = table.get_key_value(lookup, guard) else { return Found::Nothing };
                // After the entry: if it counts now, it counted when it was found. If not, then either it did
                // not when it was found, or the clear came since, right after which there was nothing.
                if slot.generation != self.generation.load(Ordering::Acquire) {
                    return Found::Nothing;
                }
                slot.value.upgrade().map_or(Found::Gone, |value| Found::It(key.clone(), value))
            });
            match found {
                Found::Nothing => return None,
                Found::It(key, value) => return Some((key, value)),
                Found::Gone => {}
            }
        }
    }

    /// Stores `value` if `wanted`, asked with what is there, says so. `wanted` runs in the section.
    fn update(&self, key: &Key<K>, value: &Arc<V>, wanted: impl Fn(Option<&Arc<V>>) -> bool) -> Update<V> {
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            let mut seen = Seen::new();
            let (result, retired) = self.section(|table, guard| {
                let decide = |entry: Option<(&Key<K>, &Slot<V>)>| {
                    seen.set(None);
                    if let Some((_, slot)) = entry {
                        if slot.generation > generation {
                            return Operation::Abort(Not::Now);
                        }
                        if slot.generation == generation {
                            let Some(value) = slot.value.upgrade() else { return Operation::Abort(Not::Now) };
                            seen.set(Some(value));
                        }
                    }
                    match wanted(seen.now.as_ref()) {
                        true => Operation::Insert(Slot::new(generation, value)),
                        false => Operation::Abort(Not::Wanted),
                    }
                };
                match table.compute(key.clone(), decide, guard) {
                    // Whatever was seen in an earlier round is no more.
                    Compute::Inserted(..) => (Ok(false), None),
                    Compute::Updated { old: (_, slot), .. } => (Ok(true), slot.retire()),
                    Compute::Aborted(why) => (Err(why), None),
                    Compute::Removed(..) => unreachable!("it never asks to remove"),
                }
            });
            drop(retired);
            match result {
                Ok(replaced) => {
                    if self.generation.load(Ordering::Acquire) != generation {
                        self.sweep(key);
                    }
                    return Update::Stored(seen.now.take().filter(|_| replaced));
                }
                Err(Not::Wanted) => return Update::Kept(seen.now.take()),
                Err(Not::Now) => {}
            }
        }
    }

    /// Removes the entry if there is one that counts and `wanted` says so; what it was. `wanted` runs in the
    /// section.
    fn remove<L>(&self, lookup: &L, wanted: impl Fn(&Arc<V>) -> bool) -> Option<Arc<V>>
    where
        L: Equivalent<Key<K>> + Hash,
    {
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            let (mut seen, mut again) = (Seen::new(), false);
            let (removed, retired) = self.section(|table, guard| {
                let decide = |_: &Key<K>, slot: &Slot<V>| {
                    seen.set(None);
                    again = false;
                    if slot.generation < generation {
                        return true;
                    }
                    let value = slot.value.upgrade().filter(|_| slot.generation == generation);
                    again = value.is_none();
                    let yes = value.as_ref().is_some_and(&wanted);
                    seen.set(value);
                    yes
                };
                match table.remove_if(lookup, decide, guard) {
                    Ok(Some((_, slot))) => (true, slot.retire()),
                    // It had gone in between, whatever was decided before that.
                    Ok(None) => {
                        again = false;
                        (false, None)
                    }
                    Err(_) => (false, None),
                }
            });
            drop(retired);
            if !again {
                return seen.now.take().filter(|_| removed);
            }
        }
    }

    /// Removes an entry that an operation wrote which a clear has overtaken.
    #[cold]
    fn sweep(&self, key: &Key<K>) {
        let now = self.generation.load(Ordering::Acquire);
        let swept =
            self.section(|table, guard| match table.remove_if(key, |_, slot| slot.generation < now, guard) {
                Ok(Some((_, slot))) => slot.retire(),
                Ok(None) | Err(_) => None,
            });
        drop(swept);
    }

    /// What the map holds, each key once.
    fn entries(&self) -> Vec<(Key<K>, u64, Weak<V>)> {
        let mut entries = Vec::new();
        self.section(|table, guard| {
            entries.reserve(table.len());
            for (key, slot) in table.iter(guard) {
                entries.push((key.clone(), slot.generation, slot.value.clone()));
            }
        });
        // A key that was removed and stored again on the way may have been met in both places. Equal keys have
        // equal hashes, and there are hardly ever more than two of those.
        entries.sort_unstable_by_key(|(key, ..)| key.hash);
        let mut unique: Vec<(Key<K>, u64, Weak<V>)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let same_hash = unique.iter().rev().take_while(|(key, ..)| key.hash == entry.0.hash);
            if same_hash.into_iter().all(|(key, ..)| *key != entry.0) {
                unique.push(entry);
            }
        }
        unique
    }

    // ---- for `SingleFlight` ----

    /// What is stored for `key`; if nothing is, `value` is from now on.
    pub(super) fn load_or_store_shared(&self, key: &Key<K>, value: &Arc<V>) -> Option<Arc<V>> {
        match self.update(key, value, |now| now.is_none()) {
            Update::Stored(_) => None,
            Update::Kept(found) => found,
        }
    }

    /// What is stored for `key`.
    pub(super) fn load_shared(&self, key: &Key<K>) -> Option<Arc<V>> {
        self.find(key).map(|(_, value)| value)
    }

    /// Removes `key` if `value`, that very one, is stored for it.
    pub(super) fn delete_shared(&self, key: &Key<K>, value: &Arc<V>) {
        drop(self.remove(key, |now| Arc::ptr_eq(now, value)));
    }
}

/// The value itself if nobody else is looking at it, else a clone.
fn take<V: Clone>(value: Arc<V>) -> V {
    Arc::try_unwrap(value).unwrap_or_else(|shared| (*shared).clone())
}

impl<K: Eq + Hash, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash + fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.range(|key, value| {
            map.entry(key, value);
            true
        });
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn assert_send_sync<T: Send + Sync>() {}

    #[test]
    fn a_map_may_be_shared() {
        assert_send_sync::<Map<String, Vec<u8>>>();
    }

    #[test]
    fn what_a_clear_overtook_is_swept() {
        let map = Map::new();
        // As if `update` had read the generation before a clear that is over by now.
        let (key, value) = (map.key(1), Arc::new("late"));
        map.section(|table, guard| {
            table.insert(key.clone(), Slot::new(0, &value), guard);
        });
        map.generation.fetch_add(1, Ordering::AcqRel);
        assert_eq!(map.load(&1), None);
        assert_eq!(map.load_and_delete(&1), None);
        map.section(|table, guard| {
            assert!(table.is_empty(), "an old entry that is met is removed");
            table.insert(key.clone(), Slot::new(0, &value), guard);
        });
        map.sweep(&key);
        assert_eq!(Arc::strong_count(&value), 1, "nothing of it is left");
        assert_eq!(map.load_or_store(1, "new"), ("new", false));
    }

    #[test]
    fn keys_of_equal_hash_are_told_apart() {
        /// Each third key has the same hash; counts how often keys are hashed.
        #[derive(PartialEq, Eq, Debug)]
        struct Third(u32);
        thread_local!(static HASHED: Cell<u32> = const { Cell::new(0) });
        impl Hash for Third {
            fn hash<H: Hasher>(&self, state: &mut H) {
                HASHED.set(HASHED.get() + 1);
                (self.0 % 3).hash(state);
            }
        }
        let map = Map::new();
        for n in 0..300 {
            map.store(Third(n), n);
        }
        assert_eq!(HASHED.get(), 300, "growing asks nobody for a hash again");
        let mut seen: Vec<u32> = Vec::new();
        map.range(|key, n| {
            assert_eq!(key.0, *n);
            seen.push(*n);
            true
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        assert_eq!(map.load(&Third(150)), Some(150));
    }
}
