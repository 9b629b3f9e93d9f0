//! Sending: the operation that waits, and the future around it.
//!
//! A [`SendOp`] holds the value until a receiver takes it, or a place in the buffer becomes its own.

use super::Sender;
use super::core::Chan;
use super::err::SendError;
use super::queued::{update_waker, wait_on};
use super::state::Put;
use crate::sys::prim::UnsafeCell;
use crate::wait::list::{Kind, Node};
use crate::wait::waiter::{Outcome, Phase, Waiter};
use crate::wait::{At, Place, Spot, WaitReason};
use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A send that may have to wait.
pub(super) struct SendOp<T> {
    waiter: Waiter,
    node: Node,
    /// The value, until it is sent.
    slot: UnsafeCell<Option<T>>,
    /// Receivers read here while the owner holds `&mut` of the future around it: it must not be `Unpin`.
    _pinned: PhantomPinned,
}

impl<T> SendOp<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            waiter: Waiter::solo(),
            node: Node::new(Kind::Plain),
            slot: UnsafeCell::new(Some(value)),
            _pinned: PhantomPinned,
        }
    }

    /// Gives a finished operation its next value.
    pub(super) fn refill(self: Pin<&Self>, value: T) {
        assert_eq!(self.waiter.phase(), Phase::Idle, "a send in progress cannot take another message");
        // SAFETY: in `Idle` the node is in no list, so the slot is the owner's alone.
        drop(self.slot.with_mut(|slot| unsafe { (*slot).replace(value) }));
    }

    /// Takes the value out.
    ///
    /// # Safety
    ///
    /// The owner calls, and the node is in no list.
    unsafe fn take_value(&self) -> Option<T> {
        // SAFETY: with the node in no list the slot is the owner's alone.
        self.slot.with_mut(|slot| unsafe { (*slot).take() })
    }

    /// Sends, or queues and registers the waker.
    ///
    /// The channel must be the same at each call, until one returns `Ready`.
    ///
    /// # Panics
    ///
    /// If polled after it returned `Ready`.
    pub(super) fn poll(
        self: Pin<&Self>,
        chan: &Chan<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        loop {
            match self.waiter.phase() {
                Phase::Idle => return self.start(chan, cx),
                Phase::Waiting | Phase::Bound(_) => {
                    if update_waker(chan, &self.waiter, &self.node, cx) {
                        return Poll::Pending;
                    }
                }
                Phase::Done(_, outcome) => return Poll::Ready(self.conclude(outcome)),
            }
        }
    }

    fn start(&self, chan: &Chan<T>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        // SAFETY: until the node is queued the slot is the owner's alone.
        let value = unsafe { self.slot.with_mut(|slot| &mut *slot) };
        assert!(value.is_some(), "a send was polled after it had finished");
        // No waker is cloned for a send that need not wait.
        let mut put = chan.try_put(value);
        if put == Put::Full {
            put = self.enter(chan, cx.waker().clone()).0;
            if put == Put::Full {
                return Poll::Pending;
            }
            // SAFETY: the node was not queued, and no lock is held.
            unsafe { self.waiter.reset() };
        }
        // SAFETY: not queued, so the value is where it was, if it was not sent.
        Poll::Ready(unsafe { self.result(put) })
    }

    /// Sends, or queues; `Full` means that it is queued. Also tells whether somebody was woken.
    #[inline(never)]
    fn enter(&self, chan: &Chan<T>, waker: Waker) -> (Put, bool) {
        // SAFETY: this is the owner, in `Idle`.
        unsafe { self.waiter.set_waker(waker) };
        let slot = self.slot.with_mut(|slot| slot);
        self.node.prepare(&self.waiter, 0, slot.cast());
        chan.locked_telling(|state, wakes| {
            // SAFETY: until the node is queued the slot is the owner's alone.
            let put = state.put(unsafe { &mut *slot }, wakes);
            if put == Put::Full {
                self.waiter.start_waiting();
                // SAFETY: prepared and unlinked, with its value. The operation is pinned, and whoever ends it before
                // a peer does unlinks the node.
                unsafe { state.queue_sender(&self.node, wakes) };
            }
            put
        })
    }

    /// # Safety
    ///
    /// The owner calls, the node is in no list, and the send is over.
    #[inline]
    unsafe fn result(&self, put: Put) -> Result<(), SendError<T>> {
        if put == Put::Done {
            return Ok(());
        }
        // SAFETY: by the caller's promise.
        Err(SendError(unsafe { self.take_value() }.expect("a message that was not sent is still here")))
    }

    fn conclude(&self, outcome: Outcome) -> Result<(), SendError<T>> {
        // SAFETY: the owner has read the outcome, so no list holds the node, and no peer touches it any more.
        let left = unsafe {
            self.waiter.reset();
            self.take_value()
        };
        match left {
            None => Ok(()),
            Some(value) => {
                debug_assert_eq!(outcome, Outcome::Closed);
                Err(SendError(value))
            }
        }
    }

    /// Leaves the queue. The value, or `None` if it has been sent; and whether the channel was closed first.
    pub(super) fn stop(&self, chan: &Chan<T>) -> (Option<T>, bool) {
        let mut closed = false;
        if self.waiter.phase() != Phase::Idle {
            // SAFETY: the node was given to this channel as a sender.
            chan.locked(|state, _| unsafe { state.unlink_sender(&self.node) });
            closed = matches!(self.waiter.phase(), Phase::Done(_, Outcome::Closed));
            // SAFETY: unlinked, and who served it before that was through when it released the lock.
            unsafe { self.waiter.reset() };
        }
        // SAFETY: the node is in no list.
        (unsafe { self.take_value() }, closed)
    }
}

/// The send of a goroutine that has to wait: what the future does, less what only futures need.
#[inline(always)]
pub(super) fn send_parked<T>(chan: &Chan<T>, spot: Spot<'_>, value: T, at: At) -> Result<(), SendError<T>> {
    let leave = Leave { op: SendOp::new(value), chan };
    let op = &leave.op;
    let (mut put, woke) = op.enter(chan, spot.waker());
    if put == Put::Full {
        let outcome = spot.park_until(WaitReason::ChanSend, at, woke, || op.waiter.outcome());
        put = match outcome.unwrap_or_else(|| wait_on(chan, &op.waiter, &op.node, WaitReason::ChanSend)) {
            Outcome::Delivered => Put::Done,
            _ => Put::Closed,
        };
    }
    // SAFETY: not queued, or ended by a peer who does not touch it any more.
    let result = unsafe { op.result(put) };
    std::mem::forget(leave);
    result
}

/// Takes the operation out of the queue if the wait unwinds.
struct Leave<'a, T> {
    op: SendOp<T>,
    chan: &'a Chan<T>,
}

impl<T> Drop for Leave<'_, T> {
    fn drop(&mut self) {
        drop(self.op.stop(self.chan));
    }
}

/// The future of [`Sender::send_async`].
///
/// # Cancellation
///
/// Dropping it before it is ready drops the message unsent; a message that a receiver has already taken stays
/// taken.
///
/// # Example
///
/// ```
/// use gosched::{chan::bounded, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let (tx, rx) = bounded(0);
/// assert_eq!(timeout(Duration::from_millis(1), tx.send_async("nobody wants it")), Err(Elapsed));
/// assert!(rx.try_recv().is_err());
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    op: SendOp<T>,
    place: Place,
}

// SAFETY: the slot is the only place with a `T`, and others reach it only under the channel's lock, which moves
// a `T` between threads just as the channel does; waiter and node are `Send`.
unsafe impl<T: Send> Send for SendFuture<'_, T> {}

impl<'a, T> SendFuture<'a, T> {
    #[track_caller]
    pub(super) fn new(sender: &'a Sender<T>, value: T) -> Self {
        Self { sender, op: SendOp::new(value), place: Place::here() }
    }

    /// Stops waiting: see [`SendOp::stop`].
    pub(super) fn stop(self: Pin<&mut Self>) -> (Option<T>, bool) {
        self.op.stop(self.sender.chan())
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (chan, place) = (self.sender.chan(), self.place);
        // SAFETY: `op` is pinned with the future: it is never moved out.
        let op = unsafe { self.into_ref().map_unchecked(|this| &this.op) };
        let polled = op.poll(chan, cx);
        place.note(WaitReason::ChanSend, cx, polled)
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        // The message, if it is still here, is dropped outside the lock.
        drop(self.op.stop(self.sender.chan()));
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendFuture { .. }")
    }
}
