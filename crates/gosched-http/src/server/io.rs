//! A connection's bytes on their way to hyper, and what is noted of them.

use super::conn::Conn;
use bytes::Bytes;
use gosched::net::TcpStream;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Where the bytes come from.
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// See the module.
pub(super) struct Io {
    stream: Stream,
    /// What was read to see which protocol is spoken.
    prefix: Bytes,
    conn: Arc<Conn>,
}

impl Io {
    pub(super) fn new(stream: Stream, conn: Arc<Conn>) -> Self {
        Self { stream, prefix: Bytes::new(), conn }
    }

    /// Gives bytes back that were read before.
    pub(super) fn unread(&mut self, prefix: Bytes) {
        self.prefix = prefix;
    }

    fn note_write<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.conn.note_write(polled.is_pending());
        polled
    }
}

impl Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.prefix.is_empty() {
            let n = this.prefix.len().min(buf.remaining());
            buf.put_slice(&this.prefix.split_to(n));
        } else {
            match &mut this.stream {
                Stream::Plain(stream) => ready!(Pin::new(stream).poll_read(cx, buf))?,
                #[cfg(feature = "tls")]
                Stream::Tls(stream) => ready!(crate::tls::poll_read(&mut **stream, cx, buf))?,
            }
        }
        this.conn.note_read();
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.conn.check_write()?;
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => tokio::io::AsyncWrite::poll_write(Pin::new(&mut **stream), cx, buf),
        };
        this.note_write(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.stream {
            // It keeps nothing back.
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                let polled = tokio::io::AsyncWrite::poll_flush(Pin::new(&mut **stream), cx);
                this.note_write(polled)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut **stream), cx),
        };
        this.note_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Stream::Tls(_) => false,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.conn.check_write()?;
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                tokio::io::AsyncWrite::poll_write_vectored(Pin::new(&mut **stream), cx, bufs)
            }
        };
        this.note_write(polled)
    }
}
