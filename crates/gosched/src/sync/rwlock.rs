//! `RwLock`: `lock_api`'s front end on our [`RawRwLock`], and its async forms.

use super::raw_rwlock::{AcquireRead, AcquireWrite, RawRwLock};
use crate::wait::circles::{self, Way};
use crate::wait::{Place, WaitReason, wait_deadline, wait_for};
use lock_api::GuardSend;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A lock that many readers or one writer may have, for goroutines, threads and async tasks. A goroutine that
/// must wait gives its worker to others meanwhile.
///
/// The data is reached through the guards of [`read`](lock_api::RwLock::read) and
/// [`write`](lock_api::RwLock::write), of `try_read`, `try_write`, their `_for` and `_until` forms, or of
/// [`read_async`](RwLockAsync::read_async) and [`write_async`](RwLockAsync::write_async); dropping a guard
/// unlocks. `new` is `const`. `RwLockWriteGuard::downgrade` makes a reader of a writer, with no writer in
/// between; there is no way up.
///
/// # Fairness
///
/// - A waiting writer keeps new readers out until it has had the lock: `try_read` fails then, and `read` waits.
/// - When a writer unlocks (or downgrades), all readers that wait enter, before any other writer. A `write` that comes before
///   all of those have run lets them run first, for some 100 µs and a turn, and only then is a writer that waits.
/// - Among writers, one that finds the lock free at the right moment may overtake those that wait; whoever lost
///   so after more than a millisecond gets the lock handed to it. `unlock_fair` hands it over at once.
///
/// So neither readers nor writers starve.
///
/// # Deadlocks
///
/// A goroutine that reads must not ask to read again: a writer that came in between would wait for the first
/// guard, and the second `read` for the writer. Nor may it ask to write.
///
/// # Panics
///
/// A panic while a guard is alive unlocks, and does not poison. Locking panics only when more than some
/// 2<sup>58</sup> (on 32 bits, 2<sup>26</sup>) read guards are alive or were forgotten.
///
/// # Cancellation
///
/// A future of `read_async` or `write_async` dropped at any moment takes neither the lock nor somebody's wake-up
/// with it; when a waiting writer is dropped, the readers that it kept out enter.
///
/// # Guards may be sent
///
/// As [`Mutex`](super::Mutex)'s: the lock belongs to whoever has the guard, not to a thread.
///
/// # Example
///
/// ```
/// use gosched::sync::RwLock;
///
/// static NAMES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
///
/// NAMES.write().push("gopher");
/// let (one, another) = (NAMES.read(), NAMES.read());
/// assert_eq!(one[0], another[0]);
/// ```
///
/// In Go: `sync.RWMutex`. `RLocker` is a closure that calls `read` here. Unlocking what is not locked, fatal
/// there, cannot be written.
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;

/// The right to read the data of a [`RwLock`]; unlocks when dropped.
///
/// ```
/// use gosched::sync::{RwLock, RwLockReadGuard};
///
/// let lock = RwLock::new(1);
/// let guard: RwLockReadGuard<'_, i32> = lock.read();
/// assert_eq!(*guard, 1);
/// assert!(lock.try_write().is_none());
/// ```
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;

/// The right to use the data of a [`RwLock`] alone; unlocks when dropped.
///
/// ```
/// use gosched::sync::{RwLock, RwLockWriteGuard};
///
/// let lock = RwLock::new(1);
/// let mut guard: RwLockWriteGuard<'_, i32> = lock.write();
/// *guard += 1;
/// // No writer comes in between.
/// let guard = RwLockWriteGuard::downgrade(guard);
/// assert_eq!((*guard, *lock.read()), (2, 2));
/// ```
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;

/// A [`RwLockReadGuard`] for a part of the data, from `RwLockReadGuard::map`.
///
/// ```
/// use gosched::sync::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
///
/// let lock = RwLock::new((1, "one"));
/// let name: MappedRwLockReadGuard<'_, &str> = RwLockReadGuard::map(lock.read(), |pair| &pair.1);
/// assert_eq!(*name, "one");
/// ```
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;

/// A [`RwLockWriteGuard`] for a part of the data, from `RwLockWriteGuard::map`.
///
/// ```
/// use gosched::sync::{MappedRwLockWriteGuard, RwLock, RwLockWriteGuard};
///
/// let lock = RwLock::new((1, "one"));
/// let mut name: MappedRwLockWriteGuard<'_, &str> = RwLockWriteGuard::map(lock.write(), |pair| &mut pair.1);
/// *name = "uno";
/// ```
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

// SAFETY: the word says WRITING from the moment a writer takes it until that one releases it or passes it on,
// and counts each reader from before it is let in until it releases; a writer enters only where neither is
// (Acquire), readers only where no writer is (Acquire), and releases are Release; who is let in by another
// synchronises through its node. The guard states are empty, so forgetting them does nothing, and the raw lock
// may be moved or dropped while locked. Locking unwinds only out of a wait whose future then gives up or
// releases, or before the count is changed.
unsafe impl lock_api::RawRwLock for RawRwLock {
    // A constant is what the trait asks for, to start each new lock from.
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self::unlocked();

    // The marker that makes guards `Send`: see `RwLock`.
    type SharedGuard = GuardSend;
    type ExclusiveGuard = GuardSend;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) -> GuardSend {
        if !self.try_take_read() {
            read_slow(self);
        }
        circles::locked(self, Way::Shared);
        GuardSend::new()
    }

    #[inline]
    #[track_caller]
    fn try_lock_shared(&self) -> Option<GuardSend> {
        guard_if(self, Way::Shared, self.try_take_read())
    }

    #[inline]
    unsafe fn unlock_shared(&self, _guard: GuardSend) {
        // SAFETY: passed on from our caller.
        unsafe { self.release_read() }
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) -> GuardSend {
        if !self.try_take_write() {
            write_slow(self);
        }
        circles::locked(self, Way::Alone);
        GuardSend::new()
    }

    #[inline]
    #[track_caller]
    fn try_lock_exclusive(&self) -> Option<GuardSend> {
        guard_if(self, Way::Alone, self.try_take_write())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, _guard: GuardSend) {
        // SAFETY: passed on from our caller.
        unsafe { self.release_write() }
    }

    fn is_locked(&self) -> bool {
        self.is_taken()
    }

    fn is_locked_exclusive(&self) -> bool {
        self.is_written()
    }
}

// SAFETY: as above; a fair unlock passes the lock on without freeing it.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    unsafe fn unlock_shared_fair(&self, _guard: GuardSend) {
        // SAFETY: passed on from our caller.
        unsafe { self.release_read_fair() }
    }

    unsafe fn unlock_exclusive_fair(&self, _guard: GuardSend) {
        // SAFETY: passed on from our caller.
        unsafe { self.release_write_fair() }
    }
}

// SAFETY: as above; the one step from WRITING to one reader is a Release.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self, guard: GuardSend) -> GuardSend {
        // SAFETY: passed on from our caller.
        unsafe { self.downgrade_write() };
        guard
    }
}

// SAFETY: as above; a wait that timed out looks once more whether the lock has come.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: Duration) -> Option<GuardSend> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.try_lock_shared_until(deadline),
            // Farther away than the clock can say: for ever.
            None => Some(lock_api::RawRwLock::lock_shared(self)),
        }
    }

    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Instant) -> Option<GuardSend> {
        guard_if(self, Way::Shared, self.try_take_read() || read_until_slow(self, deadline))
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> Option<GuardSend> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.try_lock_exclusive_until(deadline),
            None => Some(lock_api::RawRwLock::lock_exclusive(self)),
        }
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> Option<GuardSend> {
        guard_if(self, Way::Alone, self.try_take_write() || write_until_slow(self, deadline))
    }
}

#[inline]
#[track_caller]
fn guard_if(lock: &RawRwLock, way: Way, taken: bool) -> Option<GuardSend> {
    taken.then(|| {
        circles::locked(lock, way);
        GuardSend::new()
    })
}

#[cold]
#[track_caller]
fn read_slow(lock: &RawRwLock) {
    if !lock.spin(RawRwLock::try_take_read) {
        let _waiting = circles::waits_for_lock(WaitReason::RwLockRead, lock, Way::Shared);
        wait_for(WaitReason::RwLockRead, pin!(lock.acquire_read()));
    }
}

#[cold]
#[track_caller]
fn write_slow(lock: &RawRwLock) {
    if !lock.give_way() && !lock.spin(RawRwLock::try_take_write) {
        let _waiting = circles::waits_for_lock(WaitReason::RwLockWrite, lock, Way::Alone);
        wait_for(WaitReason::RwLockWrite, pin!(lock.acquire_write()));
    }
}

#[cold]
#[track_caller]
fn read_until_slow(lock: &RawRwLock, deadline: Instant) -> bool {
    if lock.spin(RawRwLock::try_take_read) {
        return true;
    }
    let mut acquire = pin!(lock.acquire_read());
    wait_deadline(WaitReason::RwLockRead, acquire.as_mut(), deadline).is_some() || acquire.give_up()
}

#[cold]
#[track_caller]
fn write_until_slow(lock: &RawRwLock, deadline: Instant) -> bool {
    if lock.spin(RawRwLock::try_take_write) {
        return true;
    }
    let mut acquire = pin!(lock.acquire_write());
    wait_deadline(WaitReason::RwLockWrite, acquire.as_mut(), deadline).is_some() || acquire.give_up()
}

/// The async forms of locking, for [`RwLock`].
///
/// ```
/// use gosched::sync::{RwLock, RwLockAsync};
///
/// let lock = RwLock::new(1);
/// gosched::wait(async {
///     *lock.write_async().await += 1;
///     assert_eq!(*lock.read_async().await, 2);
/// });
/// ```
///
/// In Go: nothing; there every lock blocks a goroutine.
pub trait RwLockAsync {
    /// What the lock protects.
    type Data: ?Sized;

    /// A future that takes the lock for reading and gives the guard. Nothing happens until it is polled; then it
    /// keeps its place until it is ready or dropped.
    fn read_async(&self) -> RwLockReadFuture<'_, Self::Data>;

    /// A future that takes the lock for writing and gives the guard. Nothing happens until it is polled; from
    /// then on it keeps new readers out, so drop it if it will not be polled any more.
    fn write_async(&self) -> RwLockWriteFuture<'_, Self::Data>;
}

impl<T: ?Sized> RwLockAsync for RwLock<T> {
    type Data = T;

    #[track_caller]
    fn read_async(&self) -> RwLockReadFuture<'_, T> {
        RwLockReadFuture { lock: Some(self), acquire: raw(self).acquire_read(), place: Place::here() }
    }

    #[track_caller]
    fn write_async(&self) -> RwLockWriteFuture<'_, T> {
        RwLockWriteFuture { lock: Some(self), acquire: raw(self).acquire_write(), place: Place::here() }
    }
}

fn raw<T: ?Sized>(lock: &RwLock<T>) -> &RawRwLock {
    // SAFETY: the futures here release only what they took.
    unsafe { lock.raw() }
}

/// Takes a [`RwLock`] for reading; from [`RwLockAsync::read_async`].
///
/// # Cancellation
///
/// Dropped at any moment it takes nothing with it: a lock that had come already is released.
///
/// # Example
///
/// ```
/// use gosched::sync::{RwLock, RwLockAsync};
/// use gosched::time::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let lock = RwLock::new(1);
/// let writing = lock.write();
/// assert!(matches!(timeout(Duration::from_millis(1), lock.read_async()), Err(Elapsed)));
/// drop(writing);
/// assert_eq!(*gosched::wait(lock.read_async()), 1);
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct RwLockReadFuture<'a, T: ?Sized> {
    /// `None` once the guard was given.
    lock: Option<&'a RwLock<T>>,
    acquire: AcquireRead<'a>,
    place: Place,
}

impl<'a, T: ?Sized> Future for RwLockReadFuture<'a, T> {
    type Output = RwLockReadGuard<'a, T>;

    /// # Panics
    ///
    /// When polled again after it gave the guard.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockReadGuard<'a, T>> {
        // SAFETY: `acquire` is pinned with us: it is not moved, and its own `Drop` runs in place.
        let this = unsafe { self.get_unchecked_mut() };
        let lock = this.lock.expect("a read future was polled after it was ready");
        // SAFETY: as above.
        match unsafe { Pin::new_unchecked(&mut this.acquire) }.poll(cx) {
            Poll::Pending => this.place.note(WaitReason::RwLockRead, cx, Poll::Pending),
            Poll::Ready(()) => {
                this.lock = None;
                circles::locked_at(raw(lock), Way::Shared, this.place.at());
                // SAFETY: `acquire` has just taken the lock for us, and no guard was made of that yet.
                Poll::Ready(unsafe { lock.make_read_guard_unchecked(GuardSend::new()) })
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for RwLockReadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLockReadFuture").field("done", &self.lock.is_none()).finish()
    }
}

/// Takes a [`RwLock`] for writing; from [`RwLockAsync::write_async`].
///
/// # Cancellation
///
/// Dropped at any moment it takes nothing with it: a lock that had come already is released, a wake-up passed
/// on, and the readers behind it are let in.
///
/// # Example
///
/// ```
/// use gosched::sync::{RwLock, RwLockAsync};
/// use gosched::time::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let lock = RwLock::new(1);
/// let reading = lock.read();
/// assert!(matches!(timeout(Duration::from_millis(1), lock.write_async()), Err(Elapsed)));
/// assert_eq!(*lock.read(), 1, "the writer that gave up keeps no reader out");
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct RwLockWriteFuture<'a, T: ?Sized> {
    /// `None` once the guard was given.
    lock: Option<&'a RwLock<T>>,
    acquire: AcquireWrite<'a>,
    place: Place,
}

impl<'a, T: ?Sized> Future for RwLockWriteFuture<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    /// # Panics
    ///
    /// When polled again after it gave the guard.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockWriteGuard<'a, T>> {
        // SAFETY: `acquire` is pinned with us: it is not moved, and its own `Drop` runs in place.
        let this = unsafe { self.get_unchecked_mut() };
        let lock = this.lock.expect("a write future was polled after it was ready");
        // SAFETY: as above.
        match unsafe { Pin::new_unchecked(&mut this.acquire) }.poll(cx) {
            Poll::Pending => this.place.note(WaitReason::RwLockWrite, cx, Poll::Pending),
            Poll::Ready(()) => {
                this.lock = None;
                circles::locked_at(raw(lock), Way::Alone, this.place.at());
                // SAFETY: `acquire` has just taken the lock for us, and no guard was made of that yet.
                Poll::Ready(unsafe { lock.make_write_guard_unchecked(GuardSend::new()) })
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for RwLockWriteFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLockWriteFuture").field("done", &self.lock.is_none()).finish()
    }
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}

    #[test]
    fn Y11_guards_and_futures_may_be_sent() {
        assert_send::<RwLock<u8>>();
        assert_sync::<RwLock<u8>>();
        assert_send::<RwLockReadGuard<'static, u8>>();
        assert_send::<RwLockWriteGuard<'static, u8>>();
        assert_sync::<RwLockReadGuard<'static, u8>>();
        assert_send::<MappedRwLockWriteGuard<'static, u8>>();
        assert_send::<RwLockReadFuture<'static, u8>>();
        assert_send::<RwLockWriteFuture<'static, u8>>();
    }
}
