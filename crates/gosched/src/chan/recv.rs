//! Receiving: the operation that waits, and the future around it.
//!
//! A [`RecvOp`] is what a waiting receive needs: waiter, node and a slot for the value. It lives in the future,
//! which `recv` drives with `wait` and `recv_async` hands to the caller. The value is taken at once if there is
//! one; else the node is queued under the same lock, and the sender that finds it fills the slot.

use super::Receiver;
use super::core::{Chan, NoValue};
use super::err::{RecvError, TryRecvError};
use super::queued::{update_waker, wait_on};
use super::receiver::Flavor;
use super::state::Take;
use super::timer::AsyncWait;
use crate::sys::prim::UnsafeCell;
use crate::wait::list::{Home, Kind, Node};
use crate::wait::waiter::{Outcome, Phase, Waiter};
use crate::wait::{At, Place, Spot, WaitReason};
use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A receive that may have to wait.
pub(super) struct RecvOp<T> {
    waiter: Waiter,
    node: Node,
    slot: UnsafeCell<Option<T>>,
    /// Senders write here while the owner holds `&mut` of the future around it: it must not be `Unpin`.
    _pinned: PhantomPinned,
}

/// What became of an operation that was to stop waiting.
#[derive(Debug)]
pub(super) enum Stopped<T> {
    /// It had not received anything, and is out of the queue.
    Out,
    /// It had already ended.
    Ended(Result<T, TryRecvError>),
    /// A chosen send case of a select owes it a value: wait for it.
    Paired,
}

impl<T> RecvOp<T> {
    pub(super) fn new() -> Self {
        Self {
            waiter: Waiter::solo(),
            node: Node::new(Kind::Plain),
            slot: UnsafeCell::new(None),
            _pinned: PhantomPinned,
        }
    }

    /// Receives, or queues and registers the waker. With `Kind::Try` it reports `Empty` instead of queueing,
    /// and waits only for a value that a peer has promised.
    ///
    /// The channel must be the same at each call, until one returns `Ready`.
    pub(super) fn poll(
        self: Pin<&Self>,
        chan: &Chan<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, TryRecvError>> {
        let polled = self.poll_op(chan, cx);
        if let Poll::Ready(Err(TryRecvError::Disconnected)) = polled {
            chan.ended();
        }
        polled
    }

    fn poll_op(self: Pin<&Self>, chan: &Chan<T>, cx: &mut Context<'_>) -> Poll<Result<T, TryRecvError>> {
        loop {
            match self.waiter.phase() {
                Phase::Idle => return self.start(chan, cx),
                Phase::Waiting | Phase::Bound(_) => {
                    if update_waker(chan, &self.waiter, &self.node, cx) {
                        return Poll::Pending;
                    }
                }
                Phase::Done(_, outcome) => match self.conclude(outcome) {
                    Some(result) => return Poll::Ready(result),
                    None => continue,
                },
            }
        }
    }

    fn start(&self, chan: &Chan<T>, cx: &mut Context<'_>) -> Poll<Result<T, TryRecvError>> {
        // No waker is cloned for a receive that need not wait.
        let mut value = None;
        if chan.look().may_have_value()
            && chan.try_take(&mut value).is_ok()
            && let Some(value) = value.take()
        {
            return Poll::Ready(Ok(value));
        }
        match self.enter(chan, cx.waker().clone()).0 {
            Take::Value => Poll::Ready(self.conclude(Outcome::Delivered).expect("nobody gave up")),
            Take::Closed => Poll::Ready(self.conclude(Outcome::Closed).expect("nobody gave up")),
            Take::Empty => {
                // SAFETY: the node was not queued, and no lock is held.
                unsafe { self.waiter.reset() };
                Poll::Ready(Err(TryRecvError::Empty))
            }
            Take::Paired | Take::NeedsWaker => Poll::Pending,
        }
    }

    /// Receives into the slot, or queues: then the answer is `Paired` or `NeedsWaker`. Also tells whether somebody was
    /// woken.
    #[inline(never)]
    fn enter(&self, chan: &Chan<T>, waker: Waker) -> (Take, bool) {
        // SAFETY: this is the owner, in `Idle`.
        unsafe { self.waiter.set_waker(waker) };
        let slot = self.slot.with_mut(|slot| slot);
        self.node.prepare(&self.waiter, 0, slot.cast());
        chan.locked_telling(|state, wakes| {
            // SAFETY: until the node is queued or paired the slot is the owner's alone.
            let take = state.take(unsafe { &mut *slot }, Some(&self.node), wakes);
            if take != Take::NeedsWaker && (take != Take::Empty || self.node.kind() == Kind::Try) {
                return take;
            }
            self.waiter.start_waiting();
            // SAFETY: prepared and unlinked. The operation is pinned, and whoever ends it before a peer does unlinks
            // the node.
            unsafe { state.queue_receiver(&self.node, wakes) };
            Take::NeedsWaker
        })
    }

    /// Ends on an outcome; `None` means to begin again.
    fn conclude(&self, outcome: Outcome) -> Option<Result<T, TryRecvError>> {
        // SAFETY: the owner has read the outcome, so no list holds the node, and no peer touches it any more.
        unsafe { self.waiter.reset() };
        match outcome {
            Outcome::Delivered => {
                // SAFETY: the sender filled the slot before it stored the outcome, and is through with it.
                let value = self.slot.with_mut(|slot| unsafe { (*slot).take() });
                Some(Ok(value.expect("a delivered receive has its value")))
            }
            Outcome::Retry => None,
            _ => Some(Err(TryRecvError::Disconnected)),
        }
    }

    /// Leaves the queue because the time is up.
    pub(super) fn stop(&self, chan: &Chan<T>) -> Stopped<T> {
        let left = chan.locked(|state, _| match self.node.home() {
            Home::Paired => {
                self.node.set_kind(Kind::Try);
                Some(Stopped::<T>::Paired)
            }
            Home::Nowhere => None,
            _ => {
                // SAFETY: the node was given to this channel as a receiver.
                unsafe { state.unlink_receiver(&self.node) };
                Some(Stopped::Out)
            }
        });
        if let Some(Stopped::Paired) = left {
            return Stopped::Paired;
        }
        if left.is_none()
            && let Phase::Done(_, outcome) = self.waiter.phase()
            && let Some(result) = self.conclude(outcome)
        {
            return Stopped::Ended(result);
        }
        // SAFETY: the node is unlinked.
        unsafe { self.waiter.reset() };
        Stopped::Out
    }

    /// Leaves whatever list it is in; a value that was handed over already goes back to the channel.
    pub(super) fn cancel(&self, chan: &Chan<T>) {
        if self.waiter.phase() == Phase::Idle {
            return;
        }
        // SAFETY: the node was given to this channel as a receiver.
        chan.locked(|state, _| unsafe { state.unlink_receiver(&self.node) });
        // SAFETY: unlinked, and who served it before that was through when it released the lock.
        let mut value = unsafe {
            self.waiter.reset();
            self.slot.with_mut(|slot| (*slot).take())
        };
        if value.is_some() {
            chan.put_front(&mut value);
        }
    }
}

/// The receive of a goroutine that has to wait: what the future does, less what only futures need.
#[inline(always)]
pub(super) fn recv_parked<T>(chan: &Chan<T>, spot: Spot<'_>, at: At) -> Result<T, RecvError> {
    let leave = Leave { op: RecvOp::new(), chan };
    let op = &leave.op;
    let (take, woke) = op.enter(chan, spot.waker());
    if matches!(take, Take::Paired | Take::NeedsWaker)
        && spot.park_until(WaitReason::ChanReceive, at, woke, || op.waiter.outcome()).is_none()
    {
        wait_on(chan, &op.waiter, &op.node, WaitReason::ChanReceive);
    }
    // SAFETY: not queued, or ended by a peer, who filled the slot before and does not touch it any more.
    let value = op.slot.with_mut(|slot| unsafe { (*slot).take() });
    std::mem::forget(leave);
    if value.is_none() {
        chan.ended();
    }
    value.ok_or(RecvError)
}

/// Takes the operation out of the queue if the wait unwinds.
struct Leave<'a, T> {
    op: RecvOp<T>,
    chan: &'a Chan<T>,
}

impl<T> Drop for Leave<'_, T> {
    fn drop(&mut self) {
        self.op.cancel(self.chan);
    }
}

/// The future of [`Receiver::recv_async`].
///
/// # Cancellation
///
/// Dropping it loses nothing: a message that had been handed to it goes to the next waiting receiver, else back
/// to the front of the channel.
///
/// A message sent without a buffer counts as received once it has been handed to a waiting future, even if that is
/// never polled again: so drop a future that you do not poll any more, and the message goes to somebody else.
///
/// # Example
///
/// ```
/// use gosched::{chan::bounded, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let (tx, rx) = bounded(1);
/// assert_eq!(timeout(Duration::from_millis(1), rx.recv_async()), Err(Elapsed));
/// tx.send("kept").unwrap();
/// assert_eq!(rx.recv(), Ok("kept"));
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    op: RecvOp<T>,
    /// Only receivers of `after`, `at` and `tick` need one.
    timer: Option<Box<AsyncWait>>,
    place: Place,
}

// SAFETY: the slot is the only place with a `T`, and others reach it only under the channel's lock, which moves
// a `T` between threads just as the channel does; waiter and node are `Send`.
unsafe impl<T: Send> Send for RecvFuture<'_, T> {}

impl<'a, T> RecvFuture<'a, T> {
    #[track_caller]
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, op: RecvOp::new(), timer: None, place: Place::here() }
    }

    /// The same, but it reports an empty channel instead of waiting for a sender.
    #[track_caller]
    pub(super) fn new_try(receiver: &'a Receiver<T>) -> Self {
        let this = Self::new(receiver);
        this.op.node.set_kind(Kind::Try);
        this
    }

    pub(super) fn op(self: Pin<&mut Self>) -> Pin<&RecvOp<T>> {
        // SAFETY: `op` is pinned with the future: it is never moved out.
        unsafe { self.into_ref().map_unchecked(|this| &this.op) }
    }

    /// Polls, with the error that tells a time-out's caller "empty" from "disconnected".
    pub(super) fn poll_try(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, TryRecvError>> {
        let receiver = self.receiver;
        let timer = match &receiver.flavor {
            Flavor::Chan(_) => {
                let chan = receiver.chan().expect("just seen to be one");
                return self.as_mut().op().poll(chan, cx);
            }
            Flavor::Timer(timer) => timer,
            Flavor::Never => return Poll::Pending,
        };
        // SAFETY: `timer` is not pinned with the future, and nothing is moved out of the rest.
        let wait = unsafe { &mut self.as_mut().get_unchecked_mut().timer };
        wait.get_or_insert_with(|| Box::new(AsyncWait::new())).poll(timer, cx).map(Ok)
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let place = self.place;
        let polled = self.poll_try(cx).map_err(|_| RecvError);
        place.note(WaitReason::ChanReceive, cx, polled)
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        match (&self.receiver.flavor, &self.timer) {
            (Flavor::Timer(timer), Some(wait)) => wait.leave(timer),
            _ => {
                if let Some(chan) = self.receiver.chan() {
                    self.op.cancel(chan);
                }
            }
        }
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvFuture { .. }")
    }
}

/// The blocking receive: drives the same future, telling `Empty` (`Kind::Try`) from `Disconnected`.
pub(super) struct Blocking<'f, 'a, T>(pub(super) Pin<&'f mut RecvFuture<'a, T>>);

impl<T> Future for Blocking<'_, '_, T> {
    type Output = Result<T, TryRecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll_try(cx)
    }
}

impl From<NoValue> for TryRecvError {
    fn from(reason: NoValue) -> Self {
        if reason == NoValue::Closed { Self::Disconnected } else { Self::Empty }
    }
}
