//! The queue of the whole runtime: what comes from outside, and what overflows a worker's ring.
//!
//! A linked list under a short lock. It is off the hot path: workers look here every 61st tick, and when they
//! have nothing of their own.

use super::Linked;
use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicUsize, Ordering};

struct List<T> {
    head: Option<T>,
    tail: Option<T>,
}

/// The queue.
pub(crate) struct Injector<T: Linked> {
    list: Spin<List<T>>,
    /// The length, also readable without the lock. Written under it.
    len: AtomicUsize,
}

impl<T: Linked> Injector<T> {
    pub(crate) fn new() -> Self {
        Self { list: Spin::new(List { head: None, tail: None }), len: AtomicUsize::new(0) }
    }

    /// How many items it holds. Sequentially consistent, for the workers' last look before they sleep.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// Adds an item at the tail.
    pub(crate) fn push(&self, item: T) {
        self.push_chain(item, item, 1);
    }

    /// Adds `count` items that are linked from `first` to `last`.
    pub(crate) fn push_chain(&self, first: T, last: T, count: usize) {
        last.set_link(None);
        let mut list = self.list.lock();
        match list.tail {
            Some(tail) => tail.set_link(Some(first)),
            None => list.head = Some(first),
        }
        list.tail = Some(last);
        // SeqCst: pairs with `len` in the workers' last look before they sleep.
        self.len.fetch_add(count, Ordering::SeqCst);
    }

    /// Takes the item at the head.
    pub(crate) fn pop(&self) -> Option<T> {
        if self.len() == 0 {
            return None;
        }
        let mut list = self.list.lock();
        let head = list.head?;
        list.head = head.link();
        if list.head.is_none() {
            list.tail = None;
        }
        self.len.fetch_sub(1, Ordering::SeqCst);
        Some(head)
    }

    /// Takes one worker's share (Go's G24): `min(limit, len, len / workers + 1)` items (in pairs), still linked.
    pub(crate) fn take_share(&self, workers: usize, limit: usize) -> Option<T> {
        let len = self.len();
        let share = super::ring::in_pairs(limit.min(len).min(len / workers + 1) as u32);
        self.detach(share as usize)
    }

    /// Takes up to `count` items off the head, still linked, in one critical section: two workers that come at the
    /// same time must not get every other item.
    fn detach(&self, count: usize) -> Option<T> {
        let mut list = self.list.lock();
        let first = list.head.filter(|_| count > 0)?;
        let (mut last, mut taken) = (first, 1);
        while taken < count
            && let Some(next) = last.link()
        {
            last = next;
            taken += 1;
        }
        list.head = last.link();
        if list.head.is_none() {
            list.tail = None;
        }
        last.set_link(None);
        self.len.fetch_sub(taken, Ordering::SeqCst);
        Some(first)
    }
}

#[cfg(all(test, not(loom)))]
#[allow(non_snake_case)]
mod tests {
    use super::super::testing::Item;
    use super::*;

    fn drain(queue: &Injector<Item>) -> Vec<usize> {
        std::iter::from_fn(|| queue.pop()).map(|item| item.0.value).collect()
    }

    #[test]
    fn items_and_chains_come_out_in_order() {
        let queue = Injector::new();
        queue.push(Item::new(0));
        let chain: Vec<_> = (1..4).map(Item::new).collect();
        chain[0].set_link(Some(chain[1]));
        chain[1].set_link(Some(chain[2]));
        queue.push_chain(chain[0], chain[2], 3);
        queue.push(Item::new(4));
        assert_eq!(queue.len(), 5);
        assert_eq!(drain(&queue), [0, 1, 2, 3, 4]);
        assert_eq!(queue.len(), 0);
        queue.push(Item::new(5));
        assert_eq!(drain(&queue), [5]);
    }

    #[test]
    fn G24_a_share_is_a_fair_part_of_the_global_queue() {
        let queue = Injector::new();
        (0..100).map(Item::new).for_each(|item| queue.push(item));
        let length = |first| std::iter::successors(first, |item: &Item| item.link()).count();
        assert_eq!(length(queue.take_share(4, 128)), 26);
        assert_eq!(length(queue.take_share(1, 10)), 10);
        assert_eq!(queue.len(), 64);
    }
}
