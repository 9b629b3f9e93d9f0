//! Looking at goroutines from outside, while they run, end, and their headers serve others.
//!
//! Ids are never used twice, so the id of a header is its version:
//!
//! ```text
//!            prepare                fill, labels       end        prepare
//! id         0, then the id ------------------------------------> 0, then the next id
//! fields     old ... new ----------------------------------------> ...
//! vtable     NONE ................. the body's ------- NONE (the header is in the pool)
//! state      closed .... owned ----------------------- closed
//! ```
//!
//! Whoever looks reads the id, the fields, and the id again. The writer puts a release fence between its zero and the
//! fields, the reader an acquire fence between the fields and its second look: if it has read anything that the next
//! goroutine's `prepare` has written, the second look finds zero or a later id. So all the fields that are written once
//! are those of one goroutine. What changes while it lives (state, reason, place, time) is of that goroutine, too, but
//! one of these may be a wait older than another; they fit together for one that stays parked meanwhile, and those are
//! the ones somebody looks at.

use super::header::TaskRef;
use super::reason::{GoroutineState, WaitReason};
use super::state::Seen;
use std::panic::Location;
use std::sync::atomic::{Ordering, fence};

/// In place of a reason: a worker runs the goroutine.
pub(crate) const RUNNING: u8 = u8::MAX - 1;

/// A goroutine as it was a moment ago.
#[derive(Clone, Copy)]
pub(crate) struct Peek {
    pub(crate) task: TaskRef,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    /// Which runtime: the address of its anchor, which may be gone by now.
    pub(crate) runtime: usize,
    pub(crate) created: &'static Location<'static>,
    pub(crate) stackful: bool,
    pub(crate) state: GoroutineState,
    /// Whether it is on a stack, if it waits: a future is while it blocks inside a poll.
    pub(crate) on_stack: bool,
    /// Where its last wait was called, while that is not over for it.
    pub(crate) waits_at: Option<&'static Location<'static>>,
    /// When that began, as [`clock::coarse`](crate::clock::coarse) counts.
    pub(crate) since: u16,
}

impl TaskRef {
    /// Notes why, where and since when a goroutine waits that is about to park. Only for the task's owner.
    #[inline]
    pub(crate) fn note_wait(self, reason: WaitReason, at: Option<&'static Location<'static>>) {
        self.reason.set(reason as u8);
        self.waits_at.set(at);
        self.since.set(crate::clock::coarse::stamp());
    }

    /// Notes what a goroutine that polls a future will wait for, should the poll end now, and where that was called. For
    /// whoever polls something with its waker, which need not be the goroutine: then the dump may be wrong, no more.
    #[inline]
    pub(crate) fn note_await(self, reason: WaitReason, at: Option<&'static Location<'static>>) {
        // Inside another poll it is not the goroutine that waits: `wait` notes that.
        if self.depth.get() == 1 {
            self.awaits.set(reason as u8);
            self.waits_at.set(at);
        }
    }

    /// Before a poll: nothing is awaited yet. Only for the task's owner.
    #[inline]
    pub(crate) fn begin_poll(self) {
        self.awaits.set(WaitReason::Future as u8);
        self.depth.set(1);
    }

    /// After a poll that has come to nothing: the goroutine will wait for what it has noted, else for something unknown, at
    /// that place if it is known. Only for the task's owner.
    #[inline]
    pub(crate) fn note_poll(self, at: Option<&'static Location<'static>>) {
        match WaitReason::of(self.awaits.get()) {
            None | Some(WaitReason::Future) => self.note_wait(WaitReason::Future, at),
            Some(reason) => self.note_wait(reason, self.waits_at.get().or(at)),
        }
    }

    /// What is to be seen of the goroutine that the header serves. `None` if it serves none.
    pub(crate) fn peek(self) -> Option<Peek> {
        loop {
            let id = self.id.acquire();
            let vtable = self.vtable.acquire();
            let state = self.state.seen();
            let reason = self.reason.get();
            let (parent, runtime) = (self.parent.get(), self.scheduler.load(Ordering::Relaxed).addr());
            let (created, waits_at, since) = (self.created.get(), self.waits_at.get(), self.since.get());
            let inside_poll = self.depth.get() > 0;
            fence(Ordering::Acquire);
            if self.id.get() != id {
                // Another goroutine began: look at that one.
                continue;
            }
            if id == 0 || !vtable.is_body || state == Seen::Closed {
                return None;
            }
            let reason = WaitReason::of(reason).ok_or(reason);
            let does = match (state, reason) {
                (Seen::Parked, Ok(reason)) => GoroutineState::Waiting(reason),
                (_, Err(RUNNING)) => GoroutineState::Running,
                _ => GoroutineState::Runnable,
            };
            return Some(Peek {
                task: self,
                id,
                parent,
                runtime,
                created,
                stackful: vtable.stackful,
                state: does,
                on_stack: vtable.stackful || inside_poll,
                // A goroutine that runs, or has let others go first, is elsewhere by now.
                waits_at: waits_at.filter(|_| reason.is_ok()),
                since,
            });
        }
    }
}
