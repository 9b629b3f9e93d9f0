//! A clock that a test moves by hand.
//!
//! A runtime that is built with a [`Clock`] lives by it: [`now`](super::now), sleeps, timers, tickers, `after`,
//! time-outs and deadlines of every operation in the library go by that clock for all its goroutines, and so it is for
//! a thread that has [entered](Clock::enter) it. So do rate limiters, the time that idle workers stay, and the deadlines
//! of contexts that are made there. The clock stands still until [`Clock::advance`] moves it.
//!
//! Everything else (other runtimes, plain threads, `blocking` calls, tasks of other executors) goes by the machine's
//! clock, so that tests of one process do not stop each other's time. A timer or channel that is passed from one side
//! to the other is waited for by the clock of whoever waits.
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
    ///
    /// ```
    /// use gosched::time::clock::Clock;
    ///
    /// let clock = Clock::manual();
    /// assert_eq!(clock.now(), clock.now());
    /// ```
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
    ///
    /// ```
    /// use gosched::time::clock::Clock;
    /// use std::time::Duration;
    ///
    /// let clock = Clock::manual();
    /// let start = clock.now();
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(clock.now() - start, Duration::from_secs(60));
    /// ```
    ///
    /// In Go: nothing; time in a `synctest` bubble goes on when all its goroutines wait.
    pub fn advance(&self, duration: Duration) {
        self.manual.advance(duration);
    }

    /// Moves it on to `to`, as [`advance`](Clock::advance) does. It never goes back.
    ///
    /// # Panics
    ///
    /// As [`advance`](Clock::advance).
    ///
    /// ```
    /// use gosched::time::clock::Clock;
    /// use std::time::Duration;
    ///
    /// let clock = Clock::manual();
    /// let later = clock.now() + Duration::from_secs(60);
    /// clock.advance_to(later);
    /// clock.advance_to(later - Duration::from_secs(1));
    /// assert_eq!(clock.now(), later);
    /// ```
    pub fn advance_to(&self, to: Instant) {
        self.manual.advance_to(to);
    }

    /// When the earliest timer is due for which somebody waits.
    ///
    /// ```
    /// use gosched::{time::{after_func, clock::Clock}, Runtime};
    /// use std::time::Duration;
    ///
    /// let clock = Clock::manual();
    /// Runtime::builder().clock(&clock).build()?.run({
    ///     let clock = clock.clone();
    ///     move || {
    ///         let timer = after_func(Duration::from_secs(1), || ());
    ///         assert_eq!(clock.next_timer(), Some(clock.now() + Duration::from_secs(1)));
    ///         timer.stop();
    ///         assert_eq!((clock.next_timer(), clock.timers()), (None, 0));
    ///     }
    /// });
    /// # std::io::Result::Ok(())
    /// ```
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
    ///
    /// ```
    /// use gosched::time::{clock::Clock, now};
    /// use std::time::Duration;
    ///
    /// let clock = Clock::manual();
    /// let guard = clock.enter();
    /// let start = now();
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(now() - start, Duration::from_secs(60));
    /// drop(guard);
    /// ```
    #[track_caller]
    pub fn enter(&self) -> ClockGuard {
        assert!(context().is_none(), "a goroutine goes by the clock of its runtime");
        assert!(manual::here().is_none(), "this thread has entered a clock already");
        manual::set_here(Some(&self.manual));
        ClockGuard { thread: PhantomData }
    }
}

/// Keeps a thread on a clock. Made by [`Clock::enter`].
///
/// ```
/// use gosched::time::{clock::{Clock, ClockGuard}, now};
///
/// let clock = Clock::manual();
/// let guard: ClockGuard = clock.enter();
/// assert_eq!(now(), clock.now());
/// drop(guard); // back to the machine's time
/// ```
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
