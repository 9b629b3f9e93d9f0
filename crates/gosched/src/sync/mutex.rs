//! `Mutex`: `lock_api`'s front end on our [`RawMutex`], and its async form.

use super::raw_mutex::{Acquire, RawMutex};
use crate::wait::circles::{self, Way};
use crate::wait::{Place, WaitReason, wait_deadline, wait_for};
use lock_api::GuardSend;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Mutual exclusion between goroutines, threads and async tasks. A goroutine that must wait gives its
/// worker to others meanwhile.
///
/// The data is reached through the guard of [`lock`](lock_api::Mutex::lock),
/// [`try_lock`](lock_api::Mutex::try_lock), `try_lock_for`, `try_lock_until` or
/// [`lock_async`](LockAsync::lock_async); dropping the guard unlocks. `new` is `const`.
///
/// # Fairness
///
/// Waiters are served first come first served, but a newcomer that finds the mutex free at the right moment
/// may overtake them. A waiter that lost this way after more than a millisecond gets the mutex handed to it
/// directly. `MutexGuard::unlock_fair` hands it over at once, `MutexGuard::bump` lets a waiter through.
///
/// # Panics
///
/// A panic while the guard is alive unlocks the mutex, and does not poison it. Locking never panics.
/// Locking a mutex twice in one goroutine waits for ever; [debug builds say so](crate::run#deadlocks).
///
/// # Cancellation
///
/// A `lock_async` future dropped at any moment takes neither the lock nor somebody's wake-up with it.
///
/// # Guards may be sent
///
/// `MutexGuard<T>` is `Send` where `T: Send`: the mutex belongs to whoever has the guard, not to a thread.
/// This is sound because nothing in [`RawMutex`] looks at the thread that unlocks. It is also needed: a
/// guard held across an `.await` of a stackless goroutine travels between workers with its future, and so
/// does one on a stack in migrating mode.
///
/// # Example
///
/// ```
/// use gosched::sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
///
/// std::thread::scope(|s| {
///     for n in 1..=4 {
///         s.spawn(move || *TOTAL.lock() += n);
///     }
/// });
/// assert_eq!(*TOTAL.lock(), 10);
/// ```
///
/// In Go: `sync.Mutex`. Unlocking an unlocked one, fatal there, cannot be written here: a guard is what unlocks, and it
/// is used up by that.
///
/// ```compile_fail,E0382
/// let mutex = gosched::sync::Mutex::new(0);
/// let guard = mutex.lock();
/// drop(guard);
/// drop(guard); // once more
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// The right to use the data of a locked [`Mutex`]; unlocks when dropped.
///
/// ```
/// use gosched::sync::{Mutex, MutexGuard};
///
/// let m = Mutex::new(1);
/// let mut guard: MutexGuard<'_, i32> = m.lock();
/// *guard += 1;
/// // Lets whoever waits longest have it next.
/// MutexGuard::unlock_fair(guard);
/// assert_eq!(*m.lock(), 2);
/// ```
///
/// In Go: nothing; who locks calls `Unlock`.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// A [`MutexGuard`] for a part of the data, from `MutexGuard::map`.
///
/// ```
/// use gosched::sync::{MappedMutexGuard, Mutex, MutexGuard};
///
/// let m = Mutex::new((1, "one"));
/// let name: MappedMutexGuard<'_, &str> = MutexGuard::map(m.lock(), |pair| &mut pair.1);
/// assert_eq!(*name, "one");
/// ```
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

// SAFETY: the word is LOCKED from the moment somebody takes it until that one releases it or hands it over:
// `try_take` and its kin succeed only from a word without LOCKED (Acquire), `release` clears it (Release),
// and a hand-over synchronises through the waiter's state (Release, Acquire). The guard state is empty, so
// forgetting it does nothing, and the raw mutex may be moved or dropped while locked. `lock` unwinds only
// out of a wait whose `Acquire` then gives up or releases.
unsafe impl lock_api::RawMutex for RawMutex {
    // A constant is what the trait asks for, to start each new mutex from.
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self::unlocked();

    // The marker that makes guards `Send`: see `Mutex`.
    type Guard = GuardSend;

    #[inline]
    #[track_caller]
    fn lock(&self) -> GuardSend {
        if !self.try_take() {
            lock_slow(self);
        }
        circles::locked(self, Way::Alone);
        GuardSend::new()
    }

    #[inline]
    #[track_caller]
    fn try_lock(&self) -> Option<GuardSend> {
        guard_if(self, self.try_take())
    }

    #[inline]
    unsafe fn unlock(&self, _guard: GuardSend) {
        // SAFETY: passed on from our caller.
        unsafe { self.release() }
    }

    fn is_locked(&self) -> bool {
        self.is_taken()
    }
}

// SAFETY: as above; a fair unlock hands the lock over without releasing it.
unsafe impl lock_api::RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self, _guard: GuardSend) {
        // SAFETY: passed on from our caller.
        unsafe { self.release_fair() }
    }
}

// SAFETY: as above; a wait that timed out looks once more whether the lock was handed to it.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_for(&self, timeout: Duration) -> Option<GuardSend> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.try_lock_until(deadline),
            // Farther away than the clock can say: for ever.
            None => Some(lock_api::RawMutex::lock(self)),
        }
    }

    #[track_caller]
    fn try_lock_until(&self, deadline: Instant) -> Option<GuardSend> {
        guard_if(self, self.try_take() || lock_until_slow(self, deadline))
    }
}

#[inline]
#[track_caller]
fn guard_if(mutex: &RawMutex, taken: bool) -> Option<GuardSend> {
    taken.then(|| {
        circles::locked(mutex, Way::Alone);
        GuardSend::new()
    })
}

#[cold]
#[track_caller]
fn lock_slow(mutex: &RawMutex) {
    if !mutex.spin() {
        let _waiting = circles::waits_for_lock(WaitReason::MutexLock, mutex, Way::Alone);
        wait_for(WaitReason::MutexLock, pin!(mutex.acquire()));
    }
}

#[cold]
#[track_caller]
fn lock_until_slow(mutex: &RawMutex, deadline: Instant) -> bool {
    if mutex.spin() {
        return true;
    }
    let mut acquire = pin!(mutex.acquire());
    wait_deadline(WaitReason::MutexLock, acquire.as_mut(), deadline).is_some() || acquire.give_up()
}

/// The async form of locking, for [`Mutex`].
///
/// ```
/// use gosched::sync::{LockAsync, Mutex};
///
/// // For what may be locked by async code.
/// async fn count(hits: &impl LockAsync<Data = u32>) -> u32 {
///     let mut hits = hits.lock_async().await;
///     *hits += 1;
///     *hits
/// }
/// assert_eq!(gosched::wait(count(&Mutex::new(6))), 7);
/// ```
///
/// In Go: nothing; there every lock blocks a goroutine.
pub trait LockAsync {
    /// What the lock protects.
    type Data: ?Sized;

    /// A future that takes the lock and gives the guard. Nothing happens until it is polled.
    ///
    /// Dropping the future cancels it, at any moment, without losing the lock or anybody's wake-up. A
    /// guard may be held across `.await`, and moves between threads with the future that holds it.
    ///
    /// ```
    /// use gosched::sync::{LockAsync, Mutex};
    ///
    /// let m = Mutex::new(1);
    /// gosched::wait(async {
    ///     *m.lock_async().await += 1;
    /// });
    /// assert_eq!(m.into_inner(), 2);
    /// ```
    ///
    /// In Go: nothing; there every lock blocks a goroutine.
    fn lock_async(&self) -> LockFuture<'_, Self::Data>;
}

impl<T: ?Sized> LockAsync for Mutex<T> {
    type Data = T;

    #[track_caller]
    fn lock_async(&self) -> LockFuture<'_, T> {
        LockFuture { mutex: Some(self), acquire: raw(self).acquire(), place: Place::here() }
    }
}

/// Takes a [`Mutex`]; from [`LockAsync::lock_async`].
///
/// # Cancellation
///
/// Dropped at any moment it takes nothing with it: a lock that had come already is released, a wake-up passed on
/// to the next that waits.
///
/// # Example
///
/// ```
/// use gosched::sync::{LockAsync, Mutex};
/// use gosched::time::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let m = Mutex::new(());
/// let held = m.lock();
/// assert!(matches!(timeout(Duration::from_millis(1), m.lock_async()), Err(Elapsed)));
/// drop(held);
/// assert!(m.try_lock().is_some(), "who gave up took nothing with it");
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct LockFuture<'a, T: ?Sized> {
    /// `None` once the guard was given.
    mutex: Option<&'a Mutex<T>>,
    acquire: Acquire<'a>,
    place: Place,
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    /// # Panics
    ///
    /// When polled again after it gave the guard.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        // SAFETY: `acquire` is pinned with us: it is not moved, and its own `Drop` runs in place.
        let this = unsafe { self.get_unchecked_mut() };
        let mutex = this.mutex.expect("a lock future was polled after it was ready");
        // SAFETY: as above.
        match unsafe { Pin::new_unchecked(&mut this.acquire) }.poll(cx) {
            Poll::Pending => this.place.note(WaitReason::MutexLock, cx, Poll::Pending),
            Poll::Ready(()) => {
                this.mutex = None;
                circles::locked_at(raw(mutex), Way::Alone, this.place.at());
                // SAFETY: `acquire` has just taken the lock for us, and no guard was made of that yet.
                Poll::Ready(unsafe { mutex.make_guard_unchecked(GuardSend::new()) })
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture").field("done", &self.mutex.is_none()).finish()
    }
}

/// The lock inside a mutex. Inside the library only what waits for the lock, or gives back one that it
/// holds, uses it.
pub(super) fn raw<T: ?Sized>(mutex: &Mutex<T>) -> &RawMutex {
    // SAFETY: everyone here releases only what it took, or what a guard it was lent stands for.
    unsafe { mutex.raw() }
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}

    #[test]
    fn Y03_guards_and_lock_futures_may_be_sent() {
        assert_send::<Mutex<u8>>();
        assert_sync::<Mutex<std::cell::Cell<u8>>>();
        assert_send::<MutexGuard<'static, u8>>();
        assert_sync::<MutexGuard<'static, u8>>();
        assert_send::<LockFuture<'static, u8>>();
    }

    #[test]
    fn a_mutex_is_small() {
        assert!(size_of::<RawMutex>() <= 32, "{} bytes", size_of::<RawMutex>());
    }
}
