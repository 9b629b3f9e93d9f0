//! Doing something now and then.

use crate::clock::now;
use crate::sync::Mutex;
use std::fmt;
use std::time::{Duration, Instant};

/// Runs a function sometimes: the first so many times, each so many times, or after so much time, whichever holds. The
/// first call always runs; without any of the three no other does.
///
/// Calls are serialized: one that comes while the function runs waits for its end. A call from inside of the function
/// waits for itself, for ever. A call whose function panics does not count.
///
/// ```
/// use gosched::pipeline::rate::Sometimes;
///
/// let log = Sometimes::new().first(2).every(10);
/// let mut lines = 0;
/// for _ in 0..30 {
///     log.run(|| lines += 1);
/// }
/// assert_eq!(lines, 4); // calls 0, 1, 10 and 20
/// ```
///
/// In Go: `rate.Sometimes`.
#[derive(Default)]
pub struct Sometimes {
    first: u64,
    every: u64,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    calls: u64,
    last: Option<Instant>,
}

impl Sometimes {
    /// Once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also the first `n` times.
    ///
    /// In Go: the field `First`.
    pub fn first(mut self, n: u64) -> Self {
        self.first = n;
        self
    }

    /// Also each `n`th time, beginning with the first.
    ///
    /// In Go: the field `Every`.
    pub fn every(mut self, n: u64) -> Self {
        self.every = n;
        self
    }

    /// Also if `interval` has passed since it was run last.
    ///
    /// ```
    /// use gosched::pipeline::rate::Sometimes;
    /// use std::time::Duration;
    ///
    /// let (log, mut lines) = (Sometimes::new().interval(Duration::from_secs(3600)), 0);
    /// (0..5).for_each(|_| log.run(|| lines += 1));
    /// assert_eq!(lines, 1);
    /// ```
    ///
    /// In Go: the field `Interval`.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Runs `f`, or not.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop while it waits for another's call to end.
    ///
    /// In Go: `Do`.
    #[track_caller]
    pub fn run(&self, f: impl FnOnce()) {
        let mut state = self.state.lock();
        let calls = state.calls;
        let is_due = calls == 0
            || calls < self.first
            || (self.every > 0 && calls.is_multiple_of(self.every))
            || (!self.interval.is_zero()
                && state.last.is_none_or(|last| now().saturating_duration_since(last) >= self.interval));
        if is_due {
            f();
            state.last = Some(now());
        }
        state.calls += 1;
    }
}

impl fmt::Debug for Sometimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sometimes")
            .field("first", &self.first)
            .field("every", &self.every)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
