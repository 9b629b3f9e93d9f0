//! A clock that is moved by hand, and which clock is read where.
//!
//! Which clock applies is a matter of the thread: the workers of a runtime that was built with a manual clock read
//! that one, so does a thread that has entered it, and all others read the machine's. A clock for the whole process
//! would be simpler, but the tests of one program share a process: one test that stops the time would stop it for
//! all that run beside it.
//!
//! # No timer is overslept
//!
//! Whoever inserts a timer publishes the store's earliest deadline, then reads the time; whoever moves the time
//! writes it, then reads the earliest deadline. All four are sequentially consistent, so at least one of the two
//! sees the other and fires what is due; both may, and each timer is popped once.

use super::{TimerKey, Timers, epoch, real_now};
use crate::sys::global::AtomicUsize;
use crate::sys::prim::{AtomicU64, Ordering};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How many manual clocks there are. While there is none, nobody looks for the thread's.
static CLOCKS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: RefCell<Option<Arc<Manual>>> = const { RefCell::new(None) };
}

/// The manual clock that this thread reads; `None` means the machine's.
#[inline]
pub(crate) fn here() -> Option<Arc<Manual>> {
    // Relaxed: a thread that reads a manual clock was given it after it was counted.
    if CLOCKS.load(Ordering::Relaxed) == 0 { None } else { here_slow() }
}

/// Not inlined: nobody may keep a thread-local's address across a suspension.
#[cold]
#[inline(never)]
fn here_slow() -> Option<Arc<Manual>> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Makes this thread read that clock from now on.
#[inline]
pub(crate) fn set_here(clock: Option<&Arc<Manual>>) {
    if CLOCKS.load(Ordering::Relaxed) != 0 {
        set_here_slow(clock.cloned());
    }
}

#[cold]
#[inline(never)]
fn set_here_slow(clock: Option<Arc<Manual>>) {
    // The one before is dropped outside the borrow. A thread at its end reads the machine's clock again.
    drop(HERE.try_with(|here| here.replace(clock)));
}

/// A point in time that stands still until it is moved, and the timers that wait for it.
pub(crate) struct Manual {
    start: Instant,
    /// Nanoseconds since `start`. They never go back.
    elapsed: AtomicU64,
    timers: Timers,
}

impl Manual {
    pub(crate) fn new() -> Arc<Self> {
        // First, so that no instant of this clock lies before what the stores count from.
        epoch();
        CLOCKS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { start: real_now(), elapsed: AtomicU64::new(0), timers: Timers::new() })
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.elapsed.load(Ordering::SeqCst))
    }

    /// Moves the time on by `duration` and wakes what is due then.
    pub(crate) fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).expect("a clock cannot be moved by centuries");
        let add = |elapsed: u64| elapsed.checked_add(nanos);
        let moved = self.elapsed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        moved.expect("a clock cannot be moved by centuries");
        self.fire();
    }

    /// Moves the time to `to`, unless it is later already, and wakes what is due then.
    pub(crate) fn advance_to(&self, to: Instant) {
        let since = to.saturating_duration_since(self.start);
        let nanos = u64::try_from(since.as_nanos()).expect("a clock cannot be moved by centuries");
        self.elapsed.fetch_max(nanos, Ordering::SeqCst);
        self.fire();
    }

    /// When the earliest timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// How many timers wait.
    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Wakes `waker` at `at`, unless it is cancelled before. The caller then calls [`Manual::fire`], as that time may
    /// have come meanwhile.
    pub(crate) fn insert(&self, at: Instant, waker: Waker) -> TimerKey {
        self.timers.insert(self.now(), at, waker).0
    }

    /// As [`Timers::update`]: false if the timer has expired or was cancelled before.
    pub(crate) fn update(&self, key: TimerKey, at: Instant, waker: &Waker) -> bool {
        let live = self.timers.update(key, at, waker).is_some();
        self.fire();
        live
    }

    /// As [`Timers::cancel`].
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        self.timers.cancel(key)
    }

    /// Wakes all that is due.
    pub(crate) fn fire(&self) {
        self.timers.fire(self.now(), &mut Vec::new());
    }
}

impl Drop for Manual {
    fn drop(&mut self) {
        CLOCKS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = Duration::from_nanos(self.elapsed.load(Ordering::Relaxed));
        f.debug_struct("Manual").field("elapsed", &elapsed).field("timers", &self.len()).finish()
    }
}
