//! Functions that run when a context is done.

use super::core::Core;
use super::entries::{Entry, Key};
use crate::spawn::Origin;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// A function, and where its goroutine belongs.
pub(super) struct Func {
    f: Box<dyn FnOnce() + Send>,
    /// In a box, to keep the tables of contexts that have many children small.
    origin: Box<Origin>,
}

impl Func {
    #[track_caller]
    pub(super) fn new(f: impl FnOnce() + Send + 'static) -> Self {
        Self { f: Box::new(f), origin: Box::new(Origin::here()) }
    }

    pub(super) fn start(self) {
        self.origin.start(self.f);
    }
}

/// The right to prevent a function from running; from [`Context::after_func`](super::Context::after_func).
///
/// Dropping it prevents nothing.
///
/// ```
/// use gosched::context::{Stop, background};
///
/// let ctx = background().with_cancel();
/// let stop: Stop = ctx.after_func(|| unreachable!());
/// assert!(stop.stop());
/// ctx.cancel();
/// ```
///
/// In Go: the `stop` function that `context.AfterFunc` returns.
pub struct Stop(Registration);

enum Registration {
    With(Weak<Core>, Key),
    /// The context is never done. Whether `stop` has been called.
    Never(AtomicBool),
    Started,
}

impl Stop {
    /// Prevents the function from running. True if it did so, false if the function has been started or was
    /// prevented before. It does not wait for a function that runs.
    ///
    /// ```
    /// let ctx = gosched::context::background().with_cancel();
    /// let stop = ctx.after_func(|| ());
    /// ctx.cancel();
    /// assert!(!stop.stop(), "it has been started");
    /// ```
    ///
    /// In Go: the `stop` function that `context.AfterFunc` returns.
    pub fn stop(&self) -> bool {
        match &self.0 {
            Registration::With(core, key) => {
                // The function is the user's: it is dropped here, after the lock.
                core.upgrade().is_some_and(|core| core.remove(*key).is_some())
            }
            Registration::Never(stopped) => !stopped.swap(true, Ordering::Relaxed),
            Registration::Started => false,
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}

/// Has `func` started when `core` is done: at once, if it is.
pub(super) fn register(core: Option<&Arc<Core>>, func: Func) -> Stop {
    let Some(core) = core else { return Stop(Registration::Never(AtomicBool::new(false))) };
    Stop(match core.add(Entry::Func(func)) {
        Ok(key) => Registration::With(Arc::downgrade(core), key),
        Err((entry, _)) => {
            if let Entry::Func(func) = entry {
                func.start();
            }
            Registration::Started
        }
    })
}
