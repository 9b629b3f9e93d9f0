//! How an ordinary thread waits.

use crate::clock::real_now;
use crate::sys::background;
use crate::sys::census::{self, Sleep, Sleeper};
use crate::sys::prim::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::sys::threads::os_id;
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
    sleeps: Sleeps,
}

/// How the thread sleeps, for those who look for deadlocks. Written by the thread alone.
struct Sleeps {
    /// The thread's number, as the system knows it.
    number: u32,
    /// [`AWAKE`], [`FOR_A_WHILE`] or [`UNTIL_WOKEN`].
    how: AtomicU32,
    times: AtomicUsize,
    /// The worker that it keeps meanwhile: see [`Sleep`]. No runtime is at address zero.
    runtime: AtomicUsize,
    worker: AtomicU32,
}

const AWAKE: u32 = 0;
const FOR_A_WHILE: u32 = 1;
const UNTIL_WOKEN: u32 = 2;

impl Sleeper for Parker {
    fn thread(&self) -> u32 {
        self.sleeps.number
    }

    fn sleep(&self) -> Sleep {
        let sleeps = &self.sleeps;
        let runtime = sleeps.runtime.load(Ordering::SeqCst);
        let until_woken = Sleep::UntilWoken {
            times: sleeps.times.load(Ordering::SeqCst),
            keeps: (runtime != 0).then(|| (runtime, sleeps.worker.load(Ordering::SeqCst))),
        };
        match sleeps.how.load(Ordering::SeqCst) {
            // It has been woken, but its thread has not got to it yet.
            _ if self.notified.load(Ordering::SeqCst) => Sleep::Awake,
            FOR_A_WHILE => Sleep::ForAWhile,
            UNTIL_WOKEN => until_woken,
            _ => Sleep::Awake,
        }
    }
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
        let parker = Arc::new(Self {
            notified: AtomicBool::new(false),
            depth: AtomicU32::new(0),
            thread: thread::current(),
            sleeps: Sleeps {
                number: os_id(),
                how: AtomicU32::new(AWAKE),
                times: AtomicUsize::new(0),
                runtime: AtomicUsize::new(0),
                worker: AtomicU32::new(0),
            },
        });
        census::enter_sleeper(Arc::downgrade(&parker) as _);
        parker
    }

    /// Parks until notified, which `park` may do earlier, and then is called again while it returns true. For those who
    /// look for deadlocks the thread sleeps meanwhile: for a while only, or until somebody wakes it.
    fn sleep(&self, for_a_while: bool, mut park: impl FnMut() -> bool) {
        if self.notified.swap(false, Ordering::AcqRel) {
            return;
        }
        self.enter(for_a_while);
        while park() && !self.notified.swap(false, Ordering::AcqRel) {}
        self.leave();
    }

    fn enter(&self, for_a_while: bool) {
        let sleeps = &self.sleeps;
        let context = crate::task::context();
        sleeps.runtime.store(context.map_or(0, |context| context.scheduler.addr()), Ordering::Relaxed);
        sleeps.worker.store(context.map_or(0, |context| context.index), Ordering::Relaxed);
        sleeps.times.fetch_add(1, Ordering::Relaxed);
        sleeps.how.store(if for_a_while { FOR_A_WHILE } else { UNTIL_WOKEN }, Ordering::SeqCst);
        census::moved();
    }

    fn leave(&self) {
        self.sleeps.how.store(AWAKE, Ordering::SeqCst);
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
        let _entered = background::enter();
        future.poll(&mut Context::from_waker(&self.waker))
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn park(&self) {
        self.parker.sleep(false, || {
            thread::park();
            true
        });
    }

    pub(super) fn park_until(&self, deadline: Instant) {
        self.parker.sleep(true, || {
            let left = deadline.saturating_duration_since(real_now());
            thread::park_timeout(left);
            !left.is_zero()
        });
    }

    /// At the end of a wait inside another's poll: see `Blocker::renotify`.
    pub(super) fn renotify(&self) {
        if self.parker.depth.load(Ordering::Relaxed) > 0 {
            self.parker.notified.store(true, Ordering::Release);
        }
    }
}
