//! Accepting connections.

use super::stream::TcpStream;
use crate::clock::now;
use crate::net::addr::{ToSocketAddrs, each_addr, lookup_host};
use crate::net::port::{Call, IoFuture, Port, Way, inet};
use crate::scheduler::reactor::source::Done;
use crate::sys::lock::Spin;
use crate::wait::{Place, Timer, WaitReason, wait_for};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How many connections may wait to be accepted; the system cuts it down to its own limit.
const BACKLOG: i32 = 4096;
/// How long accepting rests after there was no descriptor left, the first time and at most (Go's `net/http` does the
/// same).
const FIRST_REST: Duration = Duration::from_millis(5);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A TCP socket that accepts connections.
///
/// As [`std::net::TcpListener`], but waiting suspends the goroutine. Clones are the same listener; it is closed by
/// [`close`](TcpListener::close), or when the last clone is dropped. Several goroutines may accept at once: connections
/// are given out in the order in which they asked.
///
/// # When descriptors run out
///
/// An `accept` that fails because the process or the system has no descriptors or no memory left says so. The next one
/// then waits before it tries, for 5 ms the first time and up to a second if it fails again and again: so a loop that
/// only goes on does not spin, and recovers when descriptors are closed.
///
/// # Example
///
/// ```
/// use gosched::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// gosched::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     gosched::go(move || {
///         for stream in listener.incoming() {
///             let mut stream = stream.unwrap();
///             gosched::go(move || std::io::copy(&mut &stream, &mut &stream));
///         }
///     });
///     let mut stream = TcpStream::connect(addr)?;
///     stream.write_all(b"hello")?;
///     let mut answer = [0; 5];
///     stream.read_exact(&mut answer)?;
///     assert_eq!(&answer, b"hello");
///     Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.TCPListener`.
#[derive(Clone)]
pub struct TcpListener {
    inner: Arc<Inner>,
}

struct Inner {
    port: Port,
    rest: Rest,
}

impl TcpListener {
    /// Listens at the first of the addresses where that is possible. Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// The name is unknown; the system's, for the last address tried.
    ///
    /// In Go: `net.Listen("tcp", addr)`.
    #[track_caller]
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        each_addr(&lookup_host(addr)?, |addr| {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.bind(&addr.into())?;
            socket.listen(BACKLOG)?;
            Self::of(socket)
        })
    }

    fn of(socket: Socket) -> io::Result<Self> {
        Ok(Self { inner: Arc::new(Inner { port: Port::new(socket)?, rest: Rest::new() }) })
    }

    /// Takes a listener of std over. It becomes non-blocking, also where it was cloned.
    ///
    /// # Errors
    ///
    /// The system's: it cannot be watched.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        Self::of(listener.into())
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// The system's; those after which accepting goes on are among them, see
    /// [the type](TcpListener#when-descriptors-run-out). [`Closed`](super::super::Closed) after
    /// [`close`](TcpListener::close), also while waiting. Past the deadline.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop but by closing or by a deadline; `ctx.wait(listener.accept_async())` can.
    ///
    /// In Go: `Accept`.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        wait_for(WaitReason::IoWait, pin!(self.accept_async()))
    }

    /// [`accept`](TcpListener::accept) as a future.
    #[track_caller]
    pub fn accept_async(&self) -> Accept<'_, TcpStream, SocketAddr> {
        Accept::new(&self.inner.port, &self.inner.rest, |socket, _| {
            let (socket, addr) = accept_nonblocking(socket)?;
            let stream = TcpStream::of(Arc::new(Port::of_nonblocking(socket)?));
            Ok(Done::with((stream, inet(&addr)?)))
        })
    }

    /// The connections, one after the other; never ends. After [`close`](TcpListener::close) each is an error.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.port.local_addr()
    }

    /// When `accept` gives up, also for those who wait already; `None` for never. One of the past ends them at once.
    ///
    /// # Errors
    ///
    /// Closed.
    ///
    /// In Go: `TCPListener.SetDeadline`.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.inner.port.set_deadline(Way::Read, deadline)
    }

    /// Stops listening, for all clones: whoever waits in `accept` gets an error. Connections nobody has accepted are
    /// reset.
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

    /// The `IP_TTL` of the socket.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.port.with(|socket| socket.ttl_v4())
    }

    /// Sets the `IP_TTL` of the socket.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.port.with(|socket| socket.set_ttl_v4(ttl))
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

impl AsRawFd for TcpListener {
    /// The descriptor's number, good until the listener is closed; -1 after that.
    fn as_raw_fd(&self) -> RawFd {
        self.inner.port.raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

/// The connections of a listener; from [`TcpListener::incoming`].
///
/// ```
/// use gosched::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let server = listener.incoming().next().unwrap()?;
/// assert_eq!(server.peer_addr()?, client.local_addr()?);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; a loop around `Accept`.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

/// Accepts a connection that is non-blocking from the beginning.
#[cfg(target_os = "linux")]
pub(in crate::net) fn accept_nonblocking(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    use std::os::fd::FromRawFd;
    // SAFETY: the call writes an address of the length it tells into the room given for it.
    let (fd, addr) = unsafe {
        SockAddr::try_init(|storage, len| {
            let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            match libc::accept4(socket.as_raw_fd(), storage.cast(), len, flags) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(fd),
            }
        })
    }?;
    // SAFETY: a new descriptor, which nobody else owns.
    Ok((unsafe { Socket::from_raw_fd(fd) }, addr))
}

/// The same in two steps.
#[cfg(not(target_os = "linux"))]
pub(in crate::net) fn accept_nonblocking(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (socket, addr) = socket.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, addr))
}

/// How accepting rests where there is no descriptor left.
pub(in crate::net) struct Rest(Spin<Option<Resting>>);

#[derive(Clone, Copy)]
struct Resting {
    until: Instant,
    length: Duration,
}

impl Rest {
    pub(in crate::net) fn new() -> Self {
        Self(Spin::new(None))
    }

    fn until(&self) -> Option<Instant> {
        self.0.lock().map(|resting| resting.until)
    }

    /// What an attempt has come to.
    fn note<T>(&self, result: &io::Result<T>) {
        let scarce = match result {
            Ok(_) => false,
            Err(error) => match error.raw_os_error() {
                Some(code) => [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].contains(&code),
                // Closed, or past a deadline: that says nothing about descriptors.
                None => return,
            },
        };
        let mut rest = self.0.lock();
        *rest = scarce.then(|| {
            let length = rest.map_or(FIRST_REST, |resting| (resting.length * 2).min(LONGEST_REST));
            Resting { until: now() + length, length }
        });
    }
}

/// Waits for a connection, as a future; from [`TcpListener::accept_async`] and
/// [`UnixListener::accept_async`](super::super::UnixListener::accept_async). Its output is the connection, and the address
/// it comes from.
///
/// # Cancellation
///
/// Dropped before it is ready, it has accepted nothing, and its place among those who accept is given up.
///
/// # Example
///
/// ```
/// use gosched::net::TcpListener;
/// use gosched::time::timeout;
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// assert!(timeout(Duration::from_millis(1), listener.accept_async()).is_err(), "nobody connects");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; the deadline of a listener is what ends a call.
#[must_use = "a future does nothing until it is polled"]
pub struct Accept<'a, S, A> {
    io: IoFuture<'a, (S, A)>,
    port: &'a Port,
    rest: &'a Rest,
    timer: Timer,
    place: Place,
}

impl<'a, S, A> Accept<'a, S, A> {
    #[track_caller]
    pub(in crate::net) fn new(
        port: &'a Port,
        rest: &'a Rest,
        attempt: crate::net::port::Attempt<(S, A)>,
    ) -> Self {
        let io = IoFuture::new(port, Way::Read, Call::None, attempt);
        Self { io, port, rest, timer: Timer::new(), place: Place::here() }
    }
}

impl<S, A> Future for Accept<'_, S, A> {
    type Output = io::Result<(S, A)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `io` is pinned with us; nothing else is.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let mut io = unsafe { Pin::new_unchecked(&mut this.io) };
        if let Some(until) = this.rest.until() {
            // Closing and deadlines are not forgotten meanwhile, only late: a rest is short.
            this.port.with(|_| Ok(()))?;
            if this.timer.poll_deadline(cx, until).is_pending() {
                return this.place.note(WaitReason::IoWait, cx, Poll::Pending);
            }
        }
        loop {
            let polled = io.as_mut().poll_result(cx);
            if let Poll::Ready(result) = &polled {
                if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionAborted) {
                    // That one has gone before it was accepted; the others wait.
                    continue;
                }
                this.rest.note(result);
            }
            return polled;
        }
    }
}

impl<S, A> fmt::Debug for Accept<'_, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept").field("io", &self.io).finish_non_exhaustive()
    }
}
