//! Items that a worker took off the injector at once and runs one by one.
//!
//! ```text
//!   head ──► first item ──► next ──► ...      null: empty
//! ```
//!
//! Everybody takes the whole chain, with a swap; the owner puts the rest back. So nobody follows a link that somebody
//! else may change, and a thief gets items that were made one after the other in one piece.

use super::Linked;
use crate::sys::prim::{AtomicPtr, Ordering};

/// The chain.
pub(crate) struct Batch<T: Linked> {
    head: AtomicPtr<T::Target>,
}

impl<T: Linked> Batch<T> {
    pub(crate) fn new() -> Self {
        Self { head: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Sequentially consistent, for the workers' last look before they sleep.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::SeqCst).is_null()
    }

    /// Puts a chain into an empty batch. Only for the owner.
    pub(crate) fn put(&self, first: Option<T>) {
        // Release: whoever takes the chain sees its links. SeqCst: pairs with `is_empty`.
        let old = self.head.swap(first.map_or(std::ptr::null_mut(), T::into_ptr), Ordering::SeqCst);
        debug_assert!(old.is_null(), "only the owner puts, into an empty batch");
    }

    /// Takes the whole chain.
    pub(crate) fn take(&self) -> Option<T> {
        // Thieves come often, and mostly for nothing: a look takes the cache line from nobody.
        if self.head.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let head = self.head.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: only pointers of items are ever put here.
        (!head.is_null()).then(|| unsafe { T::from_ptr(head) })
    }

    /// Takes the first item. Only for the owner.
    pub(crate) fn pop(&self) -> Option<T> {
        let first = self.take()?;
        let rest = first.link();
        if rest.is_some() {
            self.put(rest);
        }
        Some(first)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::Item;
    use super::*;

    #[test]
    fn items_come_out_in_order_or_all_at_once() {
        let chain: Vec<_> = (0..3).map(Item::new).collect();
        chain[0].set_link(Some(chain[1]));
        chain[1].set_link(Some(chain[2]));
        let batch = Batch::new();
        assert!(batch.is_empty());
        batch.put(Some(chain[0]));
        assert_eq!(batch.pop().map(|item| item.0.value), Some(0));
        assert!(!batch.is_empty());
        let rest = std::iter::successors(batch.take(), |item| item.link()).map(|item| item.0.value);
        assert_eq!(rest.collect::<Vec<_>>(), [1, 2]);
        assert!(batch.is_empty() && batch.pop().is_none());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::super::testing::Item;
    use super::*;
    use loom::sync::Arc;

    /// The owner takes one after the other while a thief takes all: each item comes out once.
    #[test]
    fn loom_batch_pop_against_take() {
        loom::model(|| {
            let chain: Vec<_> = (0..3).map(Item::new).collect();
            chain[0].set_link(Some(chain[1]));
            chain[1].set_link(Some(chain[2]));
            let batch = Arc::new(Batch::new());
            batch.put(Some(chain[0]));
            let thief = {
                let batch = batch.clone();
                loom::thread::spawn(move || {
                    std::iter::successors(batch.take(), |item: &Item| item.link())
                        .map(|item| item.0.value)
                        .collect::<Vec<_>>()
                })
            };
            let mut got: Vec<_> = std::iter::from_fn(|| batch.pop()).map(|item| item.0.value).collect();
            got.extend(thief.join().unwrap());
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2]);
        });
    }
}
