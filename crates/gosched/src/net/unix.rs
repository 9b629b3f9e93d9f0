//! Sockets of the Unix domain.

use super::error::given_up;
use super::port::{Port, Way};
use super::stream::{Half, stream_methods};
use super::tcp::{Accept, Rest, accept_nonblocking, connect_socket};
use crate::context::Context as Ctx;
use crate::scheduler::reactor::source::Done;
use crate::time::sleep_async;
use crate::wait::{Place, WaitReason, wait_for};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

const BACKLOG: i32 = 4096;
/// How long a connect rests when the listener's queue is full, the first time and at most.
const FIRST_REST: Duration = Duration::from_micros(100);
const LONGEST_REST: Duration = Duration::from_millis(20);

/// A connection of the Unix domain.
///
/// As [`std::os::unix::net::UnixStream`], but waiting suspends the goroutine. In all else it is like
/// [`TcpStream`](super::TcpStream): clones are the same connection, calls queue, deadlines end calls that wait.
///
/// # Example
///
/// ```
/// use gosched::net::UnixStream;
/// use std::io::{Read, Write};
///
/// let (mut near, mut far) = UnixStream::pair()?;
/// near.write_all(b"hello")?;
/// let mut buf = [0; 5];
/// far.read_exact(&mut buf)?;
/// assert_eq!(&buf, b"hello");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.UnixConn`.
pub struct UnixStream {
    port: Arc<Port>,
    /// Of the async traits.
    #[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
    read: Half,
    #[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
    write: Half,
}

stream_methods!(UnixStream);

impl UnixStream {
    fn of(port: Arc<Port>) -> Self {
        Self { port, read: Half::default(), write: Half::default() }
    }

    /// Takes a connection of std over. It becomes non-blocking, also where it was cloned.
    ///
    /// # Errors
    ///
    /// The system's: it cannot be watched.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        Ok(Self::of(Arc::new(Port::new(stream.into())?)))
    }

    /// Connects to the socket at a path. If the listener's queue is full it tries again until there is room.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; [`connect_context`](UnixStream::connect_context) can.
    ///
    /// In Go: `net.Dial("unix", path)`.
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        wait_for(WaitReason::IoWait, pin!(Self::connect_async(path)))
    }

    /// [`connect`](UnixStream::connect) as a future.
    #[track_caller]
    pub fn connect_async(path: impl AsRef<Path>) -> ConnectUnix {
        ConnectUnix::new(SockAddr::unix(path))
    }

    /// [`connect`](UnixStream::connect) until `ctx` is done.
    ///
    /// # Errors
    ///
    /// As `connect`; the context's, of kind [`TimedOut`](io::ErrorKind::TimedOut) if its deadline has passed.
    ///
    /// In Go: `Dialer.DialContext`.
    #[track_caller]
    pub fn connect_context(ctx: &Ctx, path: impl AsRef<Path>) -> io::Result<Self> {
        ctx.wait(Self::connect_async(path)).unwrap_or_else(|error| Err(given_up(error)))
    }

    /// Two ends of a connection that has no address.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        Ok((Self::of(Arc::new(Port::new(near)?)), Self::of(Arc::new(Port::new(far)?))))
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.port.with(|socket| unix(&socket.local_addr()?))
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.port.with(|socket| unix(&socket.peer_addr()?))
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixStream")
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

fn unix(addr: &SockAddr) -> io::Result<SocketAddr> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = addr.as_abstract_namespace() {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    // Without a path: unnamed.
    SocketAddr::from_pathname(addr.as_pathname().unwrap_or(Path::new("")))
}

/// Connects to a socket of the Unix domain; from [`UnixStream::connect_async`].
///
/// # Cancellation
///
/// Dropped before it is ready, it closes the connection that was being made.
///
/// # Example
///
/// ```
/// use gosched::net::{ConnectUnix, UnixStream};
///
/// let connect: ConnectUnix = UnixStream::connect_async("/no/such/socket");
/// assert_eq!(gosched::wait(connect).unwrap_err().kind(), std::io::ErrorKind::NotFound);
/// ```
///
/// In Go: `Dialer.DialContext`.
#[must_use = "a future does nothing until it is polled"]
pub struct ConnectUnix {
    inner: Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>>,
    place: Place,
}

impl ConnectUnix {
    #[track_caller]
    fn new(addr: io::Result<SockAddr>) -> Self {
        let inner = Box::pin(async move {
            let addr = addr?;
            let mut rest = FIRST_REST;
            loop {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                match connect_socket(socket, &addr).await {
                    Ok(port) => return Ok(UnixStream::of(port)),
                    // The queue is full, and no event tells when it is not.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep_async(rest).await,
                    Err(error) => return Err(error),
                }
                rest = (rest * 2).min(LONGEST_REST);
            }
        });
        Self { inner, place: Place::here() }
    }
}

impl Future for ConnectUnix {
    type Output = io::Result<UnixStream>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.inner.as_mut().poll(cx);
        self.place.note(WaitReason::IoWait, cx, polled)
    }
}

impl fmt::Debug for ConnectUnix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectUnix").finish_non_exhaustive()
    }
}

/// A socket of the Unix domain that accepts connections.
///
/// As [`std::os::unix::net::UnixListener`], but waiting suspends the goroutine. In all else it is like
/// [`TcpListener`](super::TcpListener). The file it is bound to stays when it is closed, as in std. (Go removes it.)
///
/// # Example
///
/// ```
/// use gosched::net::{UnixListener, UnixStream};
///
/// let path = std::env::temp_dir().join(format!("gosched-doc-{}", std::process::id()));
/// let listener = UnixListener::bind(&path)?;
/// let _client = UnixStream::connect(&path)?;
/// let (_server, _addr) = listener.accept()?;
/// std::fs::remove_file(&path)?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.UnixListener`.
#[derive(Clone)]
pub struct UnixListener {
    inner: Arc<Inner>,
}

struct Inner {
    port: Port,
    rest: Rest,
}

impl UnixListener {
    /// Listens at a path, where there must be no file.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// In Go: `net.Listen("unix", path)`.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        Self::of(socket)
    }

    fn of(socket: Socket) -> io::Result<Self> {
        Ok(Self { inner: Arc::new(Inner { port: Port::new(socket)?, rest: Rest::new() }) })
    }

    /// Takes a listener of std over. It becomes non-blocking, also where it was cloned.
    ///
    /// # Errors
    ///
    /// The system's: it cannot be watched.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Self::of(listener.into())
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`](super::TcpListener::accept).
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop but by closing or by a deadline; `ctx.wait(listener.accept_async())` can.
    ///
    /// In Go: `Accept`.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        wait_for(WaitReason::IoWait, pin!(self.accept_async()))
    }

    /// [`accept`](UnixListener::accept) as a future.
    #[track_caller]
    pub fn accept_async(&self) -> Accept<'_, UnixStream, SocketAddr> {
        Accept::new(&self.inner.port, &self.inner.rest, |socket, _| {
            let (socket, addr) = accept_nonblocking(socket)?;
            let stream = UnixStream::of(Arc::new(Port::of_nonblocking(socket)?));
            Ok(Done::with((stream, unix(&addr)?)))
        })
    }

    /// The connections, one after the other; never ends. After [`close`](UnixListener::close) each is an error.
    pub fn incoming(&self) -> IncomingUnix<'_> {
        IncomingUnix { listener: self }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.port.with(|socket| unix(&socket.local_addr()?))
    }

    /// When `accept` gives up, also for those who wait already; `None` for never. One of the past ends them at once.
    ///
    /// # Errors
    ///
    /// Closed.
    ///
    /// In Go: `UnixListener.SetDeadline`.
    pub fn set_deadline(&self, deadline: Option<std::time::Instant>) -> io::Result<()> {
        self.inner.port.set_deadline(Way::Read, deadline)
    }

    /// Stops listening, for all clones: whoever waits in `accept` gets an error.
    ///
    /// # Errors
    ///
    /// It was closed before.
    ///
    /// In Go: `Close`.
    pub fn close(&self) -> io::Result<()> {
        self.inner.port.close()
    }

    /// A second handle on the same listener, as [`Clone`] makes it. (In std it is another descriptor.)
    ///
    /// # Errors
    ///
    /// None; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// The error that the socket has kept, and keeps no more.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.port.with(Socket::take_error)
    }
}

impl AsRawFd for UnixListener {
    /// The descriptor's number, good until the listener is closed; -1 after that.
    fn as_raw_fd(&self) -> RawFd {
        self.inner.port.raw_fd()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixListener").field("addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

/// The connections of a listener; from [`UnixListener::incoming`].
///
/// ```
/// use gosched::net::{UnixListener, UnixStream};
///
/// let path = std::env::temp_dir().join(format!("gosched-incoming-{}", std::process::id()));
/// let listener = UnixListener::bind(&path)?;
/// let client = UnixStream::connect(&path)?;
/// assert!(listener.incoming().next().unwrap().is_ok());
/// std::fs::remove_file(&path)?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; a loop around `Accept`.
#[derive(Debug)]
pub struct IncomingUnix<'a> {
    listener: &'a UnixListener,
}

impl Iterator for IncomingUnix<'_> {
    type Item = io::Result<UnixStream>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
