//! The receiving handle.

use super::core::Chan;
use super::err::{RecvError, RecvTimeoutError, TryRecvError};
use super::iter::{Iter, TryIter};
use super::recv::{Blocking, RecvFuture, Stopped, recv_parked};
use super::stream::{IntoStream, Stream};
use super::timer::{Look, Place, TimerChan, Turn, now};
use crate::wait::{WaitReason, lean_spot, wait_deadline, wait_for};
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving half of a channel.
///
/// Clones receive from the same channel; each message goes to one of them. Receivers that wait are served in
/// the order in which they came. When the last one is dropped, sends fail, blocked senders are woken with their
/// messages, and what is still in the channel is dropped.
///
/// A channel that is the end of a [pipeline](crate::pipeline) may have been closed by a panic: the receive that would
/// report it as closed raises that panic again, once.
///
/// ```
/// use gosched::chan::bounded;
///
/// let (tx, rx) = bounded(2);
/// tx.send("ping").unwrap();
/// drop(tx);
/// assert_eq!(rx.recv(), Ok("ping"));
/// assert!(rx.recv().is_err());
/// ```
///
/// In Go: the `<-chan T` side of a channel.
pub struct Receiver<T> {
    pub(super) flavor: Flavor<T>,
}

/// What a receiver receives from.
pub(super) enum Flavor<T> {
    /// A channel with senders. The receiver owns one count of its receivers' side.
    Chan(NonNull<Chan<T>>),
    /// A channel that time fills.
    Timer(Arc<TimerChan<T>>),
    /// A channel from which nothing ever comes.
    Never,
}

// SAFETY: a receiver moves values of type `T` between threads, never shares them; all else in a channel is
// atomic or under its lock.
unsafe impl<T: Send> Send for Receiver<T> {}
// SAFETY: as above: all methods on `&Receiver` may be called from several threads at once.
unsafe impl<T: Send> Sync for Receiver<T> {}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    /// Takes over one count of the receivers' side.
    pub(super) fn from_chan(chan: NonNull<Chan<T>>) -> Self {
        Self { flavor: Flavor::Chan(chan) }
    }

    pub(super) const fn never() -> Self {
        Self { flavor: Flavor::Never }
    }

    pub(super) fn from_timer(timer: TimerChan<T>) -> Self {
        Self { flavor: Flavor::Timer(Arc::new(timer)) }
    }

    /// The channel, if it is one with senders.
    #[inline]
    pub(super) fn chan(&self) -> Option<&Chan<T>> {
        match &self.flavor {
            // SAFETY: this receiver's count keeps the channel in place for as long as it is borrowed.
            Flavor::Chan(chan) => Some(unsafe { chan.as_ref() }),
            _ => None,
        }
    }

    /// Receives a message, waiting until there is one.
    ///
    /// Messages that are in the channel when it is closed can still be received.
    ///
    /// # Errors
    ///
    /// [`RecvError`] once the channel is empty and closed.
    ///
    /// # Cancellation
    ///
    /// A blocking receive cannot be cancelled, except by closing the channel; [`Receiver::recv_async`] can.
    ///
    /// ```
    /// # use gosched::chan::bounded;
    /// let (tx, rx) = bounded(0);
    /// std::thread::spawn(move || tx.send(5).unwrap());
    /// assert_eq!(rx.recv(), Ok(5));
    /// ```
    ///
    /// In Go: `v, ok := <-c`.
    #[track_caller]
    #[inline(always)]
    pub fn recv(&self) -> Result<T, RecvError> {
        let mut value = None;
        if let Some(chan) = self.chan()
            && chan.try_take(&mut value).is_ok()
            && let Some(value) = value
        {
            return Ok(value);
        }
        self.recv_slow()
    }

    #[inline(always)]
    #[track_caller]
    fn recv_slow(&self) -> Result<T, RecvError> {
        match (self.chan(), lean_spot()) {
            (Some(chan), Some(spot)) => recv_parked(chan, spot, Location::caller()),
            (Some(_), None) => wait_for(WaitReason::ChanReceive, pin!(RecvFuture::new(self))),
            _ => match self.recv_time(None) {
                Ok(value) => Ok(value),
                Err(_) => unreachable!("without a deadline nothing times out"),
            },
        }
    }

    /// Receives a message if there is one now.
    ///
    /// It fails only if there was an instant at which the channel was open and had nothing to receive, or was
    /// closed and empty. If the message is still being made by the chosen `send` case of a `select!`, the call
    /// waits for it: for ever, if that select is never run again, because its runtime is gone or its future
    /// was forgotten.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] or [`TryRecvError::Disconnected`].
    ///
    /// ```
    /// # use gosched::chan::{unbounded, TryRecvError};
    /// let (tx, rx) = unbounded();
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.send(1).unwrap();
    /// assert_eq!(rx.try_recv(), Ok(1));
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    ///
    /// In Go: `select { case v := <-c: … default: … }`.
    #[track_caller]
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        use super::core::NoValue;
        match &self.flavor {
            Flavor::Chan(_) => {
                let mut value = None;
                let chan = self.chan().expect("just seen to be one");
                match chan.try_take(&mut value) {
                    Ok(()) => value.ok_or(TryRecvError::Empty),
                    Err(NoValue::NeedsWaker) => self.try_recv_slow(),
                    Err(NoValue::Closed) => {
                        chan.ended();
                        Err(TryRecvError::Disconnected)
                    }
                    Err(reason) => Err(reason.into()),
                }
            }
            Flavor::Timer(timer) => timer.take().map(|time| timer.convert(time)).ok_or(TryRecvError::Empty),
            Flavor::Never => Err(TryRecvError::Empty),
        }
    }

    #[cold]
    #[track_caller]
    fn try_recv_slow(&self) -> Result<T, TryRecvError> {
        let mut future = pin!(RecvFuture::new_try(self));
        wait_for(WaitReason::ChanReceive, pin!(Blocking(future.as_mut())))
    }

    /// Receives a message, waiting for it no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`] when the time is up, [`RecvTimeoutError::Disconnected`] when the channel
    /// is empty and closed. With a time-out of zero it still takes what is there.
    ///
    /// ```
    /// # use gosched::chan::{unbounded, RecvTimeoutError};
    /// # use std::time::Duration;
    /// let (_tx, rx) = unbounded::<i32>();
    /// assert_eq!(rx.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
    /// ```
    ///
    /// # Cancellation
    ///
    /// By its time-out, or by closing the channel. Nothing is lost.
    ///
    /// In Go: `select { case v := <-c: … case <-time.After(d): … }`.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match now().checked_add(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            // Later than any clock can tell.
            None => self.recv().map_err(RecvTimeoutError::from),
        }
    }

    /// Receives a message, waiting for it no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_timeout`]. With a deadline in the past it still takes what is there.
    ///
    /// ```
    /// use gosched::{chan::{RecvTimeoutError, bounded}, time::now};
    ///
    /// let (tx, rx) = bounded(1);
    /// assert_eq!(rx.recv_deadline(now()), Err(RecvTimeoutError::Timeout));
    /// tx.send(1).unwrap();
    /// assert_eq!(rx.recv_deadline(now()), Ok(1));
    /// ```
    ///
    /// In Go: `select { case v := <-c: … case <-time.After(time.Until(t)): … }`.
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let Some(chan) = self.chan() else {
            return self.recv_time(Some(deadline));
        };
        let mut value = None;
        if chan.try_take(&mut value).is_ok()
            && let Some(value) = value
        {
            return Ok(value);
        }
        let mut future = pin!(RecvFuture::new(self));
        let blocking = pin!(Blocking(future.as_mut()));
        let result = match wait_deadline(WaitReason::ChanReceive, blocking, deadline) {
            Some(result) => result,
            None => match future.as_mut().op().stop(chan) {
                Stopped::Ended(result) => {
                    if result.is_err() {
                        chan.ended();
                    }
                    result
                }
                // The sender that has chosen us is making the message: it comes, or we look once more.
                Stopped::Paired => wait_for(WaitReason::ChanReceive, pin!(Blocking(future.as_mut()))),
                // What came between the last look and leaving the queue was handed to us; nothing came.
                Stopped::Out => Err(TryRecvError::Empty),
            },
        };
        result.map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// Receives from `after`, `at`, `tick` and their like, and from `never`.
    #[track_caller]
    fn recv_time(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let Flavor::Timer(timer) = &self.flavor else {
            let forever = pin!(std::future::pending::<()>());
            match deadline {
                None => wait_for(WaitReason::ChanReceiveNil, forever),
                Some(deadline) => wait_deadline(WaitReason::ChanReceiveNil, forever, deadline).unwrap_or(()),
            }
            return Err(RecvTimeoutError::Timeout);
        };
        if let Some(time) = timer.take() {
            return Ok(timer.convert(time));
        }
        let place = pin!(Place::new());
        let place = place.as_ref();
        let _leave = LeaveTimer { timer, place };
        let mut due = timer.due();
        loop {
            let turn = pin!(Turn::new(timer, place, due));
            let look = match due.into_iter().chain(deadline).min() {
                None => Some(wait_for(WaitReason::ChanReceive, turn)),
                Some(until) => wait_deadline(WaitReason::ChanReceive, turn, until),
            };
            match look {
                Some(Look::Taken(time)) => return Ok(timer.convert(time)),
                Some(Look::Until(new)) => due = new,
                None => {
                    if let Some(time) = timer.take() {
                        return Ok(timer.convert(time));
                    }
                    if deadline.is_some_and(|deadline| now() >= deadline) {
                        return Err(RecvTimeoutError::Timeout);
                    }
                    due = timer.due();
                }
            }
        }
    }

    /// Whether there is another receiver of the channel, which has senders.
    pub(crate) fn has_clones(&self) -> bool {
        self.chan().is_some_and(Chan::has_several_receivers)
    }

    /// Whether somebody waits for a message, in whatever way.
    pub(crate) fn is_awaited(&self) -> bool {
        self.chan().is_some_and(Chan::has_waiting_receivers)
    }

    /// Receives a message if there is one that nobody has to make first; never waits. `None` says nothing of the end.
    pub(crate) fn take_now(&self) -> Option<T> {
        let mut value = None;
        let _ = self.chan()?.try_take(&mut value);
        value
    }

    /// Receives a message; the future waits for it.
    ///
    /// In goroutines, on threads and in async tasks of any executor alike.
    ///
    /// ```
    /// # use gosched::{chan::bounded, wait};
    /// let (tx, rx) = bounded(1);
    /// tx.send(3).unwrap();
    /// assert_eq!(wait(async { rx.recv_async().await }), Ok(3));
    /// ```
    #[track_caller]
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(self)
    }

    /// Whether no more messages can be sent: the channel was closed, or its last sender dropped. There may
    /// still be messages to receive.
    pub fn is_closed(&self) -> bool {
        self.chan().is_some_and(|chan| chan.look().is_closed())
    }

    /// Whether there is no message in the channel. Always true without a buffer, save for a message handed to a
    /// receive that was cancelled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the buffer has no place. Always true without a buffer.
    pub fn is_full(&self) -> bool {
        match &self.flavor {
            Flavor::Chan(_) => self.chan().is_some_and(|chan| chan.look().is_full()),
            Flavor::Timer(timer) => timer.is_due(),
            Flavor::Never => true,
        }
    }

    /// The number of messages in the channel. Blocked senders are not counted.
    ///
    /// In Go: `len(c)`.
    pub fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Chan(_) => self.chan().map_or(0, |chan| chan.look().len()),
            Flavor::Timer(timer) => usize::from(timer.is_due()),
            Flavor::Never => 0,
        }
    }

    /// The number of places in the buffer; `None` for an unbounded channel.
    ///
    /// In Go: `cap(c)`.
    pub fn capacity(&self) -> Option<usize> {
        match &self.flavor {
            Flavor::Chan(_) => self.chan().and_then(Chan::capacity),
            Flavor::Timer(_) => Some(1),
            Flavor::Never => Some(0),
        }
    }

    /// An iterator that waits for each message and ends when the channel is empty and closed.
    ///
    /// ```
    /// # use gosched::chan::unbounded;
    /// let (tx, rx) = unbounded();
    /// for i in 0..3 {
    ///     tx.send(i).unwrap();
    /// }
    /// drop(tx);
    /// assert_eq!(rx.iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    ///
    /// In Go: `for v := range c`.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// An iterator over what is in the channel now; it ends instead of waiting.
    ///
    /// For an example see [`TryIter`].
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }

    /// The messages as a `futures` stream that ends when the channel is empty and closed.
    ///
    /// For an example see [`Stream`].
    pub fn stream(&self) -> Stream<'_, T> {
        Stream::new(self)
    }

    /// The same, owning the receiver.
    ///
    /// For an example see [`IntoStream`].
    pub fn into_stream(self) -> IntoStream<T> {
        IntoStream::new(self)
    }

    /// Whether both receive from the same channel. All `never` channels are the same.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        match (&self.flavor, &other.flavor) {
            (Flavor::Chan(a), Flavor::Chan(b)) => a == b,
            (Flavor::Timer(a), Flavor::Timer(b)) => Arc::ptr_eq(a, b),
            (Flavor::Never, Flavor::Never) => true,
            _ => false,
        }
    }
}

/// The channels behind `time::Timer` and `time::Ticker`.
impl Receiver<Instant> {
    /// A channel whose first message is due at `due`; `None` is never. With a period others follow it.
    pub(crate) fn timed(due: Option<Instant>, period: Option<Duration>) -> Self {
        Self::from_timer(TimerChan::new(due, period))
    }

    /// Nothing more is delivered until it is set again. Whether a message was still to come.
    pub(crate) fn stop_timer(&self) -> bool {
        matches!(&self.flavor, Flavor::Timer(timer) if timer.stop())
    }

    /// The next message is due at `due`, whatever was before. Whether one was still to come.
    pub(crate) fn set_timer(&self, due: Option<Instant>, period: Option<Duration>) -> bool {
        matches!(&self.flavor, Flavor::Timer(timer) if timer.set(due, period))
    }
}

/// Leaves a timer channel's queue at the end of a wait, or when it unwinds.
struct LeaveTimer<'a, T> {
    timer: &'a TimerChan<T>,
    place: Pin<&'a Place>,
}

impl<T> Drop for LeaveTimer<'_, T> {
    fn drop(&mut self) {
        self.place.leave(self.timer);
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let flavor = match &self.flavor {
            Flavor::Chan(chan) => {
                if let Some(chan) = self.chan() {
                    chan.add_receiver();
                }
                Flavor::Chan(*chan)
            }
            Flavor::Timer(timer) => Flavor::Timer(timer.clone()),
            Flavor::Never => Flavor::Never,
        };
        Self { flavor }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Flavor::Chan(chan) = &self.flavor {
            // SAFETY: this receiver owns one count, and ends here.
            unsafe { Chan::drop_receiver(*chan) };
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
