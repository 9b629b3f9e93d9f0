//! A queue that one thread has for itself: goroutines that are pinned to a worker.
//!
//! ```text
//!   head ──► first item ──► next ──► ... ──► last item ◄── tail
//! ```
//!
//! While `head` is empty, `tail` means nothing. Linking the items allocates nothing, however many they are.

use super::Linked;
use std::cell::Cell;

/// The queue.
pub(crate) struct Fifo<T: Linked> {
    head: Cell<Option<T>>,
    tail: Cell<Option<T>>,
}

impl<T: Linked> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self { head: Cell::new(None), tail: Cell::new(None) }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// Adds an item at the tail.
    #[inline]
    pub(crate) fn push(&self, item: T) {
        item.set_link(None);
        match self.tail.replace(Some(item)) {
            Some(last) if !self.is_empty() => last.set_link(Some(item)),
            _ => self.head.set(Some(item)),
        }
    }

    /// Takes the item at the head.
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        let first = self.head.get()?;
        self.head.set(first.link());
        Some(first)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::Item;
    use super::*;

    #[test]
    fn first_in_is_first_out_also_after_it_was_empty() {
        let queue = Fifo::new();
        for round in 0..3 {
            assert!(queue.is_empty());
            (0..4).for_each(|n| queue.push(Item::new(round * 10 + n)));
            queue.push(queue.pop().unwrap());
            let got: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|item| item.0.value % 10).collect();
            assert_eq!(got, [1, 2, 3, 0]);
        }
    }
}
