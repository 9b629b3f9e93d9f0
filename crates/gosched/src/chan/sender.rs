//! The sending handle.

use super::closed::ClosedFuture;
use super::core::{Chan, Finish};
use super::err::{SendError, SendTimeoutError, TrySendError};
use super::send::{SendFuture, send_parked};
use super::state::Put;
use super::stream::Sink;
use super::timer::now;
use crate::wait::circles;
use crate::wait::selectable::End;
use crate::wait::{WaitReason, lean_spot, wait_deadline, wait_for};
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// The sending half of a channel.
///
/// Clones send to the same channel. Senders that wait are served in the order in which they came; a place that
/// becomes free belongs to the first of them. When the last sender is dropped the channel is closed, as by
/// [`Sender::close`].
///
/// ```
/// let (tx, rx) = gosched::chan::bounded(2);
/// let another = tx.clone();
/// tx.send(1).unwrap();
/// another.send(2).unwrap();
/// drop((tx, another));
/// assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2], "and then it is closed");
/// ```
///
/// In Go: the `chan<- T` side of a channel.
pub struct Sender<T> {
    /// The sender owns one count of the senders' side.
    chan: NonNull<Chan<T>>,
}

// SAFETY: a sender moves values of type `T` between threads, never shares them; all else in a channel is atomic
// or under its lock.
unsafe impl<T: Send> Send for Sender<T> {}
// SAFETY: as above: all methods on `&Sender` may be called from several threads at once.
unsafe impl<T: Send> Sync for Sender<T> {}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

/// A message that a failed send has left in its place.
#[inline]
fn left<T>(msg: Option<T>) -> T {
    msg.expect("a send that fails leaves its message")
}

impl<T> Sender<T> {
    /// Takes over one count of the senders' side.
    pub(super) fn from_chan(chan: NonNull<Chan<T>>) -> Self {
        Self { chan }
    }

    #[inline]
    pub(super) fn chan(&self) -> &Chan<T> {
        // SAFETY: this sender's count keeps the channel in place for as long as it is borrowed.
        unsafe { self.chan.as_ref() }
    }

    /// Sends a message, waiting until there is a place for it; without a buffer, until a receiver has taken it.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message if the channel is closed or has no receivers, also when that happens
    /// while this call waits.
    ///
    /// # Cancellation
    ///
    /// A blocking send cannot be cancelled, except by closing the channel; [`Sender::send_async`] can.
    ///
    /// ```
    /// # use gosched::chan::{bounded, SendError};
    /// let (tx, rx) = bounded(1);
    /// assert_eq!(tx.send(1), Ok(()));
    /// drop(rx);
    /// assert_eq!(tx.send(2), Err(SendError(2)));
    /// ```
    ///
    /// In Go: `c <- v`; sending on a closed channel is an error here, not a panic.
    #[track_caller]
    #[inline(always)]
    pub fn send(&self, msg: T) -> Result<(), SendError<T>> {
        circles::leaves(&msg);
        let mut msg = Some(msg);
        match self.chan().try_put(&mut msg) {
            Put::Done => Ok(()),
            Put::Closed => Err(SendError(left(msg))),
            Put::Full => self.send_slow(left(msg)),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn send_slow(&self, msg: T) -> Result<(), SendError<T>> {
        match lean_spot() {
            Some(spot) => send_parked(self.chan(), spot, msg, Location::caller()),
            None => wait_for(WaitReason::ChanSend, pin!(SendFuture::new(self, msg))),
        }
    }

    /// Sends a message if there is a place for it now; without a buffer, if a receiver waits.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] or [`TrySendError::Disconnected`], with the message.
    ///
    /// ```
    /// # use gosched::chan::{bounded, TrySendError};
    /// let (tx, rx) = bounded(1);
    /// assert_eq!(tx.try_send(1), Ok(()));
    /// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    /// drop(rx);
    /// assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    ///
    /// In Go: `select { case c <- v: … default: … }`.
    #[inline]
    pub fn try_send(&self, msg: T) -> Result<(), TrySendError<T>> {
        circles::leaves(&msg);
        let mut msg = Some(msg);
        match self.chan().try_put(&mut msg) {
            Put::Done => Ok(()),
            Put::Full => Err(TrySendError::Full(left(msg))),
            Put::Closed => Err(TrySendError::Disconnected(left(msg))),
        }
    }

    /// Sends a message, waiting no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] when the time is up, [`SendTimeoutError::Disconnected`] when the channel
    /// is closed or has no receivers; both hold the message, which then was not sent.
    ///
    /// # Cancellation
    ///
    /// By its time-out, or by closing the channel: the message comes back.
    ///
    /// ```
    /// use gosched::chan::{SendTimeoutError, bounded};
    /// use std::time::Duration;
    ///
    /// let (tx, _rx) = bounded(1);
    /// assert_eq!(tx.send_timeout(1, Duration::from_millis(1)), Ok(()));
    /// assert_eq!(tx.send_timeout(2, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(2)));
    /// ```
    ///
    /// In Go: `select { case c <- v: … case <-time.After(d): … }`.
    #[track_caller]
    pub fn send_timeout(&self, msg: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        match now().checked_add(timeout) {
            Some(deadline) => self.send_deadline(msg, deadline),
            // Later than any clock can tell.
            None => self.send(msg).map_err(SendTimeoutError::from),
        }
    }

    /// Sends a message, waiting no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Sender::send_timeout`]. With a deadline in the past it still sends if there is a place.
    ///
    /// ```
    /// use gosched::{chan::bounded, time::now};
    ///
    /// let (tx, _rx) = bounded(1);
    /// assert!(tx.send_deadline(1, now()).is_ok());
    /// assert!(tx.send_deadline(2, now()).is_err());
    /// ```
    ///
    /// In Go: `select { case c <- v: … case <-time.After(time.Until(t)): … }`.
    #[track_caller]
    pub fn send_deadline(&self, msg: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        circles::leaves(&msg);
        let mut msg = Some(msg);
        match self.chan().try_put(&mut msg) {
            Put::Done => return Ok(()),
            Put::Closed => return Err(SendTimeoutError::Disconnected(left(msg))),
            Put::Full => {}
        }
        let mut future = pin!(SendFuture::new(self, left(msg)));
        match wait_deadline(WaitReason::ChanSend, future.as_mut(), deadline) {
            Some(result) => result.map_err(SendTimeoutError::from),
            None => match future.stop() {
                // A receiver took it in the same instant.
                (None, _) => Ok(()),
                (Some(msg), true) => Err(SendTimeoutError::Disconnected(msg)),
                (Some(msg), false) => Err(SendTimeoutError::Timeout(msg)),
            },
        }
    }

    /// Sends a message; the future waits until it has a place or a receiver.
    ///
    /// In goroutines, on threads and in async tasks of any executor alike.
    ///
    /// ```
    /// # use gosched::{chan::bounded, wait};
    /// let (tx, rx) = bounded(1);
    /// wait(async { tx.send_async(3).await }).unwrap();
    /// assert_eq!(rx.recv(), Ok(3));
    /// ```
    #[track_caller]
    pub fn send_async(&self, msg: T) -> SendFuture<'_, T> {
        circles::leaves(&msg);
        SendFuture::new(self, msg)
    }

    /// This sender as a `futures` sink.
    ///
    /// For an example see [`Sink`].
    pub fn into_sink(self) -> Sink<T> {
        Sink::new(self)
    }

    /// Closes the channel: sends fail from now on, blocked senders get their messages back, receivers take what
    /// is buffered and then fail. Returns true the first time.
    ///
    /// It need not be called: the channel closes when its last sender is dropped.
    ///
    /// ```
    /// # use gosched::chan::unbounded;
    /// let (tx, rx) = unbounded();
    /// tx.send(1).unwrap();
    /// assert!(tx.close());
    /// assert!(!tx.close());
    /// assert!(tx.send(2).is_err());
    /// assert_eq!(rx.recv(), Ok(1));
    /// assert!(rx.recv().is_err());
    /// ```
    ///
    /// In Go: `close(c)`; closing twice is harmless here, not a panic.
    pub fn close(&self) -> bool {
        self.chan().close()
    }

    /// Whether every send fails: the channel is closed, or all its receivers are gone.
    pub fn is_closed(&self) -> bool {
        self.chan().look().rejects()
    }

    /// Waits until [every send fails](Sender::is_closed): for one who makes what he sends at some cost, or waits for
    /// something to send, and should stop when nobody wants it any more.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(tx.closed_async())` can.
    ///
    /// ```
    /// let (tx, rx) = gosched::chan::bounded::<i32>(1);
    /// std::thread::spawn(move || drop(rx));
    /// tx.closed();
    /// assert!(tx.is_closed());
    /// ```
    ///
    /// In Go: nothing; a sender does not learn that its receivers have gone.
    #[track_caller]
    pub fn closed(&self) {
        wait_for(WaitReason::ChanClosed, pin!(self.closed_async()));
    }

    /// The async form of [`closed`](Sender::closed).
    ///
    /// ```
    /// # use gosched::{chan::bounded, wait};
    /// let (tx, rx) = bounded::<i32>(1);
    /// std::thread::spawn(move || drop(rx));
    /// wait(async { tx.closed_async().await });
    /// assert!(tx.send(1).is_err());
    /// ```
    pub fn closed_async(&self) -> ClosedFuture<'_, T> {
        ClosedFuture::new(self)
    }

    /// Closes the channel because of a panic, which its receivers get in place of the end.
    #[cfg(not(loom))]
    pub(crate) fn fail(&self, payload: Box<dyn std::any::Any + Send>) {
        self.chan().fail(payload);
    }

    /// Whether there is no message in the channel. Always true without a buffer, save for a message handed to a
    /// receive that was cancelled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the buffer has no place. Always true without a buffer.
    pub fn is_full(&self) -> bool {
        self.chan().look().is_full()
    }

    /// The number of messages in the channel. Blocked senders are not counted.
    ///
    /// In Go: `len(c)`.
    pub fn len(&self) -> usize {
        self.chan().look().len()
    }

    /// The number of places in the buffer; `None` for an unbounded channel.
    ///
    /// In Go: `cap(c)`.
    pub fn capacity(&self) -> Option<usize> {
        self.chan().capacity()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        self.chan == other.chan
    }

    // ---- the second half of a chosen send case ----

    /// Finishes a chosen send case of a select.
    #[track_caller]
    pub(crate) fn finish_case(&self, end: End, msg: T) -> Result<(), SendError<T>> {
        circles::leaves(&msg);
        let mut msg = Some(msg);
        match self.chan().finish_send(end, &mut msg) {
            Finish::Done => Ok(()),
            Finish::Closed => Err(SendError(left(msg))),
            Finish::Withdrawn => self.send(left(msg)),
        }
    }

    /// The same without blocking.
    pub(crate) async fn finish_case_async(&self, end: End, msg: T) -> Result<(), SendError<T>> {
        circles::leaves(&msg);
        let mut msg = Some(msg);
        match self.chan().finish_send(end, &mut msg) {
            Finish::Done => Ok(()),
            Finish::Closed => Err(SendError(left(msg))),
            Finish::Withdrawn => self.send_async(left(msg)).await,
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.chan().add_sender();
        Self { chan: self.chan }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // SAFETY: this sender owns one count, and ends here.
        unsafe { Chan::drop_sender(self.chan) };
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
