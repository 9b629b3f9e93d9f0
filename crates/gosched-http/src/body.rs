//! What requests and responses carry.

use crate::writer::{BodyWriter, Part, Parts};
use bytes::Bytes;
use gosched::context::{CancelContext, ContextError};
use gosched::time::{Sleep, sleep_until_async, timeout_at};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How many bytes one call of [`Body::from_reader`] asks its reader for.
const CHUNK: usize = 16 * 1024;

/// The body of a request or a response.
///
/// That of a request is read with [`Read`], or piece by piece with [`next_chunk`](Body::next_chunk); reading waits as
/// goroutines do. It may be handed on as the body of a response.
///
/// That of a response is made of text or bytes with `From`, or written while it is sent: see [`channel`](Body::channel)
/// and [`stream`](Body::stream). Its length is sent where it is known; else it is chunked.
///
/// # Example
///
/// ```
/// use gosched_http::Body;
/// use std::io::{Read, Write};
///
/// gosched::run(|| {
///     let mut body = Body::stream(|writer| {
///         for n in 0..3 {
///             write!(writer, "{n} ")?;
///         }
///         Ok(())
///     });
///     let mut text = String::new();
///     body.read_to_string(&mut text)?;
///     assert_eq!(text, "0 1 2 ");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `Request.Body`, an `io.ReadCloser`, and what is written to a `ResponseWriter`.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    /// What few bodies have. Behind a pointer, because requests and responses are moved a good dozen times on their way:
    /// with all of it inside a server copied a kilobyte more for each request.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    /// What `read` has not taken of the last piece.
    rest: Bytes,
    trailers: Option<HeaderMap>,
    limits: Limits,
    /// Dropped when an incoming body has come to its end.
    reading: Option<Reading>,
    exchange: Option<Exchange>,
    /// Counts the time of a body that is handed on; made when nothing has come yet.
    late: Option<Pin<Box<Sleep>>>,
    was_decompressed: bool,
}

/// What the body of a response belongs to: reading it ends with this.
pub(crate) struct Exchange {
    pub(crate) ctx: CancelContext,
}

/// Tells a connection that a request's body is read no more.
pub(crate) struct Reading(pub(crate) Arc<dyn Reader>);

/// Where a request's body comes from.
pub(crate) trait Reader: Send + Sync {
    fn has_read(&self);
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.has_read();
    }
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(hyper::body::Incoming),
    #[cfg(feature = "compression")]
    Decoded(Box<crate::decode::Decoded>),
    Parts(Parts),
}

/// How long reading waits for the other side.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    /// When the whole must have been read.
    pub(crate) until: Option<Instant>,
    /// How long one piece may take.
    pub(crate) stall: Option<Duration>,
}

impl Body {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body, and the writer through which it is written while it is sent. Somebody else must write, usually another
    /// goroutine: a handler's response is sent after the handler has returned, and the writer waits for the other side
    /// when a few pieces wait to be sent.
    ///
    /// ```
    /// use gosched_http::{Body, Request, Response};
    /// use std::io::Write;
    ///
    /// fn handler(_: Request) -> Response {
    ///     let (mut writer, body) = Body::channel();
    ///     gosched::go(move || writeln!(writer, "written while it is sent"));
    ///     Response::new(body)
    /// }
    /// # let _ = handler;
    /// ```
    ///
    /// In Go: `io.Pipe`.
    pub fn channel() -> (BodyWriter, Self) {
        let (writer, parts) = crate::writer::pair();
        (writer, Self { kind: Kind::Parts(parts), ..Self::default() })
    }

    /// A body that `write` writes, on a goroutine of its own. If it fails or panics, the body ends with that error: the
    /// other side learns that it has not got all of it.
    ///
    /// In Go: a handler that goes on writing to its `ResponseWriter`.
    #[track_caller]
    pub fn stream(write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static) -> Self {
        let (mut writer, body) = Self::channel();
        gosched::go(move || {
            if let Err(error) = write(&mut writer) {
                writer.abort(error);
            }
        });
        body
    }

    /// A body that is read from `reader`, on a goroutine of its own, while it is sent.
    ///
    /// In Go: `io.Copy(w, reader)`.
    #[track_caller]
    pub fn from_reader(mut reader: impl Read + Send + 'static) -> Self {
        Self::stream(move |writer| {
            let mut chunk = vec![0; CHUNK];
            loop {
                match reader.read(&mut chunk) {
                    Ok(0) => return Ok(()),
                    Ok(n) => writer.send(Bytes::copy_from_slice(&chunk[..n]))?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// The body of a request, that is not empty.
    pub(crate) fn incoming(incoming: hyper::body::Incoming, limits: Limits, reading: Reading) -> Self {
        let more = More { limits, reading: Some(reading), ..More::default() };
        Self { kind: Kind::Incoming(incoming), more: Some(Box::new(more)) }
    }

    /// The body of a response that a client has got.
    pub(crate) fn response(incoming: hyper::body::Incoming) -> Self {
        let kind = if incoming.is_end_stream() { Kind::Empty } else { Kind::Incoming(incoming) };
        Self { kind, ..Self::default() }
    }

    /// The same of a response whose body is compressed.
    #[cfg(feature = "compression")]
    pub(crate) fn decoded(incoming: hyper::body::Incoming, coding: crate::decode::Coding) -> Self {
        let kind = Kind::Decoded(Box::new(crate::decode::Decoded::new(incoming, coding)));
        let more = More { was_decompressed: true, ..More::default() };
        Self { kind, more: Some(Box::new(more)) }
    }

    /// Whether this is the body of a response that has come compressed, which is undone while it is read. The response's
    /// headers have told of that, and do so no more.
    ///
    /// In Go: `Response.Uncompressed`.
    pub fn was_decompressed(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.was_decompressed)
    }

    /// Ties the body to its exchange; `reader` is told when it was read.
    pub(crate) fn of_client(&mut self, exchange: Exchange, reader: Arc<dyn Reader>) {
        let reading = Reading(reader);
        if !matches!(self.kind, Kind::Empty) {
            let more = self.more();
            more.reading = Some(reading);
            more.exchange = Some(exchange);
        }
        // Else it was read already, by having nothing in it.
    }

    /// The same body once more, if that can be had.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.kind {
            _ if !self.rest().is_empty() => None,
            Kind::Empty => Some(Self::empty()),
            Kind::Full(bytes) => Some(bytes.clone().into()),
            _ => None,
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn rest(&self) -> &[u8] {
        self.more.as_ref().map_or(&[], |more| &more.rest)
    }

    /// Takes what `read` has left of the last piece.
    fn take_rest(&mut self) -> Option<Bytes> {
        let rest = &mut self.more.as_mut()?.rest;
        (!rest.is_empty()).then(|| std::mem::take(rest))
    }

    /// It was read to its end, or nobody will read it.
    fn end(&mut self) {
        self.kind = Kind::Empty;
        if let Some(more) = &mut self.more {
            more.reading = None;
        }
    }

    /// The length, where it is known before it is read.
    pub fn len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// Whether there is nothing (more) to read, as far as that is known.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.is_end_stream()
    }

    /// Waits for the next piece, of whatever size; `None` at the end.
    ///
    /// # Errors
    ///
    /// The other side has gone before the end ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)), or breaks the protocol;
    /// the server's limits on time are exceeded ([`TimedOut`](io::ErrorKind::TimedOut)); what the writer was aborted with.
    ///
    /// In Go: `Body.Read`.
    #[track_caller]
    pub fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        if let Kind::Full(_) | Kind::Empty = self.kind {
            return Ok(self.take_full());
        }
        if let Some(exchange) = self.more.as_ref().and_then(|more| more.exchange.as_ref()) {
            let ctx = (*exchange.ctx).clone();
            return match ctx.wait(self.next_chunk_async()) {
                Ok(chunk) => chunk,
                Err(error) => {
                    // Nobody else can read it, and the connection is of no use.
                    self.end();
                    let kind = match error {
                        ContextError::DeadlineExceeded => io::ErrorKind::TimedOut,
                        _ => io::ErrorKind::Other,
                    };
                    Err(io::Error::new(kind, error))
                }
            };
        }
        match self.more.as_ref().and_then(|more| more.limits.deadline()) {
            None => gosched::wait(self.next_chunk_async()),
            Some(at) => timeout_at(at, self.next_chunk_async())?,
        }
    }

    /// [`next_chunk`](Self::next_chunk) as a future, without the server's limits on time.
    pub fn next_chunk_async(&mut self) -> NextChunk<'_> {
        NextChunk { body: self }
    }

    /// All of it, if that is less than `limit` and at hand.
    #[inline]
    pub(crate) fn take_small(&mut self, limit: usize) -> Option<Bytes> {
        match &mut self.kind {
            Kind::Full(bytes) if !bytes.is_empty() && bytes.len() < limit && self.more.is_none() => {
                Some(std::mem::take(bytes))
            }
            _ => None,
        }
    }

    fn take_full(&mut self) -> Option<Bytes> {
        if let Some(rest) = self.take_rest() {
            return Some(rest);
        }
        match std::mem::take(&mut self.kind) {
            Kind::Full(bytes) if !bytes.is_empty() => Some(bytes),
            _ => None,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            if let Some(rest) = self.take_rest() {
                return Poll::Ready(Ok(Some(rest)));
            }
            match ready!(self.poll_part(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(frame) => self.more().trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    /// Reads all of it, `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// Those of [`next_chunk`](Self::next_chunk); [`FileTooLarge`](io::ErrorKind::FileTooLarge) if there are more.
    ///
    /// In Go: `io.ReadAll(http.MaxBytesReader(w, r.Body, limit))`.
    #[track_caller]
    pub fn bytes(&mut self, limit: usize) -> io::Result<Bytes> {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "the body is larger than the limit");
        if self.len().is_some_and(|len| len > limit as u64) {
            return Err(too_large());
        }
        let Some(first) = self.next_chunk()? else { return Ok(Bytes::new()) };
        let mut all = Vec::new();
        let mut single = Some(first);
        loop {
            let have = single.as_ref().map_or(all.len(), Bytes::len);
            if have > limit {
                return Err(too_large());
            }
            let Some(next) = self.next_chunk()? else { break };
            if let Some(first) = single.take() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&next);
        }
        Ok(single.unwrap_or_else(|| all.into()))
    }

    /// Reads all of it as text, `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Self::bytes); it is not UTF-8 ([`InvalidData`](io::ErrorKind::InvalidData)).
    ///
    /// In Go: `string(body)` after `io.ReadAll`.
    #[track_caller]
    pub fn text(&mut self, limit: usize) -> io::Result<String> {
        String::from_utf8(self.bytes(limit)?.into())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The trailers, once the end was read.
    ///
    /// In Go: `Request.Trailer`.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.more.as_ref()?.trailers.as_ref()
    }
}

/// Waits for the next piece of a body; from [`Body::next_chunk_async`].
///
/// # Cancellation
///
/// Dropped before it is ready, it has taken nothing.
///
/// # Example
///
/// ```
/// use gosched_http::Body;
///
/// let mut body = Body::from("hello");
/// assert_eq!(gosched::wait(body.next_chunk_async())?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(gosched::wait(body.next_chunk_async())?, None);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; reading blocks.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct NextChunk<'a> {
    body: &'a mut Body,
}

impl Future for NextChunk<'_> {
    type Output = io::Result<Option<Bytes>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.body.poll_chunk(cx)
    }
}

impl Read for Body {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.rest().is_empty() {
            match self.next_chunk()? {
                Some(chunk) => self.more().rest = chunk,
                None => return Ok(0),
            }
        }
        let rest = &mut self.more().rest;
        let n = buf.len().min(rest.len());
        buf[..n].copy_from_slice(&rest.split_to(n));
        Ok(n)
    }
}

impl Body {
    /// The next part, without limits on time.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(rest) = self.take_rest() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            // What is left is full of nothing, and that is the end, too.
            Kind::Full(bytes) => match std::mem::take(bytes) {
                bytes if bytes.is_empty() => Poll::Ready(None),
                bytes => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            },
            Kind::Incoming(incoming) => {
                let polled = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                if polled.is_none() || incoming.is_end_stream() {
                    // It is not asked again: where the length was known, hyper says that this is the end only when the
                    // connection has gone on to the next request.
                    self.end();
                }
                Poll::Ready(polled.map(|frame| frame.map_err(io_error)))
            }
            #[cfg(feature = "compression")]
            Kind::Decoded(decoded) => {
                let polled = ready!(decoded.poll_frame(cx));
                if !matches!(&polled, Some(Ok(frame)) if frame.is_data()) {
                    self.end();
                }
                Poll::Ready(polled)
            }
            Kind::Parts(parts) => {
                let polled = ready!(parts.poll_next(cx));
                Poll::Ready(polled.map(|part| {
                    part.map(|part| match part {
                        Part::Data(data) => Frame::data(data),
                        Part::Trailers(trailers) => Frame::trailers(trailers),
                    })
                }))
            }
        }
    }
}

impl Limits {
    /// When it is too late for a part that is awaited from now on.
    fn deadline(self) -> Option<Instant> {
        let stall = self.stall.map(|stall| gosched::time::now() + stall);
        self.until.into_iter().chain(stall).min()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    /// Whoever hands the body of a request on as another body is held to the server's limits on time by this.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = self.poll_part(cx);
        let Some(more) = &mut self.more else { return polled };
        if polled.is_ready() {
            more.late = None;
            return polled;
        }
        if more.late.is_none() {
            more.late = more.limits.deadline().map(|at| Box::pin(sleep_until_async(at)));
        }
        match &mut more.late {
            Some(late) => ready!(late.as_mut().poll(cx)),
            None => return Poll::Pending,
        }
        self.end();
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest().is_empty()
            && match &self.kind {
                Kind::Empty => true,
                Kind::Full(bytes) => bytes.is_empty(),
                Kind::Incoming(incoming) => incoming.is_end_stream(),
                _ => false,
            }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        let hint = match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(incoming) => incoming.size_hint(),
            _ => SizeHint::default(),
        };
        if self.more.is_none() { hint } else { longer(hint, self.rest().len()) }
    }
}

/// A hint for so many bytes more.
pub(crate) fn longer(mut hint: SizeHint, by: usize) -> SizeHint {
    let by = by as u64;
    // The upper bound first: the lower one may not exceed it.
    if let Some(upper) = hint.upper() {
        hint.set_upper(upper + by);
    }
    hint.set_lower(hint.lower() + by);
    hint
}

/// hyper's error as that of a reader.
pub(crate) fn io_error(error: hyper::Error) -> io::Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    let kind = if let Some(source) = source {
        source.kind()
    } else if error.is_timeout() {
        io::ErrorKind::TimedOut
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        io::ErrorKind::UnexpectedEof
    } else if error.is_parse() {
        io::ErrorKind::InvalidData
    } else {
        io::ErrorKind::Other
    };
    io::Error::new(kind, error)
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { kind: Kind::Full(bytes), more: None }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}
