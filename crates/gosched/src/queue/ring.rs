//! A worker's own run queue: a bounded ring with one producer, its owner, and any number of consumers.
//!
//! ```text
//!   head ──► next item to take; moved by whoever takes, with a compare-and-swap
//!   tail ──► next free place; moved by the owner alone, with a store
//!   items in [head, tail), counted modulo 2^32; the place of number n is n % CAPACITY
//! ```
//!
//! A thief copies half of the items into its own ring first and then claims them by moving `head`; if somebody
//! was faster, the copies are simply forgotten (they lie beyond the thief's `tail`). Places are atomics, so a
//! thief that reads a place just being reused reads a wrong item, not a torn one, and its claim then fails:
//! the owner reuses a place only after `head` has passed it.
//!
//! Orderings: `tail`'s release store publishes the items to thieves (acquire). `head`'s release by a consumer
//! tells the owner (acquire) that the consumer has read the place. The claim is acquire, too, so that a
//! consumer that follows another sees what it did.

use super::Linked;
use crate::sys::prim::{AtomicPtr, AtomicU32, Ordering};

/// Places in a ring, as in Go. Small under loom, so that wrapping round is explored.
#[cfg(not(loom))]
pub(crate) const CAPACITY: u32 = 256;
/// Places in a ring, as in Go. Small under loom, so that wrapping round is explored.
#[cfg(loom)]
pub(crate) const CAPACITY: u32 = 4;

/// A number of items to move, made even: goroutines that are made one after the other often talk to each other, and
/// two that end up on different workers pay a hundred times more for it.
#[inline]
pub(crate) fn in_pairs(count: u32) -> u32 {
    if count > 1 { count & !1 } else { count }
}

/// The ring.
pub(crate) struct Ring<T: Linked> {
    head: AtomicU32,
    tail: AtomicU32,
    places: Box<[AtomicPtr<T::Target>]>,
}

// SAFETY: items are moved between threads through atomics only.
unsafe impl<T: Linked + Send> Sync for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Linked + Send> Send for Ring<T> {}

impl<T: Linked> Ring<T> {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            places: (0..CAPACITY).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect(),
        }
    }

    #[inline]
    fn place(&self, number: u32) -> &AtomicPtr<T::Target> {
        &self.places[(number % CAPACITY) as usize]
    }

    #[inline]
    fn item(&self, number: u32) -> T {
        // SAFETY: only pointers of items are ever put into a place, and callers read places in [head, tail),
        // which have been written.
        unsafe { T::from_ptr(self.place(number).load(Ordering::Relaxed)) }
    }

    /// How many items it holds, roughly unless the owner asks and nobody steals.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // Head first: it never passes the tail, so the difference is not negative.
        let head = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::SeqCst).wrapping_sub(head).min(CAPACITY)
    }

    /// The owner's glance between two goroutines.
    #[inline]
    pub(crate) fn seems_empty(&self) -> bool {
        self.tail.load(Ordering::Relaxed) == self.head.load(Ordering::Relaxed)
    }

    /// Adds an item at the tail; gives it back when the ring is full. Only for the owner.
    #[inline]
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail.wrapping_sub(self.head.load(Ordering::Acquire)) >= CAPACITY {
            return Err(item);
        }
        self.place(tail).store(item.into_ptr(), Ordering::Relaxed);
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Takes the item at the head. Only for the owner.
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        let tail = self.tail.load(Ordering::Relaxed);
        loop {
            let head = self.head.load(Ordering::Acquire);
            if head == tail {
                return None;
            }
            let item = self.item(head);
            if self.claim(head, 1) {
                return Some(item);
            }
        }
    }

    /// Takes the item at the head. For anybody.
    #[cold]
    pub(crate) fn take(&self) -> Option<T> {
        loop {
            // Head first, as in `len`: what lies between it and a later tail has been written.
            let head = self.head.load(Ordering::Acquire);
            if self.tail.load(Ordering::Acquire) == head {
                return None;
            }
            let item = self.item(head);
            if self.claim(head, 1) {
                return Some(item);
            }
        }
    }

    #[inline]
    fn claim(&self, head: u32, count: u32) -> bool {
        let next = head.wrapping_add(count);
        self.head.compare_exchange(head, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the older half out of a full ring: the overflow. Only for the owner. Calls `f` for each item, in
    /// order, and returns how many there were (none if thieves have made room meanwhile).
    #[cold]
    pub(crate) fn take_half(&self, mut f: impl FnMut(T)) -> u32 {
        let head = self.head.load(Ordering::Acquire);
        let count = self.tail.load(Ordering::Relaxed).wrapping_sub(head) / 2;
        if count == 0 || count > CAPACITY / 2 {
            return 0;
        }
        let items: Vec<T> = (0..count).map(|i| self.item(head.wrapping_add(i))).collect();
        if !self.claim(head, count) {
            return 0;
        }
        items.into_iter().for_each(&mut f);
        count
    }

    /// Steals half of the items (rounded up, in pairs), puts them into `own`, the caller's ring, and returns the oldest.
    /// `own` must have room for half a ring.
    pub(crate) fn steal_half(&self, own: &Ring<T>) -> Option<T> {
        self.steal(own, |held| in_pairs(held - held / 2))
    }

    /// Steals all of the items, if they fit into half a ring. Else as [`Ring::steal_half`].
    pub(crate) fn steal_all(&self, own: &Ring<T>) -> Option<T> {
        self.steal(own, |held| if held <= CAPACITY / 2 { held } else { in_pairs(held - held / 2) })
    }

    fn steal(&self, own: &Ring<T>, how_many: impl Fn(u32) -> u32) -> Option<T> {
        let own_tail = own.tail.load(Ordering::Relaxed);
        debug_assert!(own_tail.wrapping_sub(own.head.load(Ordering::Acquire)) <= CAPACITY / 2);
        loop {
            let head = self.head.load(Ordering::Acquire);
            let held = self.tail.load(Ordering::Acquire).wrapping_sub(head);
            let count = how_many(held);
            if count == 0 {
                return None;
            }
            if count > CAPACITY / 2 {
                // `head` moved on between the two loads: look again.
                continue;
            }
            let first = self.item(head);
            for i in 1..count {
                let item = self.place(head.wrapping_add(i)).load(Ordering::Relaxed);
                own.place(own_tail.wrapping_add(i - 1)).store(item, Ordering::Relaxed);
            }
            if self.claim(head, count) {
                own.tail.store(own_tail.wrapping_add(count - 1), Ordering::Release);
                return Some(first);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
#[allow(non_snake_case)]
mod tests {
    use super::super::testing::Item;
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn G19_items_come_out_in_order_and_256_fit() {
        let ring = Ring::new();
        for n in 0..3 * CAPACITY as usize {
            assert!(ring.push(Item::new(n)).is_ok());
            assert_eq!(ring.pop().map(|item| item.0.value), Some(n));
        }
        for n in 0..CAPACITY as usize {
            assert!(ring.push(Item::new(n)).is_ok());
        }
        assert_eq!(ring.push(Item::new(999)).err().map(|item| item.0.value), Some(999));
        assert_eq!(ring.len(), CAPACITY);
    }

    #[test]
    fn G22_overflow_takes_the_older_half() {
        let ring = Ring::new();
        for n in 0..CAPACITY as usize {
            assert!(ring.push(Item::new(n)).is_ok());
        }
        let mut taken = Vec::new();
        assert_eq!(ring.take_half(|item| taken.push(item.0.value)), CAPACITY / 2);
        assert_eq!(taken, (0..CAPACITY as usize / 2).collect::<Vec<_>>());
        assert_eq!(ring.pop().map(|item| item.0.value), Some(CAPACITY as usize / 2));
    }

    #[test]
    fn G26_thieves_take_half_and_nothing_is_lost_or_doubled() {
        const ITEMS: usize = 50_000;
        let victim = Ring::new();
        let seen: Vec<_> = (0..ITEMS).map(|_| AtomicUsize::new(0)).collect();
        let left = AtomicUsize::new(ITEMS);
        let note = |item: Item| {
            seen[item.0.value].fetch_add(1, Ordering::Relaxed);
            left.fetch_sub(1, Ordering::Relaxed);
        };
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let own = Ring::new();
                    while left.load(Ordering::Relaxed) > 0 {
                        match victim.steal_half(&own) {
                            Some(item) => {
                                note(item);
                                while let Some(item) = own.pop() {
                                    note(item);
                                }
                            }
                            None => std::thread::yield_now(),
                        }
                    }
                });
            }
            for n in 0..ITEMS {
                let mut item = Item::new(n);
                while let Err(back) = victim.push(item) {
                    item = back;
                    victim.pop().into_iter().for_each(&note);
                }
            }
            while left.load(Ordering::Relaxed) > 0 {
                match victim.pop() {
                    Some(item) => note(item),
                    None => std::thread::yield_now(),
                }
            }
        });
        assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::super::testing::Item;
    use super::*;
    use loom::sync::Arc;

    /// The owner pushes and pops while somebody takes one by one, as a shutdown does: each item comes out once.
    #[test]
    fn loom_ring_take_against_owner() {
        loom::model(|| {
            let ring = Arc::new(Ring::<Item>::new());
            assert!(ring.push(Item::new(0)).is_ok());
            let taker = {
                let ring = ring.clone();
                loom::thread::spawn(move || {
                    std::iter::from_fn(|| ring.take()).map(|item| item.0.value).collect::<Vec<_>>()
                })
            };
            let mut got: Vec<_> = ring.pop().into_iter().map(|item| item.0.value).collect();
            for n in 1..3 {
                assert!(ring.push(Item::new(n)).is_ok());
            }
            got.extend(std::iter::from_fn(|| ring.pop()).map(|item| item.0.value));
            got.extend(taker.join().unwrap());
            got.extend(std::iter::from_fn(|| ring.pop()).map(|item| item.0.value));
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2]);
        });
    }

    /// The owner pushes, pops and wraps round while a thief steals: each item comes out once.
    #[test]
    fn loom_ring_steal_against_owner() {
        loom::model(|| {
            let ring = Arc::new(Ring::<Item>::new());
            for n in 0..2 {
                assert!(ring.push(Item::new(n)).is_ok());
            }
            let thief = {
                let ring = ring.clone();
                loom::thread::spawn(move || {
                    let own = Ring::new();
                    let mut got = Vec::new();
                    if let Some(item) = ring.steal_half(&own) {
                        got.push(item.0.value);
                        while let Some(item) = own.pop() {
                            got.push(item.0.value);
                        }
                    }
                    got
                })
            };
            let mut got = Vec::new();
            got.extend(ring.pop().map(|item| item.0.value));
            for n in 2..4 {
                assert!(ring.push(Item::new(n)).is_ok());
            }
            while let Some(item) = ring.pop() {
                got.push(item.0.value);
            }
            got.extend(thief.join().unwrap());
            // What the thief left behind after our last look.
            while let Some(item) = ring.pop() {
                got.push(item.0.value);
            }
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2, 3]);
        });
    }
}
