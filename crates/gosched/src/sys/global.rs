//! Words and locks of what belongs to the process: always std's, also under `--cfg loom`.
//!
//! A loom model runs its closure many times and forgets its atomics in between, and loom's constructors
//! are not `const`. Stack slabs, signal handlers and cached threads outlive any model and live in statics,
//! so they use these. Everything that a model is about uses [`prim`](super::prim).

pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, Once, OnceLock};

use std::sync::PoisonError;

/// Locks, whatever became of earlier holders: no user code runs under the locks of this library, and what
/// can panic there comes before the first change, so a poisoned one still holds a sound value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
