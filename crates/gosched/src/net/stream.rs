//! What streams have in common, TCP or not: the methods, and the traits of std and of the async ecosystem.

use super::calls;
use super::port::{Port, Way};
use crate::wait::Timer;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

/// What the async traits keep of a direction.
#[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
#[derive(Debug, Default)]
pub(super) struct Half {
    timer: Option<Box<Timer>>,
}

#[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
impl Half {
    #[cfg(feature = "futures-io")]
    pub(super) fn poll_read(
        &mut self,
        port: &Port,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        port.poll(Way::Read, cx, &mut self.timer, |socket| calls::read_into(socket, buf))
    }

    /// The same into memory that need not have been written before.
    #[cfg(any(feature = "hyper", feature = "tokio-io"))]
    pub(super) fn poll_read_uninit(
        &mut self,
        port: &Port,
        cx: &mut Context<'_>,
        buf: &mut [std::mem::MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        port.poll(Way::Read, cx, &mut self.timer, |socket| calls::read_uninit(socket, buf))
    }

    pub(super) fn poll_write(
        &mut self,
        port: &Port,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        port.poll(Way::Write, cx, &mut self.timer, |socket| calls::write_from(socket, buf))
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        port: &Port,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        port.poll(Way::Write, cx, &mut self.timer, |socket| calls::write_vectored(socket, bufs))
    }
}

/// Reads into several parts of memory. (Not through a future that holds them: their lifetimes are the caller's.)
#[track_caller]
pub(super) fn read_vectored(port: &Port, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    port.wait(Way::Read, |socket| calls::read_vectored(socket, bufs))
}

/// The methods and traits of a stream, a struct with the fields `port`, `read` and `write`.
macro_rules! stream_methods {
    ($stream:ident) => {
        impl $stream {
            /// Reads what there is, at least one byte, waiting for it. As the future form of [`Read::read`](std::io::Read):
            /// 0 is the end.
            #[track_caller]
            pub fn read_async<'a>(&'a self, buf: &'a mut [u8]) -> $crate::net::IoFuture<'a, usize> {
                use $crate::net::port::{Call, Way};
                $crate::net::IoFuture::new(&self.port, Way::Read, Call::Read(buf), $crate::net::calls::read)
            }

            /// [`read_async`](Self::read_async) into several parts of memory.
            #[track_caller]
            pub fn read_vectored_async<'a>(
                &'a self,
                bufs: &'a mut [std::io::IoSliceMut<'a>],
            ) -> $crate::net::IoFuture<'a, usize> {
                use $crate::net::port::{Call, Way};
                $crate::net::IoFuture::new(
                    &self.port,
                    Way::Read,
                    Call::ReadVectored(bufs),
                    $crate::net::calls::read,
                )
            }

            /// Writes what there is room for, at least one byte, waiting for that. As the future form of
            /// [`Write::write`](std::io::Write).
            #[track_caller]
            pub fn write_async<'a>(&'a self, buf: &'a [u8]) -> $crate::net::IoFuture<'a, usize> {
                use $crate::net::port::{Call, Way};
                $crate::net::IoFuture::new(
                    &self.port,
                    Way::Write,
                    Call::Write(buf),
                    $crate::net::calls::write,
                )
            }

            /// [`write_async`](Self::write_async) from several parts of memory.
            #[track_caller]
            pub fn write_vectored_async<'a>(
                &'a self,
                bufs: &'a [std::io::IoSlice<'a>],
            ) -> $crate::net::IoFuture<'a, usize> {
                use $crate::net::port::{Call, Way};
                $crate::net::IoFuture::new(
                    &self.port,
                    Way::Write,
                    Call::WriteVectored(bufs),
                    $crate::net::calls::write,
                )
            }

            /// Waits for bytes and reads them without taking them.
            ///
            /// # Errors
            ///
            /// As reading.
            #[track_caller]
            pub fn peek(&self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.peek_async(buf).block()
            }

            /// [`peek`](Self::peek) as a future.
            #[track_caller]
            pub fn peek_async<'a>(&'a self, buf: &'a mut [u8]) -> $crate::net::IoFuture<'a, usize> {
                use $crate::net::port::{Call, Way};
                $crate::net::IoFuture::new(&self.port, Way::Read, Call::Read(buf), $crate::net::calls::peek)
            }

            /// Ends one direction, or both, for all clones: the other side reads the end of what was written; whoever
            /// waits for something to read here reads the end, too.
            ///
            /// # Errors
            ///
            /// The system's; closed.
            ///
            /// In Go: `CloseRead` and `CloseWrite`.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                self.port.shutdown(how)
            }

            /// Closes the connection, for all clones: calls that wait fail, with
            /// [`Closed`](crate::net::Closed), and so do those to come.
            ///
            /// # Errors
            ///
            /// It was closed before.
            ///
            /// In Go: `Close`.
            pub fn close(&self) -> std::io::Result<()> {
                self.port.close()
            }

            /// The error that the socket has kept, and keeps no more.
            ///
            /// # Errors
            ///
            /// The system's; closed.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.port.with(socket2::Socket::take_error)
            }

            /// A second handle on the same connection, as [`Clone`] makes it. (In std it is another descriptor.)
            ///
            /// # Errors
            ///
            /// None; the signature is std's.
            pub fn try_clone(&self) -> std::io::Result<Self> {
                Ok(self.clone())
            }
        }

        $crate::net::stream::limit_methods!($stream);

        impl Clone for $stream {
            fn clone(&self) -> Self {
                Self {
                    port: self.port.clone(),
                    read: $crate::net::stream::Half::default(),
                    write: $crate::net::stream::Half::default(),
                }
            }
        }

        impl std::os::fd::AsRawFd for $stream {
            /// The descriptor's number, good until the connection is closed; -1 after that.
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.port.raw_fd()
            }
        }

        impl std::io::Read for &$stream {
            #[track_caller]
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.read_async(buf).block()
            }

            #[track_caller]
            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                $crate::net::stream::read_vectored(&self.port, bufs)
            }
        }

        impl std::io::Write for &$stream {
            #[track_caller]
            #[inline]
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.write_async(buf).block()
            }

            #[track_caller]
            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.write_vectored_async(bufs).block()
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Read for $stream {
            #[track_caller]
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                (&*self).read(buf)
            }

            #[track_caller]
            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }

        impl std::io::Write for $stream {
            #[track_caller]
            #[inline]
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                (&*self).write(buf)
            }

            #[track_caller]
            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        #[cfg(feature = "hyper")]
        $crate::net::traits::hyper_traits!($stream);
        #[cfg(feature = "futures-io")]
        $crate::net::traits::futures_traits!($stream);
        #[cfg(feature = "tokio-io")]
        $crate::net::traits::tokio_traits!($stream);
    };
}

/// The deadlines and time-outs of a socket, a struct with a field `port`.
macro_rules! limit_methods {
    ($socket:ident) => {
        impl $socket {
            /// When reading and writing give up: both of [`set_read_deadline`](Self::set_read_deadline) and
            /// [`set_write_deadline`](Self::set_write_deadline).
            ///
            /// # Errors
            ///
            /// Closed.
            ///
            /// In Go: `SetDeadline`.
            pub fn set_deadline(&self, deadline: Option<std::time::Instant>) -> std::io::Result<()> {
                self.set_read_deadline(deadline)?;
                self.set_write_deadline(deadline)
            }

            /// When reading gives up, also for those who wait already; `None` for never. One of the past ends them at
            /// once.
            ///
            /// # Errors
            ///
            /// Closed.
            ///
            /// In Go: `SetReadDeadline`.
            pub fn set_read_deadline(&self, deadline: Option<std::time::Instant>) -> std::io::Result<()> {
                self.port.set_deadline($crate::net::port::Way::Read, deadline)
            }

            /// When writing gives up, also for those who wait already; `None` for never. One of the past ends them at
            /// once.
            ///
            /// # Errors
            ///
            /// Closed.
            ///
            /// In Go: `SetWriteDeadline`.
            pub fn set_write_deadline(&self, deadline: Option<std::time::Instant>) -> std::io::Result<()> {
                self.port.set_deadline($crate::net::port::Way::Write, deadline)
            }

            /// How long each call that reads may wait; `None` for ever. For those that begin from now on.
            ///
            /// # Errors
            ///
            /// The time is zero; closed.
            pub fn set_read_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
                self.port.set_timeout($crate::net::port::Way::Read, timeout)
            }

            /// How long each call that writes may wait; `None` for ever. For those that begin from now on.
            ///
            /// # Errors
            ///
            /// The time is zero; closed.
            pub fn set_write_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
                self.port.set_timeout($crate::net::port::Way::Write, timeout)
            }

            /// How long each call that reads may wait.
            ///
            /// # Errors
            ///
            /// Closed.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.port.timeout($crate::net::port::Way::Read)
            }

            /// How long each call that writes may wait.
            ///
            /// # Errors
            ///
            /// Closed.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.port.timeout($crate::net::port::Way::Write)
            }
        }
    };
}

pub(super) use limit_methods;
pub(super) use stream_methods;
