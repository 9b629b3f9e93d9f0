//! What `Once`, `OnceCell` and `LazyLock` stand on: one may do it, the others wait until it is done.

use crate::sys::prim::{AtomicU32, Ordering};
use crate::wait::node::WaitNode;
use crate::wait::queue::WaitQueue;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Who has done it.
///
/// | state     | meaning                                  | who leaves it, and how                              |
/// |-----------|------------------------------------------|-----------------------------------------------------|
/// | `NEW`     | nobody, and nobody is at it              | whoever asks next, by a CAS: -> `RUNNING`           |
/// | `RUNNING` | one is at it, others queue               | that one, under the queue's lock: -> `DONE`, or     |
/// |           |                                          | if it failed -> `NEW`                               |
/// | `DONE`    | it is done                               | nobody                                              |
///
/// `RUNNING` is left under the queue's lock, and a waiter queues under that lock only while it finds `RUNNING`:
/// so it is among those that are told. All are told in either case: after a failure one of them is the next,
/// and the others queue again. Failures are rare, and so nobody has to pass anything on when it is dropped.
///
/// `DONE` is stored with Release and loaded with Acquire; a failed attempt is published likewise to the next.
pub(super) struct RawOnce {
    state: AtomicU32,
    queue: WaitQueue,
}

const NEW: u32 = 0;
const RUNNING: u32 = 1;
const DONE: u32 = 2;

impl RawOnce {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { state: AtomicU32::new(NEW), queue: WaitQueue::new() }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self { state: AtomicU32::new(NEW), queue: WaitQueue::new() }
    }

    /// One that is done already.
    #[cfg(not(loom))]
    pub(super) const fn done() -> Self {
        Self { state: AtomicU32::new(DONE), queue: WaitQueue::new() }
    }

    /// Whether it is done; if so, all that was done for it happened before this returns.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    /// The state's name, for `Debug`.
    #[cfg(not(loom))]
    pub(super) fn state_name(&self) -> &'static str {
        match self.state.load(Ordering::Relaxed) {
            NEW => "New",
            RUNNING => "InProgress",
            _ => "Done",
        }
    }

    /// A future that waits until it is done (`None`) or the caller may do it (`Some`).
    pub(super) fn claim(&self) -> Claim<'_> {
        Claim { once: self, node: WaitNode::new() }
    }

    fn try_begin(&self) -> bool {
        // Acquire: what a failed attempt before this one did is seen.
        self.state.compare_exchange(NEW, RUNNING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn end(&self, state: u32) {
        self.queue.notify_all_if(|| {
            self.state.store(state, Ordering::Release);
            true
        });
    }
}

/// The right to do it. Dropped without [`Permit::done`] it has failed, and the next may try.
#[must_use = "to drop it is to fail"]
pub(super) struct Permit<'a> {
    once: &'a RawOnce,
}

impl Permit<'_> {
    /// It is done, and all that wait go on.
    pub(super) fn done(self) {
        // Not dropped in any case: a foreign waker that panics here must not undo what others have seen done.
        ManuallyDrop::new(self).once.end(DONE);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.once.end(NEW);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// See [`RawOnce::claim`]. Dropped earlier it leaves no trace.
pub(super) struct Claim<'a> {
    once: &'a RawOnce,
    node: WaitNode,
}

impl<'a> Future for Claim<'a> {
    type Output = Option<Permit<'a>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Permit<'a>>> {
        let once = self.once;
        // SAFETY: the node is pinned with us.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        loop {
            // SAFETY: the node is ours, used with this queue only, and `Drop` takes it out.
            let told = unsafe { once.queue.poll(node, cx, || once.state.load(Ordering::Relaxed) == RUNNING) };
            // Told, or there was nothing to wait for: look. Another may be faster, so it is a loop.
            ready!(told);
            if once.is_done() {
                return Poll::Ready(None);
            }
            if once.try_begin() {
                return Poll::Ready(Some(Permit { once }));
            }
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `poll`. What was signalled was for all, so nothing is passed on.
        unsafe { self.once.queue.cancel(Pin::new_unchecked(&self.node)) };
    }
}

#[cfg(all(test, loom))]
mod model {
    //! loom models of the claim.

    use super::RawOnce;
    use crate::sys::prim::UnsafeCell;
    use loom::future::block_on;
    use loom::sync::Arc;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    struct Shared {
        once: RawOnce,
        // loom fails the model if two threads write it at once, or one reads it meanwhile.
        runs: UnsafeCell<u32>,
    }

    // SAFETY: the count is only written by the one that may run, which is what the models check.
    unsafe impl Sync for Shared {}
    // SAFETY: nothing in it belongs to a thread.
    unsafe impl Send for Shared {}

    impl Shared {
        fn new() -> Arc<Self> {
            Arc::new(Self { once: RawOnce::new(), runs: UnsafeCell::new(0) })
        }

        /// Tries once; the outcome if it is this one's turn.
        fn attempt(&self, succeeds: bool) {
            if let Some(permit) = block_on(self.once.claim()) {
                // SAFETY: by the permit.
                self.runs.with_mut(|runs| unsafe { *runs += 1 });
                if succeeds {
                    permit.done();
                }
            }
        }

        fn runs(&self) -> u32 {
            assert!(self.once.is_done());
            // SAFETY: it is done, so nobody writes any more.
            self.runs.with(|runs| unsafe { *runs })
        }
    }

    fn model(f: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(f);
    }

    #[test]
    fn one_runs_and_all_return_after_it() {
        model(|| {
            let shared = Shared::new();
            let threads = [(); 2].map(|()| {
                let other = shared.clone();
                loom::thread::spawn(move || {
                    other.attempt(true);
                    assert_eq!(other.runs(), 1);
                })
            });
            shared.attempt(true);
            assert_eq!(shared.runs(), 1);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn after_a_failure_a_waiter_is_next_also_if_another_is_dropped() {
        model(|| {
            let shared = Shared::new();
            let mut cx = Context::from_waker(Waker::noop());
            let std::task::Poll::Ready(Some(permit)) = pin!(shared.once.claim()).poll(&mut cx) else {
                unreachable!("nobody else is there")
            };
            let mut leaver = Box::pin(shared.once.claim());
            assert!(leaver.as_mut().poll(&mut cx).is_pending());
            let other = shared.clone();
            let waiter = loom::thread::spawn(move || other.attempt(true));
            drop(permit);
            drop(leaver);
            waiter.join().unwrap();
            assert_eq!(shared.runs(), 1);
        });
    }
}
