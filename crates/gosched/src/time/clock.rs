//! A clock that a test moves by hand.
//!
//! A runtime that is built with a [`Clock`] lives by it: [`now`](super::now), sleeps, timers, tickers, `after`,
//! time-outs and deadlines of every operation in the library go by that clock for all its goroutines, and so it is for
//! a thread that has [entered](Clock::enter) it. The clock stands still until [`Clock::advance`] moves it.
//!
//! Everything else (other runtimes, plain threads, `blocking` calls, tasks of other executors) goes by the machine's
//! clock, so that tests of one process do not stop each other's time. A timer or channel that is passed from one side
//! to the other is waited for by the clock of whoever waits. The deadline of a context goes by the clock of whoever made
//! the context.
//!
//! ```
//! use gosched::{Runtime, go, time::{self, clock::Clock}};
//! use std::time::Duration;
//!
//! let clock = Clock::manual();
//! let runtime = Runtime::builder().clock(&clock).build().unwrap();
//! runtime.run(move || {
//!     let start = time::now();
//!     let sleeper = go(|| time::sleep(Duration::from_secs(3600)));
//!     while clock.timers() == 0 {
//!         gosched::yield_now(); // it is not asleep yet
//!     }
//!     clock.advance(Duration::from_secs(3600));
//!     sleeper.join().unwrap();
//!     assert_eq!(time::now() - start, Duration::from_secs(3600));
//! });
//! ```
//!
//! In Go: a `testing/synctest` bubble, whose clock moves by itself when all sleep.

pub use crate::clock::Clock;

use crate::clock::manual::{self, Manual};
use crate::task::context;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

impl Clock {
    /// A clock that stands still, at the present time, until it is moved.
    pub fn manual() -> Self {
        Self { manual: Manual::new() }
    }

    /// The time it shows.
    pub fn now(&self) -> Instant {
        self.manual.now()
    }

    /// Moves it on by `duration`, in one step, and wakes whatever is due then, in the order of their times. It does not
    /// wait for those who are woken.
    ///
    /// # Panics
    ///
    /// If the clock were moved by more than five centuries.
    pub fn advance(&self, duration: Duration) {
        self.manual.advance(duration);
    }

    /// Moves it on to `to`, as [`advance`](Clock::advance) does. It never goes back.
    ///
    /// # Panics
    ///
    /// As [`advance`](Clock::advance).
    pub fn advance_to(&self, to: Instant) {
        self.manual.advance_to(to);
    }

    /// When the earliest timer is due for which somebody waits.
    pub fn next_timer(&self) -> Option<Instant> {
        self.manual.next()
    }

    /// How many timers are waited for: one for each goroutine or thread that sleeps or waits with a deadline, each
    /// `after_func`, and each async wait. A test sees by it that all are asleep.
    pub fn timers(&self) -> usize {
        self.manual.len()
    }

    /// Makes this thread go by the clock, until the guard is dropped.
    ///
    /// # Panics
    ///
    /// In a goroutine, which goes by its runtime's clock, and on a thread that has entered a clock already.
    #[track_caller]
    pub fn enter(&self) -> ClockGuard {
        assert!(context().is_none(), "a goroutine goes by the clock of its runtime");
        assert!(manual::here().is_none(), "this thread has entered a clock already");
        manual::set_here(Some(&self.manual));
        ClockGuard { thread: PhantomData }
    }
}

/// Keeps a thread on a clock. Made by [`Clock::enter`].
#[derive(Debug)]
#[must_use = "the thread leaves the clock when the guard is dropped"]
pub struct ClockGuard {
    /// Bound to the thread, hence not `Send`.
    thread: PhantomData<*mut ()>,
}

impl Drop for ClockGuard {
    fn drop(&mut self) {
        manual::set_here(None);
    }
}
