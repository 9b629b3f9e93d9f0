//! What the errors of sockets carry that do not come from the system.

use crate::context::ContextError;
use crate::scheduler::reactor::source::Failed;
use std::error::Error;
use std::fmt;
use std::io;

/// The socket was closed by [`close`](super::TcpStream::close): what an [`io::Error`] carries then.
///
/// ```
/// use gosched::net::{Closed, TcpListener};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// listener.close()?;
/// let error = listener.accept().unwrap_err();
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<Closed>()));
/// assert_eq!(error.to_string(), "use of closed network connection");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.ErrClosed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use of closed network connection")
    }
}

impl Error for Closed {}

/// A deadline or a time-out of a socket has passed: what an [`io::Error`] of kind
/// [`TimedOut`](io::ErrorKind::TimedOut) carries then.
///
/// ```
/// use gosched::net::{DeadlineExceeded, UdpSocket};
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.set_deadline(Some(std::time::Instant::now()))?;
/// let error = socket.recv(&mut [0]).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<DeadlineExceeded>()));
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.ErrDeadlineExceeded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("i/o timeout")
    }
}

impl Error for DeadlineExceeded {}

pub(super) fn closed() -> io::Error {
    io::Error::other(Closed)
}

pub(super) fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, DeadlineExceeded)
}

pub(super) fn given_up(error: ContextError) -> io::Error {
    match error {
        ContextError::DeadlineExceeded => io::Error::new(io::ErrorKind::TimedOut, error),
        error => io::Error::other(error),
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::System(error) => error,
            Failed::Closed => closed(),
            Failed::TimedOut => timed_out(),
        }
    }
}
