//! The I/O traits of the async ecosystem, for the streams.

/// What the traits of all three have in common: the half that writes. Ending it is called differently, and not all ask
/// whether several pieces can be written at once.
#[cfg(any(feature = "hyper", feature = "futures-io", feature = "tokio-io"))]
macro_rules! write_half {
    ($trait:path, $stream:ident, $end:ident $(, $is_vectored:ident)?) => {
        impl $trait for $stream {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let this = self.get_mut();
                this.write.poll_write(&this.port, cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let this = self.get_mut();
                this.write.poll_write_vectored(&this.port, cx, bufs)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            /// Ends writing; reading goes on.
            fn $end(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(self.shutdown(std::net::Shutdown::Write))
            }

            $(fn $is_vectored(&self) -> bool {
                true
            })?
        }
    };
}
#[cfg(any(feature = "hyper", feature = "futures-io", feature = "tokio-io"))]
pub(super) use write_half;

#[cfg(feature = "hyper")]
macro_rules! hyper_traits {
    ($stream:ident) => {
        impl hyper::rt::Read for $stream {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                mut buf: hyper::rt::ReadBufCursor<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let this = self.get_mut();
                // SAFETY: nothing is taken back from what was initialised: the system writes bytes, and we count them.
                let room = unsafe { buf.as_mut() };
                let n = std::task::ready!(this.read.poll_read_uninit(&this.port, cx, room))?;
                // SAFETY: the system has written so many.
                unsafe { buf.advance(n) };
                std::task::Poll::Ready(Ok(()))
            }
        }

        crate::net::traits::write_half!(hyper::rt::Write, $stream, poll_shutdown, is_write_vectored);
    };
}
#[cfg(feature = "hyper")]
pub(super) use hyper_traits;

#[cfg(feature = "futures-io")]
macro_rules! futures_traits {
    ($stream:ident) => {
        impl futures_io::AsyncRead for $stream {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let this = self.get_mut();
                this.read.poll_read(&this.port, cx, buf)
            }
        }

        crate::net::traits::write_half!(futures_io::AsyncWrite, $stream, poll_close);
    };
}
#[cfg(feature = "futures-io")]
pub(super) use futures_traits;

#[cfg(feature = "tokio-io")]
macro_rules! tokio_traits {
    ($stream:ident) => {
        impl tokio::io::AsyncRead for $stream {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let this = self.get_mut();
                // SAFETY: nothing is taken back from what was initialised: the system writes bytes, and we count them.
                let room = unsafe { buf.unfilled_mut() };
                let n = std::task::ready!(this.read.poll_read_uninit(&this.port, cx, room))?;
                // SAFETY: the system has written so many.
                unsafe { buf.assume_init(n) };
                buf.advance(n);
                std::task::Poll::Ready(Ok(()))
            }
        }

        crate::net::traits::write_half!(tokio::io::AsyncWrite, $stream, poll_shutdown, is_write_vectored);
    };
}
#[cfg(feature = "tokio-io")]
pub(super) use tokio_traits;
