//! What a send and a receive do alike while they are queued.

use super::core::Chan;
use crate::wait::list::{Home, Node};
use crate::wait::waiter::{Outcome, Waiter};
use crate::wait::{WaitReason, wait_for};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

/// Leaves the present waker. False if the operation has ended meanwhile.
#[cold]
pub(super) fn update_waker<T>(chan: &Chan<T>, waiter: &Waiter, node: &Node, cx: &mut Context<'_>) -> bool {
    let mut waker = Some(cx.waker().clone());
    // What comes back in `waker`, the old one, is dropped after the unlock.
    chan.locked(|_, _| {
        let waits = node.home() != Home::Nowhere;
        if waits {
            // SAFETY: under the lock of its channel it is still queued or paired.
            unsafe { waiter.update_locked(&mut waker) };
        }
        waits
    })
}

/// Waits for the outcome of a plain operation that is queued or paired, wherever this runs by now.
#[cold]
pub(super) fn wait_on<T>(chan: &Chan<T>, waiter: &Waiter, node: &Node, reason: WaitReason) -> Outcome {
    let ended = poll_fn(|cx| {
        loop {
            if let Some(outcome) = waiter.outcome() {
                return Poll::Ready(outcome);
            }
            if update_waker(chan, waiter, node, cx) {
                return Poll::Pending;
            }
        }
    });
    wait_for(reason, pin!(ended))
}
