//! `timeout`: a future that is given up when the time is up.

use super::sleep::Sleep;
use crate::clock::now;
use crate::wait::wait;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The time was up before the future had ended.
///
/// ```
/// use gosched::time::{Elapsed, sleep_async, timeout};
/// use std::{io, time::Duration};
///
/// fn quick() -> io::Result<()> {
///     // It becomes an `io::Error` by itself.
///     Ok(timeout(Duration::from_millis(1), sleep_async(Duration::from_secs(60)))?)
/// }
/// assert_eq!(quick().unwrap_err().kind(), io::ErrorKind::TimedOut);
/// ```
///
/// In Go: `context.DeadlineExceeded`, or the case of `time.After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Waits for `future`, for at most `duration`, blocking the goroutine or the thread.
///
/// The future is polled first: one that is ready wins, even if the time is up as well.
///
/// # Errors
///
/// [`Elapsed`] when the time is up. The future is dropped then, which cancels it: what that means is its own business;
/// those of this library lose nothing.
///
/// # Panics
///
/// A panic of the future is passed on.
///
/// # Examples
///
/// ```
/// use gosched::{chan, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let (tx, rx) = chan::bounded(1);
/// assert_eq!(timeout(Duration::from_millis(1), rx.recv_async()), Err(Elapsed));
/// tx.send(7).unwrap();
/// assert_eq!(timeout(Duration::from_secs(60), rx.recv_async()), Ok(Ok(7)));
/// ```
///
/// In Go: `select { case v := <-c: … case <-time.After(d): … }`, or `context.WithTimeout`.
#[track_caller]
pub fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    wait(timeout_async(duration, future))
}

/// [`timeout`] with a point in time.
///
/// # Errors
///
/// As [`timeout`].
///
/// ```
/// use gosched::time::{now, sleep_async, timeout_at};
/// use std::time::Duration;
///
/// let deadline = now() + Duration::from_millis(1);
/// assert!(timeout_at(deadline, sleep_async(Duration::from_secs(60))).is_err());
/// ```
///
/// In Go: `context.WithDeadline`.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    wait(timeout_at_async(deadline, future))
}

/// [`timeout`] as a future; the time begins now. Works on any executor.
///
/// ```
/// use gosched::{time::{sleep_async, timeout_async}, wait};
/// use std::time::Duration;
///
/// let late = async { timeout_async(Duration::from_millis(1), sleep_async(Duration::from_secs(60))).await };
/// assert!(wait(late).is_err());
/// ```
pub fn timeout_async<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: Sleep::new(now().checked_add(duration)) }
}

/// [`timeout_at`] as a future. Works on any executor.
///
/// ```
/// use gosched::{time::{now, timeout_at_async}, wait};
///
/// assert_eq!(wait(timeout_at_async(now(), async { 7 })), Ok(7), "who is ready wins");
/// ```
pub fn timeout_at_async<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future, sleep: Sleep::new(Some(deadline)) }
}

/// A future with a time-out. From [`timeout_async`] and [`timeout_at_async`].
///
/// # Cancellation
///
/// Dropping it drops the future inside and cancels the timer.
///
/// # Example
///
/// ```
/// use gosched::{chan, time::{Elapsed, timeout_async}, wait};
/// use std::time::Duration;
///
/// let (tx, rx) = chan::bounded(1);
/// assert_eq!(wait(timeout_async(Duration::from_millis(1), rx.recv_async())), Err(Elapsed));
/// tx.send("late").unwrap();
/// assert_eq!(rx.recv(), Ok("late"), "the receive that was given up has taken nothing");
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Timeout<F> {
    future: F,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out; `future` is pinned with us and dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        if let Poll::Ready(output) = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll_limit(cx).map(|()| Err(Elapsed))
    }
}
