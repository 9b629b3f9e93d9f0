//! A one-byte lock for critical sections of a few dozen instructions.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | free |
//! | 1 | held |
//!
//! Taking it is one compare-and-swap, leaving it one store: half the price of a lock that must ask, on
//! its way out, whether somebody sleeps. Nobody sleeps here: a waiter spins, then gives its processor
//! away, and sleeps for short times only when the holder has been taken off its processor for long.
//!
//! Rules for what runs under it (TRAPS): no user code, hence no waker is cloned, woken or dropped and no
//! user's value is dropped; no allocation that can panic between two halves of an invariant; never a
//! suspension.

use super::prim::UnsafeCell;
use std::ops::{Deref, DerefMut};

#[cfg(not(loom))]
pub(crate) use spin::RawSpin;

#[cfg(loom)]
pub(crate) use model::RawSpin;

#[cfg(not(loom))]
mod spin {
    use super::super::prim::{AtomicBool, Ordering, spin_hint, yield_thread};

    /// Logarithm of the most spins between two looks: some hundred nanoseconds.
    const LONGEST_PAUSE: u32 = 7;

    /// The lock without its data, for `select`, which holds several at once in the order of their addresses.
    #[derive(Debug)]
    pub(crate) struct RawSpin {
        held: AtomicBool,
    }

    impl RawSpin {
        pub(crate) const fn new() -> Self {
            Self { held: AtomicBool::new(false) }
        }

        #[inline]
        fn try_lock(&self) -> bool {
            // Acquire: pairs with the release in `unlock`, so that we see what the last holder wrote.
            self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        }

        #[inline]
        pub(crate) fn lock(&self) {
            if !self.try_lock() {
                self.lock_slow();
            }
        }

        #[cold]
        fn lock_slow(&self) {
            let mut round = 0u32;
            loop {
                // Longer and longer between two looks: each look takes the cache line away from the holder, who pays
                // for it with every lock and unlock. Left alone, it gets through dozens of critical sections.
                match round {
                    0..=200 => (0..1u32 << round.min(LONGEST_PAUSE)).for_each(|_| spin_hint()),
                    201..=1000 => yield_thread(),
                    // The holder was taken off its processor: stay out of its way.
                    _ => std::thread::sleep(std::time::Duration::from_micros(50)),
                }
                if !self.held.load(Ordering::Relaxed) && self.try_lock() {
                    return;
                }
                round += 1;
            }
        }

        /// # Safety
        ///
        /// The caller holds the lock.
        #[inline]
        pub(crate) unsafe fn unlock(&self) {
            self.held.store(false, Ordering::Release);
        }
    }
}

/// Under loom a lock that blocks: spinning would make every model explode.
#[cfg(loom)]
mod model {
    use std::cell::UnsafeCell;

    #[derive(Debug)]
    pub(crate) struct RawSpin {
        lock: loom::sync::Mutex<()>,
        /// The guard of the present holder, and written by it alone.
        guard: UnsafeCell<Option<loom::sync::MutexGuard<'static, ()>>>,
    }

    // SAFETY: the guard is touched only by whoever holds the lock.
    unsafe impl Sync for RawSpin {}
    // SAFETY: as above.
    unsafe impl Send for RawSpin {}

    impl RawSpin {
        pub(crate) fn new() -> Self {
            Self { lock: loom::sync::Mutex::new(()), guard: UnsafeCell::new(None) }
        }

        pub(crate) fn lock(&self) {
            let guard = self.lock.lock().expect("loom's locks are not poisoned");
            // SAFETY: the lifetime is erased; the guard is dropped by `unlock`, before the lock is.
            let guard = unsafe {
                std::mem::transmute::<loom::sync::MutexGuard<'_, ()>, loom::sync::MutexGuard<'static, ()>>(
                    guard,
                )
            };
            // SAFETY: we hold the lock.
            unsafe { *self.guard.get() = Some(guard) };
        }

        /// # Safety
        ///
        /// The caller holds the lock.
        pub(crate) unsafe fn unlock(&self) {
            // SAFETY: the caller holds the lock. Taken out first: dropping it lets the next one in.
            let guard = unsafe { (*self.guard.get()).take() };
            drop(guard);
        }
    }
}

/// A value behind a [`RawSpin`].
#[derive(Debug)]
pub(crate) struct Spin<T> {
    raw: RawSpin,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one thread at a time reach the value, so sharing it only moves `T` between threads.
unsafe impl<T: Send> Sync for Spin<T> {}
// SAFETY: sending the lock sends the value.
unsafe impl<T: Send> Send for Spin<T> {}

impl<T> Spin<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self { raw: RawSpin::new(), value: UnsafeCell::new(value) }
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self { raw: RawSpin::new(), value: UnsafeCell::new(value) }
    }

    /// Takes the lock until the guard is dropped.
    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T> {
        self.raw.lock();
        SpinGuard { lock: self }
    }

    /// The bare lock, for callers that hold several at once.
    #[inline]
    pub(crate) fn raw(&self) -> &RawSpin {
        &self.raw
    }

    /// Reaches the value of a lock that is already held.
    ///
    /// # Safety
    ///
    /// The caller holds [`Spin::raw`] and makes no second reference while `f` runs.
    #[inline]
    pub(crate) unsafe fn with_held<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller holds the lock and promises that this is the only reference.
        self.value.with_mut(|value| f(unsafe { &mut *value }))
    }
}

/// The right to use the value of a [`Spin`].
#[derive(Debug)]
pub(crate) struct SpinGuard<'a, T> {
    lock: &'a Spin<T>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, and hands out references no longer than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes this reference the only one.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard holds the lock.
        unsafe { self.lock.raw.unlock() }
    }
}
