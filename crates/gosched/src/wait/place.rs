//! Where a future of the library was asked for, for dumps.
//!
//! A goroutine that is a future has no stack that could be looked at between two polls. So the futures it waits for say,
//! when they have to wait, what for and where they were made, which is where they are awaited as a rule.

use super::{At, WaitReason};
use std::panic::Location;
use std::task::{Context, Poll};

/// The place of the call that made a future.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(At);

impl Place {
    #[inline]
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self(Location::caller())
    }

    /// Where that is.
    pub(crate) fn at(self) -> At {
        self.0
    }

    /// What a poll has come to; if that is pending, the goroutine for which it was polled notes that it waits here.
    #[inline]
    pub(crate) fn note<T>(self, reason: WaitReason, cx: &Context<'_>, poll: Poll<T>) -> Poll<T> {
        if poll.is_pending() {
            note_await(reason, Some(self.0), cx);
        }
        poll
    }
}

/// The goroutine for which a future was polled notes that it waits for it.
#[cfg(not(loom))]
#[inline]
pub(crate) fn note_await(reason: WaitReason, at: Option<At>, cx: &Context<'_>) {
    if let Some(task) = crate::task::waker::task_of(cx.waker()) {
        task.note_await(reason, at);
    }
}

/// Models have no dumps.
#[cfg(loom)]
pub(crate) fn note_await(_: WaitReason, _: Option<At>, _: &Context<'_>) {}
