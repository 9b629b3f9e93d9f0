//! Tokens taken in advance.

use super::{Granted, Limiter};
use crate::clock::now;
use crate::sys::global::lock;
use std::time::{Duration, Instant};

/// Tokens that were taken in advance; from [`Limiter::reserve`].
///
/// Dropping it keeps them taken: the event is expected to happen. [`cancel`](Reservation::cancel) gives them back.
///
/// ```
/// use gosched::pipeline::rate::{Limit, Limiter, Reservation};
/// use std::time::Duration;
///
/// let limiter = Limiter::new(Limit::per_second(0.0), 1);
/// let first: Reservation<'_> = limiter.reserve();
/// assert!(first.is_ok() && first.delay() == Duration::ZERO);
/// let never = limiter.reserve();
/// assert_eq!(never.delay(), Duration::MAX);
/// ```
///
/// It can be cancelled once: a second time would give back what is not there, as it does in Go.
///
/// ```compile_fail,E0599
/// # let limiter = gosched::pipeline::rate::Limiter::default();
/// let twice = limiter.reserve().clone();
/// ```
///
/// In Go: `rate.Reservation`.
#[derive(Debug)]
#[must_use = "it tells when the event may happen"]
pub struct Reservation<'a> {
    pub(super) limiter: &'a Limiter,
    pub(super) granted: Option<Granted>,
}

impl Reservation<'_> {
    /// Whether tokens were taken: they are not if there are more to take than the bucket holds.
    ///
    /// In Go: `OK`.
    pub fn is_ok(&self) -> bool {
        self.granted.is_some()
    }

    /// How long to wait until the event may happen; [`Duration::MAX`] is for ever.
    ///
    /// In Go: `Delay`.
    pub fn delay(&self) -> Duration {
        self.delay_from(now())
    }

    /// How long to wait from `now` on.
    ///
    /// In Go: `DelayFrom`.
    pub fn delay_from(&self, now: Instant) -> Duration {
        match self.granted {
            Some(Granted { at: Some(at), .. }) => at.saturating_duration_since(now),
            _ => Duration::MAX,
        }
    }

    /// The event will not happen: gives the tokens back, as far as later reservations were not made on the ground
    /// that they are taken. Does nothing once the event could have happened.
    ///
    /// ```
    /// use gosched::pipeline::rate::{Limit, Limiter};
    /// use std::time::Duration;
    ///
    /// let limiter = Limiter::new(Limit::every(Duration::from_secs(3600)), 1);
    /// assert!(limiter.allow());
    /// let later = limiter.reserve();
    /// assert!(limiter.tokens() < 0.0);
    /// later.cancel();
    /// assert!(limiter.tokens() >= 0.0);
    /// ```
    ///
    /// In Go: `Cancel`.
    pub fn cancel(self) {
        self.cancel_at(now());
    }

    /// The same at `now`.
    ///
    /// In Go: `CancelAt`.
    pub fn cancel_at(self, now: Instant) {
        if let Some(granted) = &self.granted {
            lock(&self.limiter.bucket).restore(now, granted);
        }
    }
}
