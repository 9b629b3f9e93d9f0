//! Time: for now `sleep` and its future.

use crate::wait::{Timer, WaitReason, wait_for};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The end of a sleep, as a future. Made by [`sleep_async`] and [`sleep_until_async`].
///
/// Dropping it cancels the timer.
#[must_use = "a sleep that is not awaited does not sleep"]
pub struct Sleep {
    /// None: farther away than the clock can tell.
    until: Option<Instant>,
    timer: Timer,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.until {
            Some(until) => self.timer.poll_deadline(cx, until),
            None => Poll::Pending,
        }
    }
}

/// Blocks the goroutine (or the thread) for at least `duration`. Zero returns at once, without yielding.
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
    if !duration.is_zero() {
        wait_for(WaitReason::Sleep, pin!(sleep_async(duration)));
    }
}

/// Blocks the goroutine (or the thread) until `deadline`.
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    wait_for(WaitReason::Sleep, pin!(sleep_until_async(deadline)));
}

/// [`sleep`] as a future. Works on any executor.
pub fn sleep_async(duration: Duration) -> Sleep {
    Sleep { until: Instant::now().checked_add(duration), timer: Timer::new() }
}

/// [`sleep_until`] as a future. Works on any executor.
pub fn sleep_until_async(deadline: Instant) -> Sleep {
    Sleep { until: Some(deadline), timer: Timer::new() }
}
