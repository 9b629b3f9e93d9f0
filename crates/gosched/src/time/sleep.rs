//! Sleeping.

use crate::clock::now;
use crate::wait::{Place, Timer, WaitReason, wait_deadline, wait_for};
use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The end of a sleep, as a future. Made by [`sleep_async`] and [`sleep_until_async`].
///
/// # Cancellation
///
/// Dropping it cancels the timer, and nothing else is lost.
///
/// # Example
///
/// ```
/// use gosched::{time::{Sleep, sleep_async}, wait};
/// use std::time::Duration;
///
/// let sleep: Sleep = sleep_async(Duration::from_millis(1));
/// wait(sleep);
/// ```
///
/// In Go: nothing; only a goroutine can sleep.
#[must_use = "a sleep that is not awaited does not sleep"]
pub struct Sleep {
    /// None: farther away than the clock can tell.
    until: Option<Instant>,
    timer: Timer,
    place: Place,
}

impl Sleep {
    #[track_caller]
    pub(super) fn new(until: Option<Instant>) -> Self {
        Self { until, timer: Timer::new(), place: Place::here() }
    }

    /// Polls as the time limit of something else: that is what the goroutine waits for.
    pub(super) fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.until {
            Some(until) => self.timer.poll_deadline(cx, until),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.poll_limit(cx);
        self.place.note(WaitReason::Sleep, cx, polled)
    }
}

/// Blocks the goroutine (or the thread) for at least `duration`. Zero returns at once, without yielding.
///
/// A duration beyond the clock's range sleeps for ever.
///
/// # Cancellation
///
/// Cannot be told to stop; `ctx.wait(sleep_async(duration))` can.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// gosched::run(|| {
///     let start = Instant::now();
///     gosched::time::sleep(Duration::from_millis(5));
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
///
/// In Go: `time.Sleep`.
#[track_caller]
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        return;
    }
    match now().checked_add(duration) {
        Some(until) => sleep_until(until),
        None => wait_for(WaitReason::Sleep, pin!(pending())),
    }
}

/// Blocks the goroutine (or the thread) until `deadline`. One that has passed returns at once, without yielding.
///
/// # Cancellation
///
/// Cannot be told to stop; `ctx.wait(sleep_until_async(deadline))` can.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// gosched::run(|| {
///     let deadline = Instant::now() + Duration::from_millis(5);
///     gosched::time::sleep_until(deadline);
///     assert!(Instant::now() >= deadline);
/// });
/// ```
///
/// In Go: `time.Sleep(time.Until(t))`.
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    // A wait for nothing, with a deadline: the timer lies on this stack and is not cancelled when it has fired.
    let forever: Pin<&mut std::future::Pending<()>> = pin!(pending());
    let _ = wait_deadline(WaitReason::Sleep, forever, deadline);
}

/// [`sleep`] as a future, beginning now. Works on any executor.
///
/// ```
/// use gosched::{time::sleep_async, wait};
/// wait(sleep_async(std::time::Duration::from_millis(1)));
/// ```
///
/// In Go: nothing; only a goroutine can sleep.
#[track_caller]
pub fn sleep_async(duration: Duration) -> Sleep {
    Sleep::new(now().checked_add(duration))
}

/// [`sleep_until`] as a future. Works on any executor.
///
/// ```
/// use gosched::{time, wait};
/// wait(time::sleep_until_async(time::now()));
/// ```
#[track_caller]
pub fn sleep_until_async(deadline: Instant) -> Sleep {
    Sleep::new(Some(deadline))
}
