//! The word that mirrors a channel's state for those who look without the lock.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 `CLOSED` | `close` was called or the last sender is gone |
//! | 1 `ABANDONED` | the last receiver is gone |
//! | 2 `RECEIVERS` | the queue of receivers is not empty |
//! | 3 `SENDERS` | the queue of senders is not empty |
//! | 4 `FULL` | every place of the buffer is taken or set aside |
//! | 8.. | number of values in the channel |
//!
//! It is stored in each critical section before the unlock, and more than once only by a select, which holds several
//! locks and tells of each step by itself. A single read is therefore the state at one instant, and an operation that
//! fails by it fails for a true reason (C25): a channel that went from "non-empty, open" to "non-empty, closed" to
//! "empty, closed" never shows "empty, open".
//!
//! The two queue bits may be set for waiters that were served elsewhere meanwhile; whoever sees them takes the
//! lock and finds out.

use crate::sys::prim::{AtomicU64, Ordering};

const CLOSED: u64 = 1;
const ABANDONED: u64 = 1 << 1;
const RECEIVERS: u64 = 1 << 2;
const SENDERS: u64 = 1 << 3;
const FULL: u64 = 1 << 4;
const LEN_SHIFT: u32 = 8;

/// The state at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot(u64);

impl Snapshot {
    #[inline]
    pub(super) fn new(
        len: usize,
        closed: bool,
        abandoned: bool,
        receivers: bool,
        senders: bool,
        full: bool,
    ) -> Self {
        Self(
            ((len as u64) << LEN_SHIFT)
                | (u64::from(closed) * CLOSED)
                | (u64::from(abandoned) * ABANDONED)
                | (u64::from(receivers) * RECEIVERS)
                | (u64::from(senders) * SENDERS)
                | (u64::from(full) * FULL),
        )
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        (self.0 >> LEN_SHIFT) as usize
    }

    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether every send fails.
    #[inline]
    pub(super) fn rejects(self) -> bool {
        self.0 & (CLOSED | ABANDONED) != 0
    }

    #[inline]
    pub(super) fn is_full(self) -> bool {
        self.0 & FULL != 0
    }

    /// Whether a receive might find a value: one is here, or a sender waits.
    #[inline]
    pub(super) fn may_have_value(self) -> bool {
        self.0 & SENDERS != 0 || self.0 >> LEN_SHIFT != 0
    }

    /// Whether a send might find a place: the buffer has one, or a receiver waits.
    #[inline]
    pub(super) fn may_have_place(self) -> bool {
        self.0 & (FULL | RECEIVERS) != FULL
    }
}

/// Where the snapshots are published.
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

impl Word {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self(AtomicU64::new(snapshot.0))
    }

    /// Acquire: whoever learns here that the channel is closed sees what was done before closing (M03).
    #[inline]
    pub(super) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Called under the lock only.
    #[inline]
    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.0.store(snapshot.0, Ordering::Release);
    }
}
