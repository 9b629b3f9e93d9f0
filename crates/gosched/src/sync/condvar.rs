//! `Condvar`: waiting for a condition under a [`Mutex`].
//!
//! A waiter takes its place in the queue *before* it gives the mutex back, so the order of the places is
//! the order of the calls, and a notification that comes after the mutex was released finds it there.
//! `notify_one` takes the first place out: a waiter that comes later can never be in its way (Go's
//! tickets: "no stolen signals").

use super::mutex::{Mutex, MutexGuard, raw};
use super::raw_mutex::{Acquire, RawMutex};
use crate::wait::node::{Signal, WaitNode};
use crate::wait::queue::WaitQueue;
use crate::wait::{WaitReason, wait_deadline, wait_for};
use lock_api::GuardSend;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Lets goroutines, threads and async tasks wait until something under a [`Mutex`] has changed.
///
/// - Waiting gives the mutex back and queues in one step: a notification between the two cannot be missed.
/// - Waiters are woken first come first served, and only by a notification: there are no spurious wake-ups.
///   Whether the condition holds must be asked again all the same, since others may have had the mutex
///   first: use a loop, or [`wait_while`](Condvar::wait_while).
/// - Notifying is allowed with the mutex held or not. Different waiters may use different mutexes.
/// - What a notifier did before its call happens before the return of the wait it ends.
///
/// # Cancellation
///
/// A wait that is given up, by its time or by dropping the future of [`wait_async`](Condvar::wait_async), swallows no
/// notification: one that had reached it goes to the next waiter.
///
/// # Example
///
/// ```
/// use gosched::sync::{Condvar, Mutex};
///
/// static READY: Mutex<bool> = Mutex::new(false);
/// static CHANGED: Condvar = Condvar::new();
///
/// let waiter = std::thread::spawn(|| {
///     let mut ready = READY.lock();
///     CHANGED.wait_while(&mut ready, |ready| !*ready);
/// });
/// *READY.lock() = true;
/// CHANGED.notify_one();
/// waiter.join().unwrap();
/// ```
///
/// In Go: `sync.Cond`, `Signal` and `Broadcast`; there the condition carries its lock, here `wait` takes
/// the guard, as in std.
pub struct Condvar {
    queue: WaitQueue,
}

/// Whether a wait with a time limit ended by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// True if the time was over before a notification came.
    pub const fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition nobody waits for.
    pub const fn new() -> Self {
        Self { queue: WaitQueue::new() }
    }

    /// Gives the mutex back, waits for a notification, and takes the mutex again.
    ///
    /// If the wait unwinds, the mutex is taken again first. In Go: `Cond.Wait`.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        let place = pin!(Place::new(self, raw(MutexGuard::mutex(guard))));
        let mut relock = Relock { place };
        wait_for(WaitReason::CondWait, relock.place());
        relock.now();
    }

    /// [`wait`](Condvar::wait) until the condition is false: `condition` is asked first, and again after
    /// each notification, with the mutex held.
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(&mut **guard) {
            self.wait(guard);
        }
    }

    /// [`wait`](Condvar::wait) for at most `timeout`.
    ///
    /// The mutex is taken again in either case, which may last longer than the timeout. A notification
    /// that comes at the same time wins: the result is `timed_out` only if none was used up. A timeout too
    /// large for the clock means for ever.
    #[track_caller]
    pub fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> WaitTimeoutResult {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.wait_until(guard, deadline),
            None => {
                self.wait(guard);
                WaitTimeoutResult(false)
            }
        }
    }

    /// [`wait`](Condvar::wait) until `deadline` at the latest; see [`wait_for`](Condvar::wait_for).
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let place = pin!(Place::new(self, raw(MutexGuard::mutex(guard))));
        let mut relock = Relock { place };
        let told = wait_deadline(WaitReason::CondWait, relock.place(), deadline).is_some()
            || relock.place().give_up().is_some();
        relock.now();
        WaitTimeoutResult(!told)
    }

    /// [`wait_while`](Condvar::wait_while) for at most `timeout`; `timed_out` says that the condition still
    /// held then.
    #[track_caller]
    pub fn wait_while_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.wait_while_until(guard, condition, deadline),
            None => {
                self.wait_while(guard, condition);
                WaitTimeoutResult(false)
            }
        }
    }

    /// [`wait_while`](Condvar::wait_while) until `deadline` at the latest; `timed_out` says that the
    /// condition still held then.
    #[track_caller]
    pub fn wait_while_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let mut result = WaitTimeoutResult(false);
        while condition(&mut **guard) {
            if result.timed_out() {
                return result;
            }
            result = self.wait_until(guard, deadline);
        }
        WaitTimeoutResult(false)
    }

    /// The async form of [`wait`](Condvar::wait): takes the guard and gives it back.
    ///
    /// By value, because a future that borrowed the guard and was then forgotten would leave a guard whose
    /// mutex is not locked. The mutex is given back at the first poll. Dropping the future cancels the
    /// wait, with the mutex not held; a `notify_one` that had reached it goes to the next waiter.
    ///
    /// ```
    /// use gosched::sync::{Condvar, LockAsync, Mutex};
    ///
    /// let (turn, changed) = (Mutex::new(0), Condvar::new());
    /// std::thread::scope(|s| {
    ///     s.spawn(|| {
    ///         *turn.lock() = 1;
    ///         changed.notify_all();
    ///     });
    ///     gosched::wait(async {
    ///         let mut guard = turn.lock_async().await;
    ///         while *guard == 0 {
    ///             guard = changed.wait_async(guard).await;
    ///         }
    ///     });
    /// });
    /// ```
    pub fn wait_async<'c, 'm, T: ?Sized>(&'c self, guard: MutexGuard<'m, T>) -> WaitAsync<'c, 'm, T> {
        let mutex = MutexGuard::mutex(&guard);
        WaitAsync {
            guard: Some(guard),
            place: Place::new(self, raw(mutex)),
            signal: None,
            acquire: raw(mutex).acquire(),
            mutex,
        }
    }

    /// Wakes the waiter that waits longest. False if nobody waits; the notification is not kept for later.
    ///
    /// In Go: `Cond.Signal`.
    pub fn notify_one(&self) -> bool {
        self.queue.notify_one()
    }

    /// Wakes all that wait now, each once; returns how many. In Go: `Cond.Broadcast`.
    pub fn notify_all(&self) -> usize {
        self.queue.notify_all()
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("waiting", &self.queue.len()).finish()
    }
}

/// A waiter's place: the first poll queues it and gives the mutex back, in this order. Ready with the
/// notification; the mutex is not held then.
struct Place<'c, 'm> {
    queue: &'c WaitQueue,
    mutex: &'m RawMutex,
    /// The mutex has been given back.
    released: bool,
    node: WaitNode,
}

impl<'c, 'm> Place<'c, 'm> {
    /// Whoever polls it holds `mutex`, and takes it for released from then on.
    fn new(condvar: &'c Condvar, mutex: &'m RawMutex) -> Self {
        Self { queue: &condvar.queue, mutex, released: false, node: WaitNode::new() }
    }

    /// Leaves the queue: what had been signalled until then.
    fn give_up(self: Pin<&mut Self>) -> Option<Signal> {
        // SAFETY: the node is ours, pinned with us, and used with this queue only.
        unsafe { self.queue.cancel(Pin::new_unchecked(&self.node)) }
    }
}

impl Future for Place<'_, '_> {
    type Output = Signal;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Signal> {
        // SAFETY: nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the node is ours, pinned with us, used with this queue only, and `Drop` takes it out.
        let polled = unsafe { this.queue.poll(Pin::new_unchecked(&this.node), cx, || true) };
        if !this.released {
            // We are queued. Only now: a notification that sees the mutex free must find us.
            this.released = true;
            // SAFETY: the first poll is made with the mutex held (`new`), and this happens once.
            unsafe { this.mutex.release() };
        }
        // `None` would mean that `enter` said no, and it never does.
        polled.map(|signal| signal.unwrap_or(Signal::All))
    }
}

impl Drop for Place<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: as in `give_up`; a queued place is pinned, and one that is not queued has no node to move.
        unsafe { self.queue.abandon(Pin::new_unchecked(&self.node)) };
    }
}

/// Takes the mutex again for a blocking wait, also while unwinding: the caller has a guard, whose drop
/// unlocks.
struct Relock<'p, 'c, 'm> {
    place: Pin<&'p mut Place<'c, 'm>>,
}

impl<'c, 'm> Relock<'_, 'c, 'm> {
    fn place(&mut self) -> Pin<&mut Place<'c, 'm>> {
        self.place.as_mut()
    }

    #[track_caller]
    fn now(self) {
        self.lock();
        mem::forget(self);
    }

    #[track_caller]
    fn lock(&self) {
        if self.place.released {
            let _: GuardSend = lock_api::RawMutex::lock(self.place.mutex);
        }
    }
}

impl Drop for Relock<'_, '_, '_> {
    fn drop(&mut self) {
        self.lock();
    }
}

/// Waits for a [`Condvar`] and gives the guard back; from [`Condvar::wait_async`].
///
/// # Cancellation
///
/// Dropped at any moment it leaves the queue and does not hold the mutex; a `notify_one` that had reached it goes to
/// the next waiter, also if it was on its way to the mutex.
#[must_use = "a future does nothing until it is polled"]
pub struct WaitAsync<'c, 'm, T: ?Sized> {
    /// Until the first poll.
    guard: Option<MutexGuard<'m, T>>,
    place: Place<'c, 'm>,
    /// From the notification until the mutex is ours again.
    signal: Option<Signal>,
    acquire: Acquire<'m>,
    mutex: &'m Mutex<T>,
}

impl<'m, T: ?Sized> Future for WaitAsync<'_, 'm, T> {
    type Output = MutexGuard<'m, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'m, T>> {
        // SAFETY: `place` and `acquire` are pinned with us: neither is moved, both are dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        if this.signal.is_none() {
            // SAFETY: as above.
            let polled = unsafe { Pin::new_unchecked(&mut this.place) }.poll(cx);
            if this.place.released {
                // The place has given the mutex back in the guard's stead. (Had the poll unwound before
                // that, the guard would still be here to unlock.)
                mem::forget(this.guard.take());
            }
            this.signal = Some(ready!(polled));
        }
        // SAFETY: as above.
        ready!(unsafe { Pin::new_unchecked(&mut this.acquire) }.poll(cx));
        this.signal = None;
        // SAFETY: `acquire` has just taken the lock, and no guard was made of that yet.
        Poll::Ready(unsafe { this.mutex.make_guard_unchecked(GuardSend::new()) })
    }
}

impl<T: ?Sized> Drop for WaitAsync<'_, '_, T> {
    fn drop(&mut self) {
        // Told, but dropped on the way to the mutex: nobody acted on it. (If not even told, `Place` sees
        // to it.)
        if self.signal == Some(Signal::One) {
            self.place.queue.notify_one();
        }
    }
}

impl<T: ?Sized> fmt::Debug for WaitAsync<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAsync").field("told", &self.signal).finish_non_exhaustive()
    }
}
