//! Waiting for a future under a context.

use super::error::ContextError;
use crate::chan::RecvFuture;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future, until a context is done; from [`Context::wait_async`](super::Context::wait_async).
///
/// # Cancellation
///
/// Dropping it drops the future inside, and leaves no trace with the context.
///
/// # Example
///
/// ```
/// use gosched::{chan, context::background, wait};
///
/// let (tx, rx) = chan::bounded(1);
/// let ctx = background().with_cancel();
/// drop(ctx.wait_async(tx.send_async("not sent")));
/// assert_eq!(wait(ctx.wait_async(tx.send_async("sent"))), Ok(Ok(())));
/// assert_eq!(rx.recv(), Ok("sent"));
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct ContextWait<'a, F> {
    ctx: &'a super::Context,
    /// `None` under a context that is never done.
    done: Option<RecvFuture<'a, Infallible>>,
    started: bool,
    future: F,
}

impl<'a, F: Future> ContextWait<'a, F> {
    pub(super) fn new(ctx: &'a super::Context, future: F) -> Self {
        Self { ctx, done: None, started: false, future }
    }
}

impl<F: Future> Future for ContextWait<'_, F> {
    type Output = Result<F::Output, ContextError>;

    /// # Panics
    ///
    /// When the future inside does; when polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `done` and `future` are pinned with us: neither is moved after this, `done` being set only where it
        // was `None`, and both are dropped in place.
        let (this, future) = unsafe {
            let this = self.get_unchecked_mut();
            let future = Pin::new_unchecked(&mut this.future);
            ((this.ctx, &mut this.done, &mut this.started), future)
        };
        let (ctx, done, started) = this;
        if !*started {
            if let Some(error) = ctx.err() {
                return Poll::Ready(Err(error));
            }
            *started = true;
        }
        // The future first: what it has done already must not be reported as given up.
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if ctx.core().is_none() {
            return Poll::Pending;
        }
        let done = done.get_or_insert_with(|| ctx.done().recv_async());
        // SAFETY: as above.
        match unsafe { Pin::new_unchecked(done) }.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Err(ctx.err().expect("a context whose channel is closed is done"))),
        }
    }
}

impl<F> fmt::Debug for ContextWait<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextWait").field("ctx", self.ctx).finish_non_exhaustive()
    }
}
