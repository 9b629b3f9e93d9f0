//! Values that say what has become of them, and errors to fail with.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A value that is counted while it lives, by whoever holds the counter: an `Arc`, or a reference.
#[derive(Debug)]
pub(crate) struct Counted<C: Deref<Target = AtomicUsize> = Arc<AtomicUsize>>(C);

impl<C: Deref<Target = AtomicUsize>> Counted<C> {
    pub(crate) fn new(live: C) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(live)
    }
}

impl<C: Deref<Target = AtomicUsize> + Clone> Clone for Counted<C> {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl<C: Deref<Target = AtomicUsize>> Drop for Counted<C> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts how many of it have been dropped.
pub(crate) struct CountsDrops(pub(crate) Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Raises its flag when it is dropped.
pub(crate) struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A value, and whether it has been dropped.
pub(crate) fn flag() -> (Flag, Arc<AtomicBool>) {
    let raised = Arc::new(AtomicBool::new(false));
    (Flag(raised.clone()), raised)
}

/// An error with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) usize);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} has failed", self.0)
    }
}

impl std::error::Error for Failed {}
