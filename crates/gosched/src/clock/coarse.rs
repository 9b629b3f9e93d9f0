//! What time it is, roughly, for whoever cannot pay for a look at the clock.
//!
//! Every suspension notes when it was, for dumps. It takes the time from a word that others keep: a worker at every
//! fair turn and after every sleep. So the note is one load of a word that changes twice a minute. A worker that has
//! taken up nothing new for long, while all others sleep, notes an older time; dumps show minutes, and nobody else reads
//! this.

use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// The unit. 65,536 of them are 22 days, after which a wait looks young again.
pub(crate) const UNIT: Duration = Duration::from_secs(30);

static NOW: CachePadded<AtomicU16> = CachePadded::new(AtomicU16::new(0));

/// The time as it was last looked at.
#[inline]
pub(crate) fn stamp() -> u16 {
    NOW.load(Ordering::Relaxed)
}

/// Looks at the clock.
pub(crate) fn refresh() {
    // The remainder is what wraps around.
    let now = (seconds() / UNIT.as_secs()) as u16;
    // Written when it changes only: everybody reads it.
    if now != stamp() {
        NOW.store(now, Ordering::Relaxed);
    }
}

/// How long ago that was, now that somebody has refreshed.
pub(crate) fn age(since: u16) -> Duration {
    let units = stamp().wrapping_sub(since);
    // Two threads that refresh at once may set it back by one.
    if units == u16::MAX { Duration::ZERO } else { UNIT * units.into() }
}

/// A clock that is cheaper than the exact one.
#[cfg(target_os = "linux")]
fn seconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the record is valid while the call fills it in.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec.unsigned_abs()
}

#[cfg(not(target_os = "linux"))]
fn seconds() -> u64 {
    super::to_nanos(super::real_now()) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_count_back_from_now_also_past_the_wrap() {
        refresh();
        assert_eq!(age(stamp()), Duration::ZERO);
        assert!((2..4).contains(&(age(stamp().wrapping_sub(5)).as_secs() / 60)));
        assert_eq!(age(stamp().wrapping_add(1)), Duration::ZERO, "a stamp of a moment ahead");
    }
}
