//! `Semaphore`: a number of permits, given out first come first served.
//!
//! Everything is under one short lock: the count and the queue must change together, since "who comes later
//! must not overtake" is a statement about both. A waiter's node carries how many permits it wants, and is
//! told only when they have been counted for it, so there is nothing to compete for after the wake-up.

use crate::sys::lock::Spin;
use crate::wait::node::{NodeList, NodeState, Signal, WaitNode};
use crate::wait::queue::{drop_quietly, wake_in_batches};
use crate::wait::{Place, WaitReason, wait_for};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
#[cfg(not(loom))]
use std::time::{Duration, Instant};

/// A weighted semaphore: `n` permits that callers take and give back, any number at once. Clones share them.
///
/// # Fairness
///
/// Strictly first come, first served: a request that does not fit waits, and everybody who comes after it
/// waits behind it, also those who ask for less. So a large request is not starved by small ones. The price is
/// that permits may lie idle while the head of the queue waits for more of them.
///
/// A request for more permits than the semaphore has can never be served. It is not queued, blocks nobody, and
/// waits until it is cancelled or its deadline has passed.
///
/// # Cancellation
///
/// Dropping a waiting future at any moment leaves no trace: its place is given up, permits that had been
/// counted for it go back, and those behind it that fit now are served.
///
/// # Memory order
///
/// What was done before a `release` happens before the return of each `acquire` that it makes possible.
///
/// # Example
///
/// ```
/// use gosched::sync::{Semaphore, WaitGroup};
///
/// let (room_for, wg) = (Semaphore::new(3), WaitGroup::new());
/// for job in 0..10 {
///     // Blocks while three jobs are under way.
///     let permit = room_for.acquire_guard(1);
///     wg.go(move || {
///         let _permit = permit;
///         println!("job {job}");
///     });
/// }
/// wg.wait();
/// ```
///
/// In Go: `semaphore.Weighted` of `golang.org/x/sync/semaphore`. Its context is `ctx.wait(s.acquire_async(n))`
/// here.
#[derive(Clone)]
pub struct Semaphore {
    inner: Arc<Inner>,
}

struct Inner {
    size: usize,
    state: Spin<State>,
}

struct State {
    /// Permits given out, those of waiters that were told and have not run yet included. Never above `size`.
    held: usize,
    /// Those who wait, each with the number of permits it wants in its node's ticket; never more than `size`.
    /// The first one does not fit, else it would have been served by whoever made room.
    queue: NodeList,
    /// How many are in `queue`, for `Debug`.
    waiting: usize,
}

impl Semaphore {
    /// A semaphore with `n` permits, all of them free.
    pub fn new(n: usize) -> Self {
        let state = State { held: 0, queue: NodeList::new(), waiting: 0 };
        Self { inner: Arc::new(Inner { size: n, state: Spin::new(state) }) }
    }

    /// Takes `n` permits, waiting until they are free and nobody who came earlier still waits.
    ///
    /// Waits for ever if the semaphore has fewer than `n`.
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(2);
    /// s.acquire(2);
    /// assert!(!s.try_acquire(1));
    /// s.release(2);
    /// ```
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; [`acquire_timeout`](Semaphore::acquire_timeout) and `ctx.wait(s.acquire_async(n))`
    /// can.
    ///
    /// In Go: `Acquire` with a background context.
    #[inline]
    #[track_caller]
    pub fn acquire(&self, n: usize) {
        if !self.try_acquire(n) {
            wait_for(WaitReason::SemaphoreAcquire, pin!(self.acquire_async(n)));
        }
    }

    /// The async form of [`acquire`](Semaphore::acquire). The caller's place in the queue is taken at the first
    /// poll.
    ///
    /// # Cancellation
    ///
    /// Dropping the future at any moment leaves the semaphore as if it had not been asked.
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(1);
    /// gosched::wait(async {
    ///     s.acquire_async(1).await;
    ///     s.release(1);
    /// });
    /// ```
    #[track_caller]
    pub fn acquire_async(&self, n: usize) -> SemaphoreFuture<'_> {
        SemaphoreFuture { inner: &self.inner, node: WaitNode::new(), n, done: false, place: Place::here() }
    }

    /// Takes `n` permits if they are free now and nobody waits. Never waits.
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(2);
    /// assert!(!s.try_acquire(3));
    /// assert!(s.try_acquire(2));
    /// ```
    ///
    /// In Go: `TryAcquire`.
    #[inline]
    #[must_use = "the permits may not have been taken"]
    pub fn try_acquire(&self, n: usize) -> bool {
        self.inner.state.lock().try_take(n, self.inner.size)
    }

    /// Gives `n` permits back, and serves as many of those who wait as fit, in their order.
    ///
    /// Whoever holds permits may release them, in parts too; the semaphore does not know who took them.
    ///
    /// # Panics
    ///
    /// With `semaphore: released more than held`; nothing has changed then.
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(2);
    /// s.acquire(2);
    /// s.release(1);
    /// assert!(s.try_acquire(1));
    /// ```
    ///
    /// In Go: `Release`.
    #[track_caller]
    pub fn release(&self, n: usize) {
        assert!(self.inner.give_back(n), "semaphore: released more than held");
    }

    /// [`acquire`](Semaphore::acquire), and a guard that releases the permits when it is dropped.
    ///
    /// The guard borrows nothing, so it may be moved into the goroutine it is for.
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(1);
    /// let guard = s.acquire_guard(1);
    /// gosched::go(move || drop(guard)).join().unwrap();
    /// assert!(s.try_acquire(1));
    /// ```
    ///
    /// In Go: `Acquire`, and `defer s.Release(n)`.
    #[track_caller]
    pub fn acquire_guard(&self, n: usize) -> SemaphoreGuard {
        self.acquire(n);
        SemaphoreGuard { semaphore: self.clone(), n }
    }

    /// [`try_acquire`](Semaphore::try_acquire) with a guard.
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(1);
    /// let guard = s.try_acquire_guard(1).unwrap();
    /// assert!(s.try_acquire_guard(1).is_none());
    /// drop(guard);
    /// assert!(s.try_acquire(1));
    /// ```
    pub fn try_acquire_guard(&self, n: usize) -> Option<SemaphoreGuard> {
        self.try_acquire(n).then(|| SemaphoreGuard { semaphore: self.clone(), n })
    }

    /// The async form of [`acquire_guard`](Semaphore::acquire_guard).
    ///
    /// # Cancellation
    ///
    /// As [`acquire_async`](Semaphore::acquire_async).
    ///
    /// ```
    /// let s = gosched::sync::Semaphore::new(1);
    /// gosched::wait(async {
    ///     let _guard = s.acquire_guard_async(1).await;
    ///     assert!(!s.try_acquire(1));
    /// });
    /// assert!(s.try_acquire(1));
    /// ```
    #[track_caller]
    pub fn acquire_guard_async(&self, n: usize) -> SemaphoreGuardFuture<'_> {
        SemaphoreGuardFuture { semaphore: self, acquire: self.acquire_async(n) }
    }
}

#[cfg(not(loom))]
impl Semaphore {
    /// [`acquire`](Semaphore::acquire) for at most `timeout`. False, and nothing was taken, if the time is over
    /// first.
    ///
    /// A timeout too large for the clock means for ever.
    ///
    /// ```
    /// use gosched::sync::Semaphore;
    /// use std::time::Duration;
    ///
    /// let s = Semaphore::new(1);
    /// assert!(s.acquire_timeout(1, Duration::from_millis(1)));
    /// assert!(!s.acquire_timeout(1, Duration::from_millis(1)));
    /// ```
    ///
    /// In Go: `Acquire` with a context that has a timeout.
    #[track_caller]
    #[must_use = "the permits may not have been taken"]
    pub fn acquire_timeout(&self, n: usize, timeout: Duration) -> bool {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.acquire_deadline(n, deadline),
            None => {
                self.acquire(n);
                true
            }
        }
    }

    /// [`acquire`](Semaphore::acquire) until `deadline` at the latest. False, and nothing was taken, if it
    /// passes first. Permits that are free are taken also after it.
    ///
    /// In Go: `Acquire` with a context that has a deadline; there a context that is over already fails even if
    /// permits are free, as `ctx.wait` does here.
    #[track_caller]
    #[must_use = "the permits may not have been taken"]
    pub fn acquire_deadline(&self, n: usize, deadline: Instant) -> bool {
        if self.try_acquire(n) {
            return true;
        }
        let mut acquire = pin!(self.acquire_async(n));
        crate::wait::wait_deadline(WaitReason::SemaphoreAcquire, acquire.as_mut(), deadline).is_some()
            || acquire.give_up()
    }

    /// [`acquire_timeout`](Semaphore::acquire_timeout) with a guard.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let s = gosched::sync::Semaphore::new(1);
    /// let guard = s.acquire_guard_timeout(1, Duration::from_millis(1)).unwrap();
    /// assert!(s.acquire_guard_timeout(1, Duration::from_millis(1)).is_none());
    /// drop(guard);
    /// assert!(s.try_acquire(1));
    /// ```
    #[track_caller]
    pub fn acquire_guard_timeout(&self, n: usize, timeout: Duration) -> Option<SemaphoreGuard> {
        self.acquire_timeout(n, timeout).then(|| SemaphoreGuard { semaphore: self.clone(), n })
    }

    /// [`acquire_deadline`](Semaphore::acquire_deadline) with a guard.
    #[track_caller]
    pub fn acquire_guard_deadline(&self, n: usize, deadline: Instant) -> Option<SemaphoreGuard> {
        self.acquire_deadline(n, deadline).then(|| SemaphoreGuard { semaphore: self.clone(), n })
    }
}

impl State {
    fn fits(&self, n: usize, size: usize) -> bool {
        n <= size - self.held
    }

    fn try_take(&mut self, n: usize, size: usize) -> bool {
        let free = self.queue.is_empty() && self.fits(n, size);
        if free {
            self.held += n;
        }
        free
    }
}

impl Inner {
    /// False if that many are not held.
    fn give_back(&self, n: usize) -> bool {
        let mut state = self.state.lock();
        if n > state.held {
            return false;
        }
        state.held -= n;
        let unwanted = state.queue.is_empty();
        drop(state);
        if !unwanted {
            self.serve();
        }
        true
    }

    /// There is room, or the head of the queue has left: serves those who fit now. The lock is given up in
    /// between to call wakers; whoever comes then finds a queue and joins it, or finds it empty because all
    /// before have been served.
    #[cold]
    fn serve(&self) {
        wake_in_batches(|batch| {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            while !batch.is_full() {
                // What is queued asks for no more than the size, which is a usize.
                let Some(n) = state.queue.front_ticket().map(|n| n as usize) else { break };
                if !state.fits(n, self.size) {
                    break;
                }
                let Some(popped) = state.queue.pop_front() else { break };
                state.held += n;
                state.waiting -= 1;
                batch.push(popped.signal(Signal::Handed));
            }
        });
    }

    /// One waiter leaves before it has seen permits. True if they have been counted for it: the caller's to
    /// give back or to use.
    fn leave(&self, node: Pin<&WaitNode>) -> bool {
        let mut waker = None;
        let mut left = false;
        let state = match node.state() {
            NodeState::Waiting => {
                let mut state = self.state.lock();
                let found = node.state();
                if found == NodeState::Waiting {
                    // SAFETY: WAITING under the lock means that it is in this list, and its owner calls.
                    waker = unsafe { state.queue.remove(node) };
                    state.waiting -= 1;
                    left = !state.queue.is_empty();
                }
                found
            }
            state => state,
        };
        drop_quietly(waker);
        if left {
            // It may have been the head, for which the permits did not suffice while they do for the next.
            self.serve();
        }
        match state {
            NodeState::Signalled(_) => {
                node.reset();
                true
            }
            NodeState::Waiting | NodeState::Idle => false,
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.lock();
        let (held, waiting) = (state.held, state.waiting);
        drop(state);
        f.debug_struct("Semaphore")
            .field("size", &self.inner.size)
            .field("held", &held)
            .field("waiting", &waiting)
            .finish()
    }
}

/// Takes permits of a [`Semaphore`]; from [`Semaphore::acquire_async`]. Once it is ready they are the caller's
/// to release.
///
/// # Cancellation
///
/// Dropped before that, it leaves the semaphore as if it had not been asked: permits counted for it go back,
/// and those behind it that fit now are served.
///
/// # Example
///
/// ```
/// use gosched::sync::Semaphore;
/// use gosched::time::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let s = Semaphore::new(2);
/// s.acquire(1);
/// assert!(matches!(timeout(Duration::from_millis(1), s.acquire_async(2)), Err(Elapsed)));
/// assert!(s.try_acquire(1), "nobody is before us any more");
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct SemaphoreFuture<'a> {
    inner: &'a Inner,
    node: WaitNode,
    n: usize,
    done: bool,
    place: Place,
}

impl SemaphoreFuture<'_> {
    fn node(self: Pin<&Self>) -> Pin<&WaitNode> {
        // SAFETY: the node is pinned with us: it is never moved, and stays where it is until we are dropped.
        unsafe { self.map_unchecked(|this| &this.node) }
    }

    fn finish(self: Pin<&mut Self>) {
        // SAFETY: a flag is written, nothing is moved.
        unsafe { self.get_unchecked_mut() }.done = true;
    }

    /// Stops waiting. True if the permits had come meanwhile: they are the caller's.
    #[cfg(not(loom))]
    fn give_up(self: Pin<&mut Self>) -> bool {
        let had = self.inner.leave(self.as_ref().node());
        self.finish();
        had
    }
}

impl Future for SemaphoreFuture<'_> {
    type Output = ();

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let place = self.place;
        let polled = self.poll_permits(cx);
        place.note(WaitReason::SemaphoreAcquire, cx, polled)
    }
}

impl SemaphoreFuture<'_> {
    fn poll_permits(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        assert!(!self.done, "a semaphore's future was polled after it was ready");
        let (inner, n) = (self.inner, self.n);
        let node = self.as_ref().node();
        let state = match node.state() {
            NodeState::Waiting => node.refresh_waker(&inner.state, cx.waker()),
            state => state,
        };
        match state {
            NodeState::Waiting => return Poll::Pending,
            NodeState::Signalled(_) => node.reset(),
            // It would block those behind it for ever.
            NodeState::Idle if n > inner.size => return Poll::Pending,
            NodeState::Idle => {
                // Cloned before the lock, dropped after it.
                let waker = cx.waker().clone();
                let mut state = inner.state.lock();
                if state.try_take(n, inner.size) {
                    drop(state);
                    drop_quietly(Some(waker));
                } else {
                    // SAFETY: the node is ours and idle, hence in no list; it is pinned, and `Drop` takes it out;
                    // this list has one lock, which is held.
                    unsafe { state.queue.push_back(node, n as u64, waker) };
                    state.waiting += 1;
                    return Poll::Pending;
                }
            }
        }
        self.finish();
        Poll::Ready(())
    }
}

impl Drop for SemaphoreFuture<'_> {
    fn drop(&mut self) {
        // SAFETY: a queued future is pinned, and the node of one that is not queued is only looked at.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        if self.inner.leave(node) {
            let held = self.inner.give_back(self.n);
            debug_assert!(held, "permits were counted for a waiter and then not held");
        }
    }
}

impl fmt::Debug for SemaphoreFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreFuture").field("n", &self.n).field("node", &self.node).finish()
    }
}

/// Permits of a [`Semaphore`]; gives them back when dropped. From [`Semaphore::acquire_guard`] and its kin.
///
/// It may be sent to another goroutine or thread.
///
/// ```
/// let s = gosched::sync::Semaphore::new(3);
/// let guard = s.acquire_guard(2);
/// assert_eq!(guard.permits(), 2);
/// guard.forget();
/// assert!(!s.try_acquire(2));
/// s.release(2);
/// ```
///
/// In Go: nothing; `defer s.Release(n)`.
#[must_use = "the permits are given back when the guard is dropped"]
pub struct SemaphoreGuard {
    semaphore: Semaphore,
    n: usize,
}

impl SemaphoreGuard {
    /// How many permits it stands for.
    pub fn permits(&self) -> usize {
        self.n
    }

    /// Keeps the permits taken: whoever wants them back calls [`Semaphore::release`].
    pub fn forget(mut self) {
        self.n = 0;
    }
}

impl Drop for SemaphoreGuard {
    fn drop(&mut self) {
        let n = mem::take(&mut self.n);
        // Not `release`: somebody who released what was not theirs gets the panic there; a second one out of a
        // destructor would only abort the process.
        self.semaphore.inner.give_back(n);
    }
}

impl fmt::Debug for SemaphoreGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreGuard").field("permits", &self.n).finish()
    }
}

/// Takes permits of a [`Semaphore`] and gives a guard for them; from [`Semaphore::acquire_guard_async`].
///
/// # Cancellation
///
/// As [`SemaphoreFuture`].
///
/// # Example
///
/// ```
/// let s = gosched::sync::Semaphore::new(1);
/// let guard = gosched::wait(s.acquire_guard_async(1));
/// assert_eq!(guard.permits(), 1);
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct SemaphoreGuardFuture<'a> {
    semaphore: &'a Semaphore,
    acquire: SemaphoreFuture<'a>,
}

impl Future for SemaphoreGuardFuture<'_> {
    type Output = SemaphoreGuard;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SemaphoreGuard> {
        let semaphore = self.semaphore;
        let n = self.acquire.n;
        // SAFETY: `acquire` is pinned with us: it is not moved, and its own `Drop` runs in place.
        let acquire = unsafe { self.map_unchecked_mut(|this| &mut this.acquire) };
        acquire.poll(cx).map(|()| SemaphoreGuard { semaphore: semaphore.clone(), n })
    }
}

impl fmt::Debug for SemaphoreGuardFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreGuardFuture").field("acquire", &self.acquire).finish()
    }
}

#[cfg(all(test, loom))]
#[allow(non_snake_case)]
#[path = "semaphore_model.rs"]
mod model;
