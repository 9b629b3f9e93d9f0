//! `Barrier`: a number of goroutines that wait for each other.

use crate::wait::node::WaitNode;
use crate::wait::queue::WaitQueue;
use crate::wait::{WaitReason, wait_deadline, wait_for};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Lets a number of goroutines, threads and tasks wait until all of them have come.
///
/// The last one to come, the leader, lets the others go; the barrier can then be used for the next round at
/// once, and rounds do not mix: who comes after the leader belongs to the next one. What each did before it came
/// happens before what any does after it was let go.
///
/// # Cancellation
///
/// A waiting future that is dropped, or a wait whose time is over, takes its arrival back: the others then need
/// one more. Once the leader has come there is nothing to take back.
///
/// # Example
///
/// ```
/// use gosched::sync::Barrier;
///
/// let barrier = Barrier::new(3);
/// let leaders = gosched::sync::atomic::AtomicUsize::new(0);
/// gosched::scope(|s| {
///     for _ in 0..3 {
///         s.go(|| {
///             if barrier.wait().is_leader() {
///                 leaders.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///             }
///         });
///     }
/// });
/// assert_eq!(leaders.into_inner(), 1);
/// ```
///
/// In Go: nothing; the interface is that of `std::sync::Barrier`.
pub struct Barrier {
    /// How many a round needs.
    size: usize,
    /// Those that have come. Its length, which changes only under its lock, is the count of arrivals.
    queue: WaitQueue,
}

/// Whether a wait at a [`Barrier`] was that of the leader.
///
/// ```
/// let alone = gosched::sync::Barrier::new(1);
/// assert!(alone.wait().is_leader());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// True for one of those that were let go together: the one that came last.
    pub const fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for `n`. With 0 or 1 nobody ever waits, and everybody is a leader.
    #[cfg(not(loom))]
    pub const fn new(n: usize) -> Self {
        Self { size: n, queue: WaitQueue::new() }
    }

    /// The same in a model.
    #[cfg(loom)]
    pub fn new(n: usize) -> Self {
        Self { size: n, queue: WaitQueue::new() }
    }

    /// Waits until all have come.
    ///
    /// Cannot be told to stop: to give up, use [`wait_timeout`](Barrier::wait_timeout) or
    /// `ctx.wait(barrier.wait_async())`.
    ///
    /// ```
    /// let barrier = gosched::sync::Barrier::new(2);
    /// let leaders = gosched::scope(|s| {
    ///     let other = s.go(|| barrier.wait().is_leader());
    ///     [barrier.wait().is_leader(), other.join().unwrap()]
    /// });
    /// assert!(leaders[0] != leaders[1], "one of the two leads");
    /// ```
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        wait_for(WaitReason::BarrierWait, pin!(self.wait_async()))
    }

    /// [`wait`](Barrier::wait) for at most `timeout`: `None` if not all had come by then, and this arrival is taken
    /// back. A timeout too large for the clock means for ever.
    ///
    /// ```
    /// use gosched::sync::Barrier;
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// assert!(barrier.wait_timeout(Duration::from_millis(1)).is_none(), "nobody else has come");
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<BarrierWaitResult> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.wait_deadline(deadline),
            None => Some(self.wait()),
        }
    }

    /// [`wait`](Barrier::wait) until `deadline` at the latest; see [`wait_timeout`](Barrier::wait_timeout).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Option<BarrierWaitResult> {
        let mut wait = pin!(self.wait_async());
        match wait_deadline(WaitReason::BarrierWait, wait.as_mut(), deadline) {
            Some(result) => Some(result),
            // Let go just now.
            None => wait.leave().then_some(BarrierWaitResult(false)),
        }
    }

    /// The async form of [`wait`](Barrier::wait). It comes at the first poll, and takes that back when dropped.
    ///
    /// ```
    /// let barrier = gosched::sync::Barrier::new(2);
    /// gosched::scope(|s| {
    ///     s.go(|| barrier.wait());
    ///     gosched::wait(async { barrier.wait_async().await });
    /// });
    /// ```
    pub fn wait_async(&self) -> BarrierWait<'_> {
        BarrierWait { barrier: self, node: WaitNode::new() }
    }

    /// Under the queue's lock: whether one more is all that is missing.
    fn is_complete_with_one_more(&self) -> bool {
        self.queue.len().saturating_add(1) >= self.size
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("size", &self.size).field("waiting", &self.queue.len()).finish()
    }
}

/// Waits at a [`Barrier`]; from [`Barrier::wait_async`].
///
/// # Cancellation
///
/// Dropped before the leader has come it takes its arrival back.
///
/// ```
/// use gosched::sync::Barrier;
/// use gosched::time::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let barrier = Barrier::new(2);
/// assert!(matches!(timeout(Duration::from_millis(1), barrier.wait_async()), Err(Elapsed)));
/// assert!(barrier.wait_timeout(Duration::ZERO).is_none(), "the first one has gone again");
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct BarrierWait<'a> {
    barrier: &'a Barrier,
    node: WaitNode,
}

impl BarrierWait<'_> {
    /// Takes the arrival back. True if it is too late for that, since the leader has come.
    fn leave(&self) -> bool {
        // SAFETY: the node is ours, pinned with us if it was ever queued, and used with this queue only.
        unsafe { self.barrier.queue.cancel(Pin::new_unchecked(&self.node)) }.is_some()
    }
}

impl Future for BarrierWait<'_> {
    type Output = BarrierWaitResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let barrier = self.barrier;
        loop {
            // SAFETY: the node is ours, pinned with us, used with this queue only, and `Drop` takes it out.
            let polled = unsafe {
                let node = Pin::new_unchecked(&self.node);
                barrier.queue.poll(node, cx, || !barrier.is_complete_with_one_more())
            };
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(_)) => return Poll::Ready(BarrierWaitResult(false)),
                Poll::Ready(None) => {}
            }
            // All others are here. Asked once more in the step that lets them go: another that came last may
            // have been faster, or one may have left. Then we are one of the next round, or of this one still.
            let mut leads = false;
            barrier.queue.notify_all_if(|| {
                leads = barrier.is_complete_with_one_more();
                leads
            });
            if leads {
                return Poll::Ready(BarrierWaitResult(true));
            }
        }
    }
}

impl Drop for BarrierWait<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BarrierWait").field(&self.node).finish()
    }
}

#[cfg(all(test, loom))]
mod model {
    //! loom models of the barrier: who was last is asked twice, with the lock released in between.

    use super::Barrier;
    use loom::future::block_on;
    use loom::sync::Arc;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn model(f: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(f);
    }

    #[test]
    fn of_two_that_come_last_one_leads_and_the_other_begins_the_next_round() {
        model(|| {
            let barrier = Arc::new(Barrier::new(2));
            let mut cx = Context::from_waker(Waker::noop());
            let mut first = pin!(barrier.wait_async());
            assert!(first.as_mut().poll(&mut cx).is_pending());
            let threads = [(); 2].map(|()| {
                let barrier = barrier.clone();
                loom::thread::spawn(move || block_on(barrier.wait_async()).is_leader())
            });
            assert!(!block_on(first).is_leader());
            // With the one that was too late; it may come before or after us.
            let leads = block_on(barrier.wait_async()).is_leader();
            let theirs = threads.map(|thread| thread.join().unwrap());
            assert_eq!([leads, theirs[0], theirs[1]].into_iter().filter(|leads| *leads).count(), 2);
            assert_eq!(barrier.queue.len(), 0);
        });
    }

    #[test]
    fn one_that_leaves_while_the_last_one_comes() {
        model(|| {
            let barrier = Arc::new(Barrier::new(2));
            let mut cx = Context::from_waker(Waker::noop());
            let mut first = pin!(barrier.wait_async());
            assert!(first.as_mut().poll(&mut cx).is_pending());
            let other = barrier.clone();
            let thread = loom::thread::spawn(move || block_on(other.wait_async()).is_leader());
            if first.leave() {
                assert!(thread.join().unwrap(), "it let us go, so it led");
            } else {
                // One more is needed.
                let leads = block_on(barrier.wait_async()).is_leader();
                assert_ne!(leads, thread.join().unwrap(), "one of the two leads");
            }
            assert_eq!(barrier.queue.len(), 0);
        });
    }
}
