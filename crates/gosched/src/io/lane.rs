//! One direction of a pipe: writers hand pieces to readers, and nothing is kept in between.
//!
//! A writer sends what it has, and where the next byte of that is, through a channel without a buffer. The reader that
//! receives it takes what it has room for and answers how much that was. So whoever waits can be given up at any moment: a
//! piece that was received is copied and answered at once, with nothing to wait for.

use crate::chan::{self, Receiver, Sender};
use crate::clock::now;
use crate::select_async;
use crate::sync::Semaphore;
use crate::sys::global::OnceLock;
use crate::sys::lock::Spin;
use crate::wait::{WaitReason, wait_for};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// The pipe was closed: what an [`io::Error`] carries then.
///
/// ```
/// use gosched::io::{ClosedPipe, pipe};
/// use std::io::Write;
///
/// let (reader, mut writer) = pipe();
/// drop(reader);
/// let error = writer.write(b"x").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<ClosedPipe>()));
/// ```
///
/// In Go: `io.ErrClosedPipe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("io: read/write on closed pipe")
    }
}

impl Error for ClosedPipe {}

fn closed_pipe() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, ClosedPipe)
}

/// What a writer offers.
struct Piece {
    data: Arc<[u8]>,
    /// What has been taken of it already.
    taken: usize,
    /// Has room for the answer.
    answer: Sender<usize>,
}

/// One side of a lane: whether it was closed, and why.
struct End {
    /// With an error that the other side is to get.
    why: OnceLock<Option<Arc<io::Error>>>,
    closed: Receiver<Infallible>,
    open: Spin<Option<Sender<Infallible>>>,
}

impl End {
    fn new() -> Self {
        let (open, closed) = chan::bounded(0);
        Self { why: OnceLock::new(), closed, open: Spin::new(Some(open)) }
    }

    /// Only the first time counts.
    fn close(&self, why: Option<Arc<io::Error>>) {
        let _ = self.why.set(why);
        let open = self.open.lock().take();
        drop(open);
    }

    fn is_closed(&self) -> bool {
        self.why.get().is_some()
    }

    /// The error it was closed with, if it was, or else what `plain` says.
    fn error(&self, plain: impl FnOnce() -> io::Result<usize>) -> Option<io::Result<usize>> {
        Some(match self.why.get()? {
            Some(error) => Err(io::Error::new(error.kind(), error.clone())),
            None => plain(),
        })
    }
}

/// When operations give up.
pub(crate) struct Limit(Spin<LimitNow>);

struct LimitNow {
    deadline: Option<Instant>,
    /// Closed when it changes.
    changed: Receiver<Infallible>,
    unchanged: Sender<Infallible>,
}

impl Limit {
    pub(crate) fn new() -> Self {
        Self(Spin::new(LimitNow::new(None)))
    }

    pub(crate) fn set(&self, deadline: Option<Instant>) {
        let new = LimitNow::new(deadline);
        let old = std::mem::replace(&mut *self.0.lock(), new);
        // Not under the lock: it wakes who waits.
        drop(old);
    }

    fn get(&self) -> (Option<Instant>, Receiver<Infallible>) {
        let now = self.0.lock();
        (now.deadline, now.changed.clone())
    }
}

impl LimitNow {
    fn new(deadline: Option<Instant>) -> Self {
        let (unchanged, changed) = chan::bounded(0);
        Self { deadline, changed, unchanged }
    }
}

impl fmt::Debug for LimitNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitNow").field("deadline", &self.deadline).field("open", &self.unchanged).finish()
    }
}

/// See the module.
pub(crate) struct Lane {
    offer: Sender<Piece>,
    take: Receiver<Piece>,
    /// Writers come one after the other, each with all it has.
    gate: Semaphore,
    reader: End,
    writer: End,
}

impl Lane {
    pub(crate) fn new() -> Self {
        let (offer, take) = chan::bounded(0);
        Self { offer, take, gate: Semaphore::new(1), reader: End::new(), writer: End::new() }
    }

    /// Nobody reads any more: writers get this error, or that the pipe is closed.
    pub(crate) fn close_reader(&self, why: Option<io::Error>) {
        self.reader.close(why.map(Arc::new));
    }

    /// Nobody writes any more: readers get this error, or the end.
    pub(crate) fn close_writer(&self, why: Option<io::Error>) {
        self.writer.close(why.map(Arc::new));
    }

    pub(crate) async fn read(
        &self,
        limit: &Limit,
        late: fn() -> io::Error,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            if self.reader.is_closed() {
                return Err(closed_pipe());
            }
            if let Some(end) = self.writer.error(|| Ok(0)) {
                return end;
            }
            let (deadline, changed) = limit.get();
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Err(late());
            }
            if buf.is_empty() {
                return Ok(0);
            }
            let time = deadline.map(chan::at);
            select_async! {
                recv(self.take) -> piece => if let Ok(piece) = piece {
                    let rest = &piece.data[piece.taken..];
                    let n = rest.len().min(buf.len());
                    buf[..n].copy_from_slice(&rest[..n]);
                    // There is room; a writer that has given up need not know.
                    let _ = piece.answer.try_send(n);
                    return Ok(n);
                },
                recv(self.reader.closed) -> _ => {}
                recv(self.writer.closed) -> _ => {}
                recv(changed) -> _ => {}
                recv(time) -> _ => {}
            }
        }
    }

    /// Ready when all has been taken.
    pub(crate) async fn write(
        &self,
        limit: &Limit,
        late: fn() -> io::Error,
        buf: &[u8],
    ) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let data: Arc<[u8]> = buf.into();
        let mut taken = 0;
        let mut gate = None;
        while taken < buf.len() {
            let failure = if self.writer.is_closed() {
                Some(closed_pipe())
            } else {
                self.reader.error(|| Err(closed_pipe())).and_then(Result::err)
            };
            let (deadline, changed) = limit.get();
            let failure = failure.or_else(|| deadline.is_some_and(|deadline| deadline <= now()).then(late));
            if let Some(failure) = failure {
                // What was taken before counts: the error comes again with the next call.
                return if taken > 0 { Ok(taken) } else { Err(failure) };
            }
            let time = deadline.map(chan::at);
            if gate.is_none() {
                gate = self.enter(&changed, time.as_ref()).await;
                continue;
            }
            let (answer, answered) = chan::bounded(1);
            select_async! {
                send(self.offer, Piece { data: data.clone(), taken, answer }) -> sent => if sent.is_ok() {
                    // Whoever has received it answers before it does anything else.
                    taken += answered.recv_async().await.unwrap_or(0);
                },
                recv(self.reader.closed) -> _ => {}
                recv(self.writer.closed) -> _ => {}
                recv(changed) -> _ => {}
                recv(time) -> _ => {}
            }
        }
        Ok(taken)
    }

    /// Waits until no other writer is before us, or something has happened.
    async fn enter(
        &self,
        changed: &Receiver<Infallible>,
        time: Option<&Receiver<Instant>>,
    ) -> Option<crate::sync::SemaphoreGuard> {
        let mut turn = pin!(self.gate.acquire_guard_async(1));
        let mut other = pin!(async {
            select_async! {
                recv(self.reader.closed) -> _ => {}
                recv(self.writer.closed) -> _ => {}
                recv(changed) -> _ => {}
                recv(time) -> _ => {}
            }
        });
        std::future::poll_fn(|cx| {
            if let Poll::Ready(guard) = turn.as_mut().poll(cx) {
                return Poll::Ready(Some(guard));
            }
            other.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("reader_closed", &self.reader.is_closed())
            .field("writer_closed", &self.writer.is_closed())
            .finish_non_exhaustive()
    }
}

/// Reading from a pipe between goroutines, or writing to it, as a future.
///
/// # Cancellation
///
/// A read that is dropped before it is ready has taken nothing. Of a write that is dropped, what readers have taken by then
/// is written; how much that was, nobody knows.
///
/// # Example
///
/// ```
/// use gosched::io::{PipeFuture, pipe};
/// use gosched::time::timeout;
/// use std::time::Duration;
///
/// let (reader, _writer) = pipe();
/// let mut buf = [0];
/// let read: PipeFuture<'_> = reader.read_async(&mut buf);
/// assert!(timeout(Duration::from_millis(1), read).is_err(), "nobody writes");
/// ```
///
/// In Go: nothing; every function may block.
#[must_use = "a future does nothing until it is polled"]
pub struct PipeFuture<'a> {
    inner: Pin<Box<dyn Future<Output = io::Result<usize>> + Send + 'a>>,
}

impl<'a> PipeFuture<'a> {
    pub(crate) fn new(inner: impl Future<Output = io::Result<usize>> + Send + 'a) -> Self {
        Self { inner: Box::pin(inner) }
    }

    /// The straight-line form. (Not an I/O wait: nobody outside of the process ends it.)
    #[track_caller]
    pub(crate) fn block(self) -> io::Result<usize> {
        wait_for(WaitReason::Select, pin!(self))
    }
}

impl Future for PipeFuture<'_> {
    type Output = io::Result<usize>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for PipeFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeFuture").finish_non_exhaustive()
    }
}
