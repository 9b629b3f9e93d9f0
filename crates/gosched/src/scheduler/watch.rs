//! Who watches the timers while workers sleep.
//!
//! One sleeper, the *keeper*, sleeps until the earliest timer; the others sleep until they are woken. A keeper that
//! finds something to do is the keeper no more, and may be busy for long. Waking another to be the keeper each time
//! would cost a wake-up (16 µs of processor time on a virtual machine) for each batch of timers. So there is a
//! *deputy*: a sleeper that wakes a little later than the keeper should, and looks whether somebody has been there.
//!
//! # No timer is forgotten
//!
//! While a worker sleeps there is a keeper, or a deputy that wakes soon enough, or whoever took the last of these
//! offices away with it has woken a sleeper: a worker that stops searching because it has found something or that goes
//! off duty, and whoever puts a timer in front of all others, asks [`Watch::is_kept`]. All accesses are sequentially consistent: who enters
//! an office reads the timers after it; who inserts a timer reads the offices after it.

use crate::clock::NEVER;
use crate::sys::prim::{AtomicU32, AtomicU64, Ordering};

/// How many nanoseconds later than the keeper its deputy looks at the timers.
const SLACK: u64 = 2_000_000;

/// How often in a row nobody is called, at most, where calls were in vain.
const MOST_RESTRAINT: u32 = 63;

/// What a sleeper does for the timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Office {
    Keeper,
    Deputy,
    Nothing,
}

#[derive(Debug)]
pub(super) struct Watch {
    /// One more than the number of the worker that sleeps until the earliest timer; 0 for none.
    keeper: AtomicU32,
    /// When the deputy wakes up; `NEVER` if there is none.
    deputy: AtomicU64,
    /// Until when nobody looks at the timers.
    paused: AtomicU64,
    /// How many times in a row nobody is called to help with what was due: the last time, and still to come.
    restraint: AtomicU32,
    restrained: AtomicU32,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            keeper: AtomicU32::new(0),
            deputy: AtomicU64::new(NEVER),
            paused: AtomicU64::new(0),
            restraint: AtomicU32::new(0),
            restrained: AtomicU32::new(0),
        }
    }

    /// Worker `index`, which is about to sleep, takes an office, if one is free and there is something to watch.
    /// With the time at which it should wake up. `next` reads when the earliest timer is due.
    pub(super) fn enter(&self, index: u32, next: impl Fn() -> u64) -> (Office, u64) {
        // Entered before the timers are read: an insertion that we do not see sees us.
        if self.keeper.compare_exchange(0, index + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return (Office::Keeper, self.not_before_pause(next()));
        }
        match next() {
            NEVER => (Office::Nothing, NEVER),
            due => {
                let until = self.not_before_pause(due).saturating_add(SLACK);
                match self.deputy.compare_exchange(NEVER, until, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => (Office::Deputy, until),
                    Err(_) => (Office::Nothing, NEVER),
                }
            }
        }
    }

    /// A worker that has slept gives its office back. Before it searches: see [`Watch::is_kept`].
    pub(super) fn leave(&self, office: Office) {
        match office {
            Office::Keeper => self.keeper.store(0, Ordering::SeqCst),
            Office::Deputy => self.deputy.store(NEVER, Ordering::SeqCst),
            Office::Nothing => {}
        }
    }

    /// Whether somebody asleep will look in time at a timer that is due at `due`.
    pub(super) fn is_kept(&self, due: u64) -> bool {
        due == NEVER
            || self.keeper.load(Ordering::SeqCst) != 0
            // Twice the slack: one that is due a little earlier than what the deputy saw can wait for it too.
            || self.deputy.load(Ordering::SeqCst) <= self.not_before_pause(due).saturating_add(2 * SLACK)
    }

    /// Whether another worker need not be woken to help with goroutines whose timers were due: somebody wakes up in a
    /// moment anyway, and those called before came too late to find any.
    pub(super) fn can_wait(&self, now: u64, next: u64) -> bool {
        let soon = now.saturating_add(2 * SLACK);
        let wakes = self.deputy.load(Ordering::SeqCst) <= soon
            || (self.keeper.load(Ordering::SeqCst) != 0 && self.not_before_pause(next) <= soon);
        let left = self.restrained.load(Ordering::Relaxed);
        if wakes && left > 0 {
            self.restrained.store(left - 1, Ordering::Relaxed);
        }
        wakes && left > 0
    }

    /// Somebody who was called has found nothing. (These counts are rules of thumb: relaxed, and an update that is lost
    /// does no harm.)
    pub(super) fn called_in_vain(&self) {
        let restraint = (self.restraint.load(Ordering::Relaxed) * 2 + 1).min(MOST_RESTRAINT);
        self.restraint.store(restraint, Ordering::Relaxed);
        self.restrained.store(restraint, Ordering::Relaxed);
    }

    /// Somebody has found something to steal.
    pub(super) fn called_for_good(&self) {
        let restraint = self.restraint.load(Ordering::Relaxed) / 2;
        self.restraint.store(restraint, Ordering::Relaxed);
        self.restrained.store(restraint, Ordering::Relaxed);
    }

    pub(super) fn keeper(&self) -> Option<u32> {
        self.keeper.load(Ordering::SeqCst).checked_sub(1)
    }

    /// Nobody looks at the timers until then, as the clock counts nanoseconds.
    pub(super) fn pause(&self, until: u64) {
        // Relaxed, as the read: a look too many or too few does no harm.
        self.paused.store(until, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn not_before_pause(&self, due: u64) -> u64 {
        due.max(self.paused.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_keeper_leaves_the_timers_to_its_deputy() {
        let watch = Watch::new();
        assert!(watch.is_kept(NEVER));
        assert!(!watch.is_kept(5));
        assert_eq!(watch.enter(0, || 5), (Office::Keeper, 5));
        assert_eq!(watch.keeper(), Some(0));
        assert_eq!(watch.enter(1, || 5), (Office::Deputy, 5 + SLACK));
        assert_eq!(watch.enter(2, || 5), (Office::Nothing, NEVER));
        watch.leave(Office::Keeper);
        assert!(watch.is_kept(5), "the deputy wakes soon enough");
        watch.leave(Office::Deputy);
        assert!(!watch.is_kept(5));
    }

    #[test]
    fn a_deputy_that_wakes_too_late_is_none() {
        let watch = Watch::new();
        let _ = watch.enter(0, || 100 * SLACK);
        assert_eq!(watch.enter(1, || 100 * SLACK), (Office::Deputy, 101 * SLACK));
        watch.leave(Office::Keeper);
        assert!(!watch.is_kept(50 * SLACK));
        assert!(watch.is_kept(99 * SLACK));
    }

    #[test]
    fn without_timers_there_is_no_deputy() {
        let watch = Watch::new();
        assert_eq!(watch.enter(0, || NEVER), (Office::Keeper, NEVER));
        assert_eq!(watch.enter(1, || NEVER), (Office::Nothing, NEVER));
    }
}
