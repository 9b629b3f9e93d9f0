//! `Timer`: a channel timer that can be stopped and set anew.

use crate::chan::Receiver;
use crate::clock::now;
use std::time::{Duration, Instant};

/// A channel that delivers one point in time, when it has come; it can be stopped, and set anew.
///
/// The channel, [`receiver`](Timer::receiver), works everywhere a receiver does: `recv`, `select!`, `recv_async`,
/// streams. What it delivers is the time for which the message was due, not that at which somebody got to receive it.
///
/// Stopping and setting act on the channel at once: after [`stop`](Timer::stop) or [`reset`](Timer::reset) has returned,
/// no message of the earlier setting can be received any more, so there is nothing to drain. A receiver that waits
/// while the timer is set goes on waiting, for the new time.
///
/// Nothing runs while nobody receives, and dropping the timer is all there is to do. Clones of its receiver go on
/// delivering after that.
///
/// # Cancellation
///
/// A waiting receive that is dropped, and a case of a select that is not chosen, leave the message to the next.
///
/// # Examples
///
/// ```
/// use gosched::{chan, select, time::Timer};
/// use std::time::Duration;
///
/// let (tx, rx) = chan::bounded(1);
/// let quiet = Timer::new(Duration::from_secs(60));
/// tx.send("news").unwrap();
/// select! {
///     recv(rx) -> news => assert_eq!(news, Ok("news")),
///     recv(quiet.receiver()) -> _ => panic!("nothing in a minute"),
/// }
/// assert!(quiet.reset(Duration::from_millis(1))); // it had not fired
/// assert!(quiet.receiver().recv().is_ok());
/// assert!(!quiet.stop()); // now it has
/// ```
///
/// In Go: `time.Timer`, as of Go 1.23. One that was not made by a constructor, whose `Stop` and `Reset` panic there,
/// does not exist here:
///
/// ```compile_fail,E0277
/// #[derive(Default)]
/// struct Session {
///     quiet: gosched::time::Timer,
/// }
/// ```
#[derive(Debug)]
pub struct Timer {
    receiver: Receiver<Instant>,
}

impl Timer {
    /// A timer that fires `duration` from now.
    ///
    /// One that leads beyond the clock's range never fires, but can be stopped and set.
    ///
    /// In Go: `time.NewTimer`.
    pub fn new(duration: Duration) -> Self {
        Self { receiver: Receiver::timed(now().checked_add(duration), None) }
    }

    /// A timer that fires at `when`.
    ///
    /// ```
    /// use gosched::time::{Timer, now};
    /// use std::time::Duration;
    ///
    /// let when = now() + Duration::from_millis(1);
    /// assert_eq!(Timer::at(when).receiver().recv(), Ok(when));
    /// ```
    ///
    /// In Go: `time.NewTimer(time.Until(t))`.
    pub fn at(when: Instant) -> Self {
        Self { receiver: Receiver::timed(Some(when), None) }
    }

    /// The channel. (Go's field `C`; the name says what it is, as a method's must.)
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.receiver
    }

    /// Stops the timer: nothing is delivered until it is set again.
    ///
    /// True if this kept a message from being received, also one that was due already; false if the message had been
    /// received, or the timer stopped before.
    ///
    /// ```
    /// use gosched::time::Timer;
    /// let timer = Timer::new(std::time::Duration::ZERO);
    /// assert!(timer.stop());
    /// assert!(timer.receiver().try_recv().is_err());
    /// assert!(!timer.stop());
    /// ```
    ///
    /// In Go: `Timer.Stop`.
    pub fn stop(&self) -> bool {
        self.receiver.stop_timer()
    }

    /// Sets the timer to fire `duration` from now, whether it has fired, was stopped, or neither.
    ///
    /// True if a message was still to be received, which is not delivered any more.
    ///
    /// ```
    /// use gosched::time::Timer;
    /// use std::time::Duration;
    ///
    /// let timer = Timer::new(Duration::from_secs(60));
    /// assert!(timer.reset(Duration::ZERO));
    /// assert!(timer.receiver().recv().is_ok());
    /// assert!(!timer.reset(Duration::from_secs(60)), "it has been received");
    /// ```
    ///
    /// In Go: `Timer.Reset`.
    pub fn reset(&self, duration: Duration) -> bool {
        self.receiver.set_timer(now().checked_add(duration), None)
    }

    /// Sets the timer to fire at `when`; see [`reset`](Timer::reset).
    ///
    /// In Go: `Timer.Reset(time.Until(t))`.
    pub fn reset_at(&self, when: Instant) -> bool {
        self.receiver.set_timer(Some(when), None)
    }
}
