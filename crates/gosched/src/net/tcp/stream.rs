//! A connection.

use super::connect::{Connect, attempt_for};
use crate::context::Context as Ctx;
use crate::net::addr::ToSocketAddrs;
use crate::net::error::given_up;
use crate::net::port::Port;
use crate::net::stream::{Half, stream_methods};
use crate::wait::{WaitReason, wait_for};
use socket2::{Socket, TcpKeepalive};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A TCP connection.
///
/// As [`std::net::TcpStream`], but waiting suspends the goroutine instead of blocking a thread. Clones are the same
/// connection: all of its methods may be called by several goroutines at once (I14). It is closed by
/// [`close`](TcpStream::close), or when the last clone is dropped.
///
/// # Several at once
///
/// Those who read are served in the order in which they began to wait, and so are those who write. Each call is a whole;
/// `write_all` is several, between which others may come.
///
/// # Deadlines
///
/// [`set_read_deadline`](TcpStream::set_read_deadline) and its kin set an instant at which all calls of that direction
/// fail, those that wait already and those to come, even if there is something to read, until another is set (I06, I07).
/// The time-outs of std ([`set_read_timeout`](TcpStream::set_read_timeout)) count for each call from its beginning, those
/// that begin after they were set. Where both are set the earlier one counts. The error is of kind
/// [`TimedOut`](io::ErrorKind::TimedOut).
///
/// # Async traits
///
/// With the features `hyper`, `futures-io` and `tokio-io` it has the traits of these. They keep one waker per direction,
/// that of the last to poll, do not queue with the others, and know deadlines, but not time-outs.
///
/// # Example
///
/// ```
/// use gosched::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// gosched::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("localhost:0")?;
///     let addr = listener.local_addr()?;
///     let server = gosched::go(move || -> std::io::Result<String> {
///         let (mut stream, _) = listener.accept()?;
///         let mut text = String::new();
///         stream.read_to_string(&mut text)?;
///         Ok(text)
///     });
///     let mut stream = TcpStream::connect(addr)?;
///     stream.write_all(b"good morning")?;
///     drop(stream);
///     assert_eq!(server.join().unwrap()?, "good morning");
///     Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.TCPConn`.
pub struct TcpStream {
    port: Arc<Port>,
    /// Of the async traits.
    #[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
    read: Half,
    #[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
    write: Half,
}

impl TcpStream {
    pub(super) fn of(port: Arc<Port>) -> Self {
        Self { port, read: Half::default(), write: Half::default() }
    }

    /// Takes a connection of std over. It becomes non-blocking, also where it was cloned.
    ///
    /// # Errors
    ///
    /// The system's: it cannot be watched.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self::of(Arc::new(Port::new(stream.into())?)))
    }

    /// Connects to the first address that answers.
    ///
    /// If there are several, the next one is tried when the last has failed, or after 250 ms beside it, the two families
    /// in turn (RFC 8305). A name is looked up on a thread that may block.
    ///
    /// # Errors
    ///
    /// The name is unknown; the system's, for the last address that failed.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; [`connect_context`](TcpStream::connect_context) can.
    ///
    /// In Go: `net.Dial("tcp", addr)`.
    #[track_caller]
    pub fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        wait_for(WaitReason::IoWait, pin!(Self::connect_async(addr)))
    }

    /// [`connect`](TcpStream::connect) as a future.
    #[track_caller]
    pub fn connect_async(addr: impl ToSocketAddrs) -> Connect {
        Connect::new(addr.target())
    }

    /// [`connect`](TcpStream::connect) to one address, for no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// The system's; that it takes too long; that `timeout` is zero.
    ///
    /// In Go: `net.DialTimeout`.
    #[track_caller]
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        wait_for(WaitReason::IoWait, pin!(attempt_for(*addr, timeout)))
    }

    /// [`connect`](TcpStream::connect) until `ctx` is done. The connection does not depend on it any more.
    ///
    /// # Errors
    ///
    /// As `connect`; the context's, of kind [`TimedOut`](io::ErrorKind::TimedOut) if its deadline has passed.
    ///
    /// ```
    /// use gosched::{context::background, net::{TcpListener, TcpStream}};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let ctx = background().with_cancel();
    /// TcpStream::connect_context(&ctx, listener.local_addr()?)?;
    /// ctx.cancel();
    /// let error = TcpStream::connect_context(&ctx, listener.local_addr()?).unwrap_err();
    /// assert_eq!(error.to_string(), "context canceled");
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: `Dialer.DialContext`.
    #[track_caller]
    pub fn connect_context(ctx: &Ctx, addr: impl ToSocketAddrs) -> io::Result<Self> {
        ctx.wait(Self::connect_async(addr)).unwrap_or_else(|error| Err(given_up(error)))
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.port.peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.port.local_addr()
    }

    /// Sets `TCP_NODELAY`: whether small packets are sent at once. Off at first, as in std. (Go: on.)
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.port.with(|socket| socket.set_tcp_nodelay(nodelay))
    }

    /// Whether small packets are sent at once.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.port.with(Socket::tcp_nodelay)
    }

    /// Asks the other side whether it is still there when nothing has come for so long; `None` for never, as at first.
    /// (Go: after 15 seconds, at first.)
    ///
    /// # Errors
    ///
    /// The system's; closed.
    ///
    /// In Go: `SetKeepAliveConfig`.
    pub fn set_keepalive(&self, after: Option<Duration>) -> io::Result<()> {
        self.port.with(|socket| match after {
            Some(after) => {
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(after).with_interval(after))
            }
            None => socket.set_keepalive(false),
        })
    }

    /// Sets `SO_LINGER`: how long closing waits for what was written to be sent; zero resets the connection.
    ///
    /// Closing then blocks the thread for so long, not the goroutine alone.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.port.with(|socket| socket.set_linger(linger))
    }

    /// How long closing waits for what was written to be sent.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.port.with(Socket::linger)
    }

    /// Sets the `IP_TTL` of the socket.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.port.with(|socket| socket.set_ttl_v4(ttl))
    }

    /// The `IP_TTL` of the socket.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn ttl(&self) -> io::Result<u32> {
        self.port.with(Socket::ttl_v4)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

stream_methods!(TcpStream);
