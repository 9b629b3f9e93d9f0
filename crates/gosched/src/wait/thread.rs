//! How an ordinary thread waits.

use crate::clock::real_now;
use crate::sys::prim::{AtomicBool, AtomicU32, Ordering};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// A thread's waker: a flag of its own beside std's park token, which others may use up.
struct Parker {
    notified: AtomicBool,
    /// How many polls are on the thread's stack. Touched by the thread alone.
    depth: AtomicU32,
    thread: Thread,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A read-modify-write even if the flag is set already, for the reason given in `task::state`.
        if !self.notified.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

thread_local! {
    static PARKER: Arc<Parker> = Parker::new();
}

impl Parker {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            notified: AtomicBool::new(false),
            depth: AtomicU32::new(0),
            thread: thread::current(),
        })
    }
}

/// This thread as one that waits. Used on the thread it was made on.
pub(super) struct Current {
    parker: Arc<Parker>,
    waker: Waker,
}

impl Current {
    /// Not inlined: nobody may keep a thread-local's address across a suspension.
    #[inline(never)]
    pub(super) fn get() -> Self {
        // In a destructor of another thread-local ours may be gone: then one for this call alone.
        let parker = PARKER.try_with(Arc::clone).unwrap_or_else(|_| Parker::new());
        let waker = Waker::from(parker.clone());
        Self { parker, waker }
    }

    pub(super) fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        struct Leave<'a>(&'a AtomicU32);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.parker.depth.fetch_add(1, Ordering::Relaxed);
        let _leave = Leave(&self.parker.depth);
        future.poll(&mut Context::from_waker(&self.waker))
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn park(&self) {
        while !self.parker.notified.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }

    pub(super) fn park_until(&self, deadline: Instant) {
        while !self.parker.notified.swap(false, Ordering::AcqRel) {
            let left = deadline.saturating_duration_since(real_now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    /// At the end of a wait inside another's poll: see `Blocker::renotify`.
    pub(super) fn renotify(&self) {
        if self.parker.depth.load(Ordering::Relaxed) > 0 {
            self.parker.notified.store(true, Ordering::Release);
        }
    }
}
