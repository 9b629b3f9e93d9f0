//! Blocking under loom: its own executor, and no clock.

use super::WaitReason;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

/// Runs a future to its end.
pub fn wait<F: Future>(future: F) -> F::Output {
    wait_for(WaitReason::Future, pin!(future))
}

pub(crate) fn wait_for<F: Future>(_reason: WaitReason, future: Pin<&mut F>) -> F::Output {
    loom::future::block_on(future)
}

/// Time stands still in a model: the deadline never passes.
pub(crate) fn wait_deadline<F: Future>(
    reason: WaitReason,
    future: Pin<&mut F>,
    _deadline: Instant,
) -> Option<F::Output> {
    Some(wait_for(reason, future))
}

/// A deadline that never passes.
#[derive(Debug, Default)]
pub(crate) struct Timer;

impl Timer {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn poll_deadline(&mut self, _cx: &mut Context<'_>, _deadline: Instant) -> Poll<()> {
        Poll::Pending
    }
}
