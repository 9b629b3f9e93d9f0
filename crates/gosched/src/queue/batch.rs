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
        self.head.store(first.map_or(std::ptr::null_mut(), T::into_ptr), Ordering::SeqCst);
    }

    /// Takes the whole chain.
    pub(crate) fn take(&self) -> Option<T> {
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
