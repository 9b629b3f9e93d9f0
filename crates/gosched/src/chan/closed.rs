//! Waiting until nobody receives any more.

use super::Sender;
use crate::wait::node::WaitNode;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`Sender::closed_async`].
///
/// # Cancellation
///
/// Dropping it leaves no trace.
///
/// # Example
///
/// ```
/// use gosched::{chan::bounded, time::{Elapsed, timeout}, wait};
/// use std::time::Duration;
///
/// let (tx, rx) = bounded::<i32>(1);
/// assert_eq!(timeout(Duration::from_millis(1), tx.closed_async()), Err(Elapsed));
/// drop(rx);
/// wait(tx.closed_async());
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct ClosedFuture<'a, T> {
    sender: &'a Sender<T>,
    node: WaitNode,
}

impl<'a, T> ClosedFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>) -> Self {
        Self { sender, node: WaitNode::new() }
    }
}

impl<T> Future for ClosedFuture<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let chan = self.sender.chan();
        // SAFETY: the node is ours, pinned with us, used with this queue only, and `Drop` takes it out.
        let polled = unsafe {
            let node = Pin::new_unchecked(&self.node);
            chan.gone().poll(node, cx, || !chan.look().rejects())
        };
        polled.map(drop)
    }
}

impl<T> Drop for ClosedFuture<'_, T> {
    fn drop(&mut self) {
        // SAFETY: as in `poll`. What is signalled is for all: nothing is passed on.
        unsafe { self.sender.chan().gone().cancel(Pin::new_unchecked(&self.node)) };
    }
}

impl<T> fmt::Debug for ClosedFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("ClosedFuture { .. }")
    }
}
