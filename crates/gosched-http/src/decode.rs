//! Bodies that come compressed and are read as what they were before.

use async_compression::futures::bufread::{BrotliDecoder, GzipDecoder};
use bytes::{Buf, Bytes, BytesMut};
use futures_io::{AsyncBufRead, AsyncRead};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, RANGE};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How large pieces are at most. What comes is taken up as it is wanted: a small body that says to be a huge one costs no
/// memory for that.
const PIECE: usize = 16 * 1024;

/// Which way a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Brotli,
}

impl Coding {
    /// Asks for what can be read, unless the user has said what to ask for, or wants a part: of what, would not be clear.
    pub(crate) fn ask(method: &http::Method, headers: &mut HeaderMap) -> bool {
        let may = method != http::Method::HEAD
            && !headers.contains_key(ACCEPT_ENCODING)
            && !headers.contains_key(RANGE);
        if may {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        }
        may
    }

    /// How the body of a response is compressed, if that is one way; then its headers tell of what is read.
    pub(crate) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        let coding = codings.next()?.to_str().ok()?.trim();
        let coding = if coding.eq_ignore_ascii_case("gzip") {
            Self::Gzip
        } else if coding.eq_ignore_ascii_case("br") {
            Self::Brotli
        } else {
            return None;
        };
        if codings.next().is_some() {
            return None;
        }
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        Some(coding)
    }
}

/// See the module.
pub(crate) struct Decoded {
    decoder: Decoder,
    /// Where the next pieces go.
    room: BytesMut,
}

enum Decoder {
    // It may come in several parts one after the other.
    Gzip(GzipDecoder<Source>),
    Brotli(BrotliDecoder<Source>),
}

/// What is decompressed.
struct Source {
    incoming: Incoming,
    piece: Bytes,
    /// Some bytes have come.
    any: bool,
    trailers: Option<HeaderMap>,
}

impl Decoded {
    pub(crate) fn new(incoming: Incoming, coding: Coding) -> Self {
        let source = Source { incoming, piece: Bytes::new(), any: false, trailers: None };
        let decoder = match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(source);
                decoder.multiple_members(true);
                Decoder::Gzip(decoder)
            }
            Coding::Brotli => Decoder::Brotli(BrotliDecoder::new(source)),
        };
        Self { decoder, room: BytesMut::new() }
    }

    fn source(&mut self) -> &mut Source {
        match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Brotli(decoder) => decoder.get_mut(),
        }
    }

    /// The next piece, or at the end the trailers; then `None`. It is not asked again after an error.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.source().any && ready!(Pin::new(self.source()).poll_fill_buf(cx))?.is_empty() {
            // Nothing, compressed, is not nothing; but some servers say so.
            return Poll::Ready(self.trailers());
        }
        if self.room.is_empty() {
            self.room = BytesMut::zeroed(PIECE);
        }
        let n = ready!(match &mut self.decoder {
            Decoder::Gzip(decoder) => Pin::new(decoder).poll_read(cx, &mut self.room),
            Decoder::Brotli(decoder) => Pin::new(decoder).poll_read(cx, &mut self.room),
        })
        .map_err(corrupt)?;
        if n > 0 {
            return Poll::Ready(Some(Ok(Frame::data(self.room.split_to(n).freeze()))));
        }
        // The connection can be kept only if its body was read to the end.
        if !ready!(Pin::new(self.source()).poll_fill_buf(cx))?.is_empty() {
            let more = io::Error::new(
                io::ErrorKind::InvalidData,
                "there is more after the end of the compressed body",
            );
            return Poll::Ready(Some(Err(more)));
        }
        Poll::Ready(self.trailers())
    }

    fn trailers(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        self.source().trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))
    }
}

/// The decoder's errors in the terms of readers. What the connection says stays.
fn corrupt(error: io::Error) -> io::Error {
    let is_of_hyper = error.get_ref().is_some_and(|error| error.is::<hyper::Error>());
    match error.kind() {
        _ if is_of_hyper => error,
        kind @ io::ErrorKind::UnexpectedEof => io::Error::new(kind, "the compressed body has no end"),
        _ => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

impl AsyncBufRead for Source {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.piece.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.incoming).poll_frame(cx)) else { break };
            match frame.map_err(crate::body::io_error)?.into_data() {
                Ok(data) => this.piece = data,
                Err(frame) => this.trailers = frame.into_trailers().ok(),
            }
            this.any |= !this.piece.is_empty();
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.piece.advance(n);
    }
}

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let ready = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = ready.len().min(buf.len());
        buf[..n].copy_from_slice(&ready[..n]);
        self.consume(n);
        Poll::Ready(Ok(n))
    }
}

#[test]
fn what_is_asked_for_and_what_is_taken() {
    let get = http::Method::GET;
    let mut headers = HeaderMap::new();
    assert!(Coding::ask(&get, &mut headers) && headers[ACCEPT_ENCODING] == "gzip, br");
    assert!(!Coding::ask(&get, &mut headers), "the user has asked");
    let mut headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]);
    assert!(!Coding::ask(&get, &mut headers) && headers.len() == 1);
    assert!(!Coding::ask(&http::Method::HEAD, &mut HeaderMap::new()));

    let told = |coding: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("7"));
        let coding = Coding::take(&mut headers);
        assert_eq!(headers.len(), if coding.is_some() { 0 } else { 2 });
        coding
    };
    assert_eq!(told("GZip"), Some(Coding::Gzip));
    assert_eq!(told("br"), Some(Coding::Brotli));
    for other in ["identity", "deflate", "gzip, br", ""] {
        assert_eq!(told(other), None, "{other}");
    }
}
