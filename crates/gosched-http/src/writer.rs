//! Writing a body while it is sent.

use crate::lock;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use gosched::chan::{IntoStream, Sender, bounded};
use http::HeaderMap;
use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

/// How many pieces wait to be sent before writing waits.
const PIECES: usize = 4;
/// How many bytes are collected before they are sent as a piece.
const PIECE: usize = 8 * 1024;

pub(crate) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// How the body has ended, when the channel has: `None` while its writer lives, or if that was lost in a panic.
type End = Arc<Mutex<Option<io::Result<()>>>>;

pub(crate) fn pair() -> (BodyWriter, Parts) {
    let (tx, rx) = bounded(PIECES);
    let end = End::default();
    let writer = BodyWriter { tx: Some(tx), buf: BytesMut::new(), end: end.clone() };
    (writer, Parts { stream: rx.into_stream(), end })
}

/// Writes a body; from [`Body::channel`](crate::Body::channel) and [`Body::stream`](crate::Body::stream).
///
/// What is written is collected to pieces of 8 KiB; [`flush`](Write::flush) sends what there is. A few pieces may wait to
/// be sent, then writing waits for the other side.
///
/// Dropping it sends what is left and ends the body, as [`finish`](BodyWriter::finish) does without telling of errors.
/// Dropped by a panic it ends the body with an error, so that nobody takes a part for the whole.
///
/// # Errors
///
/// Writing fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe) when nobody wants the body any more: the other side has
/// gone, or wanted the head only.
///
/// # Example
///
/// ```
/// use gosched_http::Body;
/// use std::io::{Read, Write};
///
/// let (mut writer, mut body) = Body::channel();
/// writer.write_all(b"hello")?;
/// writer.finish()?;
/// let mut text = String::new();
/// body.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.ResponseWriter` with `http.Flusher`.
pub struct BodyWriter {
    /// None once it has ended.
    tx: Option<Sender<Part>>,
    buf: BytesMut,
    end: End,
}

impl BodyWriter {
    /// Sends a piece without copying it, after what was written before.
    ///
    /// # Errors
    ///
    /// See [the type](BodyWriter#errors).
    #[track_caller]
    pub fn send(&mut self, piece: impl Into<Bytes>) -> io::Result<()> {
        self.flush()?;
        let piece = piece.into();
        if piece.is_empty() {
            return Ok(());
        }
        self.send_part(Part::Data(piece))
    }

    #[track_caller]
    fn send_part(&mut self, part: Part) -> io::Result<()> {
        let tx = self.tx.as_ref().ok_or_else(gone)?;
        tx.send(part).map_err(|_| gone())
    }

    /// Sends what is left and ends the body.
    ///
    /// # Errors
    ///
    /// See [the type](BodyWriter#errors).
    #[track_caller]
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.end(Ok(()));
        Ok(())
    }

    /// As [`finish`](Self::finish), with trailers: headers after the body, where the protocol has room for them. Over HTTP/1
    /// that is in a body whose length was not told, for those that the header `Trailer` names, and, of a response, if the
    /// client has sent `TE: trailers`; others are left out.
    ///
    /// # Errors
    ///
    /// See [the type](BodyWriter#errors).
    ///
    /// In Go: the headers with `http.TrailerPrefix`; it sends them to clients that have not asked for them, too.
    #[track_caller]
    pub fn finish_with(mut self, trailers: HeaderMap) -> io::Result<()> {
        self.flush()?;
        self.send_part(Part::Trailers(trailers))?;
        self.end(Ok(()));
        Ok(())
    }

    /// Ends the body with an error: the other side learns that it has not got all of it. Nothing is written after that.
    ///
    /// In Go: `panic(http.ErrAbortHandler)`.
    pub fn abort(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.buf.clear();
        self.end(Err(io::Error::other(error)));
    }

    /// The first to say how it ends is right.
    fn end(&mut self, how: io::Result<()>) {
        let Some(tx) = self.tx.take() else { return };
        *lock(&self.end) = Some(how);
        drop(tx);
    }
}

impl Write for BodyWriter {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.buf.len() >= PIECE {
            self.flush()?;
        }
        if self.tx.is_none() {
            return Err(gone());
        }
        let n = bytes.len().min(PIECE - self.buf.len());
        self.buf.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        if self.buf.is_empty() {
            return Ok(());
        }
        let piece = self.buf.split().freeze();
        self.send_part(Part::Data(piece))
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.abort("the writer of the body has panicked");
        } else {
            let _ = self.flush();
            self.end(Ok(()));
        }
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").field("buffered", &self.buf.len()).finish_non_exhaustive()
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the body any more")
}

/// The other end of a [`BodyWriter`].
pub(crate) struct Parts {
    stream: IntoStream<Part>,
    end: End,
}

impl Parts {
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Part>>> {
        if let Some(part) = ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            return Poll::Ready(Some(Ok(part)));
        }
        // The error is told once; after that it is at its end.
        let end = lock(&self.end).replace(Ok(()));
        Poll::Ready(match end {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(Err(error)),
            None => Some(Err(io::Error::other("the writer of the body is lost"))),
        })
    }
}
