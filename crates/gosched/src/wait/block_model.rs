//! Blocking under loom: its own executor, and no clock.

use super::WaitReason;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// Runs a future to its end.
pub fn wait<F: Future>(future: F) -> F::Output {
    wait_for(WaitReason::Future, pin!(future))
}

pub(crate) fn wait_for<F: Future>(_reason: WaitReason, future: Pin<&mut F>) -> F::Output {
    loom::future::block_on(future)
}

/// Where a blocking call was made.
pub(crate) type At = &'static Location<'static>;

/// A thread of the model, blocking in the way of a goroutine.
pub(crate) struct Spot<'a> {
    wakes: Arc<Wakes>,
    _here: PhantomData<&'a ()>,
}

struct Wakes(loom::sync::Notify);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

pub(crate) fn lean_spot<'a>() -> Option<Spot<'a>> {
    Some(Spot { wakes: Arc::new(Wakes(loom::sync::Notify::new())), _here: PhantomData })
}

impl Spot<'_> {
    pub(crate) fn waker(&self) -> Waker {
        self.wakes.clone().into()
    }

    pub(crate) fn park_until<R>(
        self,
        _reason: WaitReason,
        _at: At,
        _look: bool,
        done: impl Fn() -> Option<R>,
    ) -> Option<R> {
        loop {
            // First the wake, as a goroutine is taken up only by one.
            self.wakes.0.wait();
            if let Some(result) = done() {
                return Some(result);
            }
        }
    }
}

/// Time stands still in a model: the deadline never passes.
pub(crate) fn wait_deadline<F: Future>(
    reason: WaitReason,
    future: Pin<&mut F>,
    _deadline: Instant,
) -> Option<F::Output> {
    Some(wait_for(reason, future))
}

/// A deadline that never passes, but may have passed.
#[derive(Debug, Default)]
pub(crate) struct Timer;

impl Timer {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn poll_deadline(&mut self, _cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if crate::clock::now() >= deadline { Poll::Ready(()) } else { Poll::Pending }
    }
}
