//! The channels that time fills: `after`, `at` and `tick`.
//!
//! They hold no timer. A receiver waits until the delivery time and then takes the message, if no other
//! receiver was faster; with nobody waiting there is nothing to run and nothing to collect (S20).

use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicBool, Ordering};
use crate::wait::Timer;
use std::fmt;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The clock of all channel operations with a deadline.
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// When messages come.
#[derive(Debug)]
enum Schedule {
    /// One message.
    Once { at: Instant, received: AtomicBool },
    /// A message each period; at most one waits to be received.
    Periodic { next: Spin<Instant>, period: Duration },
}

/// A channel that delivers points in time.
///
/// `Receiver<T>` is generic and these channels exist for `T = Instant` only; the conversion, the identity, is
/// stored where that is known, and nothing needs to be transmuted.
pub(super) struct TimerChan<T> {
    schedule: Schedule,
    convert: fn(Instant) -> T,
}

impl<T> fmt::Debug for TimerChan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerChan").field("schedule", &self.schedule).finish_non_exhaustive()
    }
}

impl TimerChan<Instant> {
    pub(super) fn once(at: Instant) -> Self {
        let schedule = Schedule::Once { at, received: AtomicBool::new(false) };
        Self { schedule, convert: |time| time }
    }

    pub(super) fn periodic(first: Instant, period: Duration) -> Self {
        Self { schedule: Schedule::Periodic { next: Spin::new(first), period }, convert: |time| time }
    }
}

impl<T> TimerChan<T> {
    /// The message as the channel's type.
    pub(super) fn convert(&self, time: Instant) -> T {
        (self.convert)(time)
    }

    /// Takes the message that is due, if any: the time for which it was due.
    pub(super) fn take(&self) -> Option<Instant> {
        match &self.schedule {
            Schedule::Once { at, received } => {
                let due = !received.load(Ordering::Relaxed) && now() >= *at;
                (due && !received.swap(true, Ordering::AcqRel)).then_some(*at)
            }
            Schedule::Periodic { next, period } => {
                let now = now();
                let mut next = next.lock();
                let due = *next;
                if now < due {
                    return None;
                }
                // A receiver that is only a little late does not shift the schedule; one that missed whole
                // periods gets one message for them, and the schedule starts anew.
                let on_schedule = due.checked_add(*period).filter(|t| *t > now);
                *next = on_schedule.or_else(|| now.checked_add(*period)).unwrap_or(now);
                Some(due)
            }
        }
    }

    /// Takes the next message when it is due.
    pub(super) fn poll_take(&self, sleep: &mut Timer, cx: &mut Context<'_>) -> Poll<T> {
        loop {
            if let Some(time) = self.take() {
                return Poll::Ready(self.convert(time));
            }
            // No further message: another receiver has got the only one.
            let Some(due) = self.due() else { return Poll::Pending };
            if sleep.poll_deadline(cx, due).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Gives back a message that was taken and not consumed. Only `after` and `at` remember it.
    pub(super) fn untake(&self) {
        if let Schedule::Once { received, .. } = &self.schedule {
            received.store(false, Ordering::Release);
        }
    }

    /// When the next message is due. `None` if there will be no more.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.schedule {
            Schedule::Once { at, received } => (!received.load(Ordering::Acquire)).then_some(*at),
            Schedule::Periodic { next, .. } => Some(*next.lock()),
        }
    }

    /// Whether a message is due now.
    pub(super) fn is_due(&self) -> bool {
        self.due().is_some_and(|due| now() >= due)
    }
}
