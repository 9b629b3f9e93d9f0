//! rustls's streams, as hyper reads them.

use hyper::rt::ReadBufCursor;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Through memory of our own: hyper's is not initialised, and a copy is nothing beside decrypting.
pub(crate) fn poll_read(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    cx: &mut Context<'_>,
    mut buf: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    let mut room = [0; 4096];
    let n = room.len().min(buf.remaining());
    let mut read = ReadBuf::new(&mut room[..n]);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    buf.put_slice(read.filled());
    Poll::Ready(Ok(()))
}
