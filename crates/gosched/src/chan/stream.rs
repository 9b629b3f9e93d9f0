//! Channels as streams and sinks of the `futures` crates.
//!
//! Both are `Unpin`, so that `stream.next()` and `sink.send(x)` work without pinning: the operation that waits is
//! boxed, the first time one has to.

use super::err::SendError;
use super::receiver::Flavor;
use super::recv::RecvOp;
use super::send::SendOp;
use super::timer::AsyncWait;
use super::{Receiver, Sender};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What a stream keeps while it waits.
struct Pending<T> {
    /// Made when the stream first waits, and used again.
    op: Option<Pin<Box<RecvOp<T>>>>,
    timer: Option<Box<AsyncWait>>,
    ended: bool,
}

impl<T> Pending<T> {
    const fn new() -> Self {
        Self { op: None, timer: None, ended: false }
    }

    fn poll_next(&mut self, receiver: &Receiver<T>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let result = match &receiver.flavor {
            Flavor::Chan(_) => {
                let chan = receiver.chan().expect("just seen to be one");
                let op = match &mut self.op {
                    Some(op) => op,
                    None => {
                        let mut value = None;
                        if chan.try_take(&mut value).is_ok() {
                            return Poll::Ready(value);
                        }
                        self.op.insert(Box::pin(RecvOp::new()))
                    }
                };
                ready!(op.as_ref().poll(chan, cx)).ok()
            }
            Flavor::Timer(timer) => {
                let wait = self.timer.get_or_insert_with(|| Box::new(AsyncWait::new()));
                Some(ready!(wait.poll(timer, cx)))
            }
            Flavor::Never => return Poll::Pending,
        };
        self.ended = result.is_none();
        Poll::Ready(result)
    }

    fn cancel(&mut self, receiver: &Receiver<T>) {
        if let (Some(op), Some(chan)) = (&self.op, receiver.chan()) {
            op.cancel(chan);
        }
        if let (Some(wait), Flavor::Timer(timer)) = (&self.timer, &receiver.flavor) {
            wait.leave(timer);
        }
    }
}

// SAFETY: as for the receive future: the operation's slot is the only place with a `T`, and others reach it only
// under the channel's lock, which moves a `T` between threads just as the channel does.
unsafe impl<T: Send> Send for Pending<T> {}

/// The messages of a channel as a stream. From [`Receiver::stream`].
///
/// It ends when the channel is empty and closed. Dropping it loses nothing.
///
/// # Cancellation
///
/// A `next` that is dropped while it waits loses nothing; nor does the stream, when it is dropped.
///
/// # Example
///
/// ```
/// use futures_core::Stream as _;
/// use gosched::{chan::unbounded, wait};
/// use std::{future::poll_fn, pin::Pin};
///
/// let (tx, rx) = unbounded();
/// tx.send(1).unwrap();
/// drop(tx);
/// let mut stream = rx.stream();
/// // `stream.next().await` with the crate `futures`.
/// assert_eq!(wait(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx))), Some(1));
/// assert_eq!(wait(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx))), None);
/// ```
///
/// In Go: `for v := range c`.
#[must_use = "streams do nothing unless polled"]
pub struct Stream<'a, T> {
    receiver: &'a Receiver<T>,
    pending: Pending<T>,
}

/// As [`Stream`], owning the receiver. From [`Receiver::into_stream`].
///
/// # Example
///
/// ```
/// use futures_core::Stream;
/// use gosched::chan::{IntoStream, unbounded};
///
/// fn numbers() -> impl Stream<Item = i32> {
///     let (tx, rx) = unbounded();
///     (0..3).for_each(|n| tx.send(n).unwrap());
///     let stream: IntoStream<i32> = rx.into_stream();
///     stream
/// }
/// assert_eq!(gosched::wait(async {
///     let mut numbers = std::pin::pin!(numbers());
///     std::future::poll_fn(|cx| numbers.as_mut().poll_next(cx)).await
/// }), Some(0));
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct IntoStream<T> {
    receiver: Receiver<T>,
    pending: Pending<T>,
}

impl<'a, T> Stream<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, pending: Pending::new() }
    }
}

impl<T> IntoStream<T> {
    pub(super) fn new(receiver: Receiver<T>) -> Self {
        Self { receiver, pending: Pending::new() }
    }
}

impl<T> futures_core::Stream for Stream<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        this.pending.poll_next(this.receiver, cx)
    }
}

impl<T> futures_core::Stream for IntoStream<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        this.pending.poll_next(&this.receiver, cx)
    }
}

impl<T> futures_core::FusedStream for Stream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.pending.ended
    }
}

impl<T> futures_core::FusedStream for IntoStream<T> {
    fn is_terminated(&self) -> bool {
        self.pending.ended
    }
}

impl<T> Drop for Stream<'_, T> {
    fn drop(&mut self) {
        self.pending.cancel(self.receiver);
    }
}

impl<T> Drop for IntoStream<T> {
    fn drop(&mut self) {
        self.pending.cancel(&self.receiver);
    }
}

impl<T> fmt::Debug for Stream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Stream { .. }")
    }
}

impl<T> fmt::Debug for IntoStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoStream { .. }")
    }
}

/// A sender as a sink. From [`Sender::into_sink`].
///
/// `start_send` puts the message into the channel if there is a place; else the sink keeps it, one at most, and
/// `poll_ready` and `poll_flush` wait until it is sent. Closing the sink flushes it and drops its sender, which
/// closes the channel if it was the last.
///
/// Dropping it drops the message that it keeps.
///
/// # Cancellation
///
/// A `send` of the crate `futures` that is dropped while it waits has either not begun, and its message is
/// dropped, or the sink keeps the message until there is a place for it.
///
/// # Example
///
/// ```
/// use futures_sink::Sink as _;
/// use gosched::{chan::bounded, wait};
/// use std::{future::poll_fn, pin::Pin};
///
/// let (tx, rx) = bounded(1);
/// let mut sink = tx.into_sink();
/// // `sink.send(7).await` and `sink.close().await` with the crate `futures`.
/// wait(poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx))).unwrap();
/// Pin::new(&mut sink).start_send(7).unwrap();
/// wait(poll_fn(|cx| Pin::new(&mut sink).poll_close(cx))).unwrap();
/// assert_eq!(rx.iter().collect::<Vec<_>>(), [7]);
/// ```
///
/// In Go: `c <- v`.
#[must_use = "sinks do nothing unless polled"]
pub struct Sink<T> {
    /// `None` after closing.
    sender: Option<Sender<T>>,
    /// Made when a message first has to wait, and used again.
    op: Option<Pin<Box<SendOp<T>>>>,
    /// Whether `op` has a message to send.
    busy: bool,
}

// SAFETY: as for the send future: the operation's slot is the only place with a `T`, and others reach it only
// under the channel's lock, which moves a `T` between threads just as the channel does.
unsafe impl<T: Send> Send for Sink<T> {}

impl<T> Sink<T> {
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self { sender: Some(sender), op: None, busy: false }
    }

    /// Waits until no message is kept.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        if let (true, Some(op), Some(sender)) = (self.busy, &self.op, &self.sender) {
            let result = ready!(op.as_ref().poll(sender.chan(), cx));
            self.busy = false;
            return Poll::Ready(result);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> futures_sink::Sink<T> for Sink<T> {
    type Error = SendError<T>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_empty(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), SendError<T>> {
        let this = self.get_mut();
        let Some(sender) = &this.sender else { return Err(SendError(item)) };
        assert!(!this.busy, "`start_send` without a `poll_ready` that returned `Ready(Ok(()))`");
        match sender.try_send(item) {
            Ok(()) => Ok(()),
            Err(super::TrySendError::Disconnected(item)) => Err(SendError(item)),
            Err(super::TrySendError::Full(item)) => {
                match &this.op {
                    Some(op) => op.as_ref().refill(item),
                    None => this.op = Some(Box::pin(SendOp::new(item))),
                }
                this.busy = true;
                Ok(())
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_empty(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let this = self.get_mut();
        let result = ready!(this.poll_empty(cx));
        this.sender = None;
        Poll::Ready(result)
    }
}

impl<T> Drop for Sink<T> {
    fn drop(&mut self) {
        if let (Some(op), Some(sender)) = (&self.op, &self.sender) {
            drop(op.stop(sender.chan()));
        }
    }
}

impl<T> fmt::Debug for Sink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sink { .. }")
    }
}
