//! `Ticker`: a channel that delivers a point in time each period.

use crate::chan::{Receiver, never};
use crate::clock::now;
use std::time::{Duration, Instant};

/// A channel that delivers a point in time each period; it can be stopped, and set anew.
///
/// Ticks come on a grid that begins one period after the ticker was made or set: a receiver that is late does not shift
/// those that follow. At most one tick waits to be received. Those that come due while one waits are dropped, and the
/// one delivered is the first of them, with the time for which it was due.
///
/// Stopping and setting act at once, as with [`Timer`](super::Timer): no tick of an earlier setting is received after
/// them. The channel is not closed by either. Nothing runs while nobody receives, and dropping the ticker is all there
/// is to do. Clones of its receiver go on delivering after that.
///
/// # Cancellation
///
/// A waiting receive that is dropped, and a case of a select that is not chosen, leave the tick to the next.
///
/// # Examples
///
/// ```
/// use gosched::time::Ticker;
/// use std::time::Duration;
///
/// let ticker = Ticker::new(Duration::from_millis(2));
/// let first = ticker.receiver().recv().unwrap();
/// assert_eq!(ticker.receiver().recv(), Ok(first + Duration::from_millis(2)));
/// ticker.stop();
/// assert!(ticker.receiver().try_recv().is_err());
/// ```
///
/// In Go: `time.Ticker`, as of Go 1.23.
#[derive(Debug)]
pub struct Ticker {
    receiver: Receiver<Instant>,
}

impl Ticker {
    /// A ticker with this period. The first tick comes after one.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    ///
    /// In Go: `time.NewTicker`.
    #[track_caller]
    pub fn new(period: Duration) -> Self {
        assert!(!period.is_zero(), "non-positive interval for NewTicker");
        Self { receiver: Receiver::timed(now().checked_add(period), Some(period)) }
    }

    /// The channel. (Go's field `C`.)
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.receiver
    }

    /// Stops the ticker: no more ticks until it is set again, not even one that was due already.
    ///
    /// In Go: `Ticker.Stop`.
    pub fn stop(&self) {
        self.receiver.stop_timer();
    }

    /// Gives the ticker another period, whether it was stopped or not. The next tick comes after one of them.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    ///
    /// ```
    /// use gosched::time::Ticker;
    /// use std::time::Duration;
    ///
    /// let ticker = Ticker::new(Duration::from_secs(60));
    /// ticker.reset(Duration::from_millis(1));
    /// assert!(ticker.receiver().recv().is_ok());
    /// ```
    ///
    /// In Go: `Ticker.Reset`.
    #[track_caller]
    pub fn reset(&self, period: Duration) {
        assert!(!period.is_zero(), "non-positive interval for Ticker.Reset");
        self.receiver.set_timer(now().checked_add(period), Some(period));
    }
}

/// The channel of a [`Ticker`] that is never stopped: [`chan::tick`](crate::chan::tick), except that a period of zero
/// gives a channel from which nothing comes.
///
/// ```
/// use gosched::time::tick;
/// use std::time::Duration;
/// assert!(tick(Duration::from_millis(1)).recv().is_ok());
/// assert!(tick(Duration::ZERO).try_recv().is_err());
/// ```
///
/// In Go: `time.Tick`.
pub fn tick(period: Duration) -> Receiver<Instant> {
    if period.is_zero() { never() } else { crate::chan::tick(period) }
}
