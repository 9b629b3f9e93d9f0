//! Words and locks of what belongs to the process: always std's, also under `--cfg loom`.
//!
//! A loom model runs its closure many times and forgets its atomics in between, and loom's constructors
//! are not `const`. Stack slabs, signal handlers and cached threads outlive any model and live in statics,
//! so they use these. Everything that a model is about uses [`prim`](super::prim).

#[cfg(gosched_tsan)]
pub(crate) use sanitized::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::Once;
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32};
#[cfg(not(gosched_tsan))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;

/// Locks, whatever became of earlier holders: no user code runs under the locks of this library, and what
/// can panic there comes before the first change, so a poisoned one still holds a sound value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lock and condition variable for a build under ThreadSanitizer (`--cfg gosched_tsan`, set by `.ci/tsan`).
///
/// The std of an ordinary nightly is not instrumented: of its locks the sanitizer sees the half that is inlined
/// into our code, and reports what the other half orders. These are instrumented like the rest of the library.
/// They wait by giving the processor away, and may wake for nothing.
#[cfg(gosched_tsan)]
pub(crate) mod sanitized {
    use crate::sys::lock::RawSpin;
    use std::cell::UnsafeCell;
    use std::ops::{Deref, DerefMut};
    use std::sync::LockResult;
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) struct Mutex<T> {
        raw: RawSpin,
        value: UnsafeCell<T>,
    }

    // SAFETY: the lock lets one thread at a time reach the value.
    unsafe impl<T: Send> Sync for Mutex<T> {}

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self { raw: RawSpin::new(), value: UnsafeCell::new(value) }
        }

        pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            self.raw.lock();
            Ok(MutexGuard { mutex: self })
        }
    }

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            // SAFETY: the guard holds the lock.
            unsafe { &*self.mutex.value.get() }
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: the guard holds the lock, and is borrowed alone.
            unsafe { &mut *self.mutex.value.get() }
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            // SAFETY: the guard holds the lock.
            unsafe { self.mutex.raw.unlock() }
        }
    }

    /// It always woke for nothing: the callers look at the time themselves.
    pub(crate) struct Woken;

    impl Woken {
        pub(crate) fn timed_out(&self) -> bool {
            false
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar;

    impl Condvar {
        pub(crate) const fn new() -> Self {
            Self
        }

        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
            let mutex = guard.mutex;
            drop(guard);
            std::thread::sleep(Duration::from_micros(200));
            mutex.lock()
        }

        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            limit: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, Woken)> {
            let mutex = guard.mutex;
            drop(guard);
            std::thread::sleep(limit.min(Duration::from_micros(200)));
            mutex.lock().map(|guard| (guard, Woken)).map_err(|_| unreachable!("never poisoned"))
        }

        pub(crate) fn notify_one(&self) {}
    }
}
