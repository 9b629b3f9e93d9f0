//! Where the end of a goroutine meets its `JoinHandle`.
//!
//! ```text
//!  bit 0  HANDLE  the JoinHandle is alive
//!  bit 1  BODY    the body's side still needs the header
//!  bit 2  DONE    the output is stored (or there will be none)
//!  bit 3  WAITER  somebody left a waker
//! ```
//!
//! HANDLE and BODY are the two owners of what is left of a task: whoever clears the second of them gives the
//! header back to the pool. BODY is cleared only after the waiter has been woken, so that the header cannot
//! serve a new goroutine while the old one's end still looks for its waiter's waker.

use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicU32, Ordering};
use crate::sys::threads::discard_payload;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

const HANDLE: u32 = 1;
const BODY: u32 = 2;
const DONE: u32 = 4;
const WAITER: u32 = 8;

/// Who gives the header back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Last {
    /// The caller: discard what is stored and free the header.
    Yes,
    /// The other owner.
    No,
}

/// The word and the waiter's waker.
#[derive(Debug)]
pub(crate) struct JoinSlot {
    word: AtomicU32,
    waker: Spin<Option<Waker>>,
}

impl JoinSlot {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU32::new(0), waker: Spin::new(None) }
    }

    /// For a new task: both owners are there.
    #[inline]
    pub(crate) fn open(&self) {
        self.word.store(HANDLE | BODY, Ordering::Relaxed);
    }

    /// Whether the handle is alive. One that is gone does not come back, so for the body's side `false` is
    /// final: it is the last owner, and need not call [`Self::finish`].
    #[inline]
    pub(crate) fn has_handle(&self) -> bool {
        // Acquire: pairs with `release_handle`, after which the handle's thread does not touch the task.
        self.word.load(Ordering::Acquire) & HANDLE != 0
    }

    /// The body's side: the output is stored. Wakes who waits for it.
    pub(crate) fn finish(&self) -> Last {
        // Release publishes the output; acquire sees the waker's registration.
        if self.word.fetch_or(DONE, Ordering::AcqRel) & WAITER != 0 {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker
                && let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
            {
                // A foreign waker's panic must not end the worker, or keep the header from being let go.
                discard_payload(payload);
            }
        }
        if self.word.fetch_and(!BODY, Ordering::AcqRel) & HANDLE == 0 { Last::Yes } else { Last::No }
    }

    /// The handle's side: it is being dropped.
    #[inline]
    pub(crate) fn release_handle(&self) -> Last {
        if self.word.load(Ordering::Relaxed) & WAITER != 0 {
            // A waker left by a joiner that gave up. Taken now: once HANDLE is cleared the header may serve
            // another goroutine, whose waker this would be.
            let stale = self.waker.lock().take();
            drop(stale);
        }
        if self.word.fetch_and(!HANDLE, Ordering::AcqRel) & BODY == 0 { Last::Yes } else { Last::No }
    }

    /// Whether the output is there.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.word.load(Ordering::Acquire) & DONE != 0
    }

    /// Ready when the body is over; else the waker of `cx` is woken then.
    pub(crate) fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_done() {
            return Poll::Ready(());
        }
        // Cloned before and dropped after the lock: a waker's methods are foreign code.
        let waker = cx.waker().clone();
        let old = self.waker.lock().replace(waker);
        // AcqRel: the finisher that sees WAITER sees the waker; if we see DONE, it did not, and we see the
        // output.
        let done = self.word.fetch_or(WAITER, Ordering::AcqRel) & DONE != 0;
        drop(old);
        if done { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The header serves another goroutine, whose joiner waits for it.
    fn serve_another(slot: &JoinSlot) {
        let count = std::sync::Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        slot.open();
        assert!(slot.poll_done(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(slot.finish(), Last::No);
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "the joiner's waker was taken away");
    }

    /// A joiner that has polled gives up while its goroutine ends: one of the two lets the header go, and the other
    /// does not touch it any more.
    #[test]
    fn loom_a_join_that_is_given_up_takes_no_other_joiners_waker() {
        loom::model(|| {
            let slot = Arc::new(JoinSlot::new());
            slot.open();
            assert!(slot.poll_done(&mut Context::from_waker(Waker::noop())).is_pending());
            let handle = {
                let slot = slot.clone();
                loom::thread::spawn(move || {
                    let last = slot.release_handle() == Last::Yes;
                    if last {
                        serve_another(&slot);
                    }
                    last
                })
            };
            let last = !slot.has_handle() || slot.finish() == Last::Yes;
            if last {
                serve_another(&slot);
            }
            assert_ne!(handle.join().unwrap(), last, "one of them is the last");
        });
    }
}
