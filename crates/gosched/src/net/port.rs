//! A socket with all who use it: what every type of [`net`](super) stands on.
//!
//! # When the descriptor is closed
//!
//! `word` counts the calls that are just using the descriptor; a bit says that it has been closed. Who closes sets the
//! bit, wakes all who wait, and gives the descriptor back at once if nobody uses it; else the last user does. Nobody waits
//! while using it, so that is a moment later at most (I05). A port that is dropped has no users.
//!
//! | word | means | left by |
//! |---|---|---|
//! | n | open, n calls use the descriptor | `enter`, to n + 1; a leaving user, to n - 1; `close`, to CLOSED + n |
//! | CLOSED + n, n > 0 | closed, n calls are not done with it | a leaving user, to CLOSED + n - 1 |
//! | CLOSED | closed, and whoever got the word here gives the descriptor back | nobody |

use super::error::closed;
use crate::scheduler::reactor::Registration;
use crate::scheduler::reactor::source::{Direction, Done, Source, Turn};
use crate::wait::{Place, Timer, WaitReason, is_suspendable, wait_for, yield_now};
use socket2::{SockAddr, Socket};
use std::cell::UnsafeCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const CLOSED: u32 = 1 << 31;

/// How many calls in a row one socket may have without its goroutine's letting others run. A peer that is faster than we
/// are would else keep the worker from all that is pinned to it.
const TURNS: u32 = 64;

/// Reading or writing; to accept is to read, to connect is to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

/// See the module.
pub(super) struct Port {
    word: AtomicU32,
    /// Counts calls that did not wait, roughly.
    turns: AtomicU32,
    registration: Registration,
    socket: UnsafeCell<ManuallyDrop<Socket>>,
}

// SAFETY: the socket is only ever used through `&Socket`, which is `Sync`, until it is taken out, which happens once and
// when nobody uses it: see the table.
unsafe impl Sync for Port {}
// SAFETY: all parts are `Send`.
unsafe impl Send for Port {}

impl Port {
    /// Takes a socket over and makes it non-blocking.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::of_nonblocking(socket)
    }

    pub(super) fn of_nonblocking(socket: Socket) -> io::Result<Self> {
        let registration = Registration::new(socket.as_raw_fd())?;
        Ok(Self {
            word: AtomicU32::new(0),
            turns: AtomicU32::new(0),
            registration,
            socket: UnsafeCell::new(ManuallyDrop::new(socket)),
        })
    }

    #[inline]
    fn source(&self) -> &Source {
        self.registration.source()
    }

    #[inline]
    pub(super) fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::Read => &self.source().read,
            Way::Write => &self.source().write,
        }
    }

    /// Uses the socket. `f` does not wait.
    ///
    /// # Errors
    ///
    /// That it is closed; those of `f`.
    #[inline]
    pub(super) fn with<T>(&self, f: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        struct Leave<'a>(&'a Port);
        impl Drop for Leave<'_> {
            #[inline]
            fn drop(&mut self) {
                // Release: what we did with the descriptor comes before its being closed. Acquire: if we close it, after
                // what the others did.
                if self.0.word.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
                    // SAFETY: closed, and the last user has just left.
                    unsafe { self.0.give_back() }
                }
            }
        }
        let enter = |word: u32| (word & CLOSED == 0).then_some(word + 1);
        if self.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_err() {
            return Err(closed());
        }
        let _leave = Leave(self);
        // SAFETY: we are counted, so nobody takes it out.
        f(unsafe { &*self.socket.get() })
    }

    /// # Safety
    ///
    /// Called once, when the word has become `CLOSED` without users, or by the destructor.
    unsafe fn give_back(&self) {
        // SAFETY: nobody uses it any more, by our caller's promise, and it is not taken out twice.
        let socket = unsafe { ManuallyDrop::take(&mut *self.socket.get()) };
        self.registration.end(socket.as_raw_fd());
    }

    /// Closes the descriptor, and ends all calls that wait for it.
    ///
    /// # Errors
    ///
    /// That it was closed before.
    pub(super) fn close(&self) -> io::Result<()> {
        let before = self.word.fetch_or(CLOSED, Ordering::AcqRel);
        if before & CLOSED != 0 {
            return Err(closed());
        }
        self.source().read.close();
        self.source().write.close();
        if before == 0 {
            // SAFETY: it was us who closed it, and there were no users.
            unsafe { self.give_back() }
        }
        Ok(())
    }

    /// The descriptor's number; -1 once it is closed.
    pub(super) fn raw_fd(&self) -> RawFd {
        self.with(|socket| Ok(socket.as_raw_fd())).unwrap_or(-1)
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with(|socket| inet(&socket.local_addr()?))
    }

    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with(|socket| inet(&socket.peer_addr()?))
    }

    pub(super) fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        self.with(|socket| socket.shutdown(how))?;
        // The system tells most of it by itself, but not every system all of it.
        self.source().read.kick();
        self.source().write.kick();
        Ok(())
    }

    pub(super) fn set_deadline(&self, way: Way, deadline: Option<Instant>) -> io::Result<()> {
        self.with(|_| Ok(()))?;
        self.direction(way).set_deadline(deadline);
        Ok(())
    }

    pub(super) fn set_timeout(&self, way: Way, timeout: Option<Duration>) -> io::Result<()> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        self.with(|_| Ok(()))?;
        self.direction(way).set_timeout(timeout);
        Ok(())
    }

    pub(super) fn timeout(&self, way: Way) -> io::Result<Option<Duration>> {
        self.with(|_| Ok(()))?;
        Ok(self.direction(way).timeout())
    }

    /// Whether whoever uses the socket should let others run now.
    #[inline]
    fn is_greedy(&self) -> bool {
        // Not exact, if several use it at once, and need not be.
        let turns = self.turns.load(Ordering::Relaxed).wrapping_add(1);
        self.turns.store(turns, Ordering::Relaxed);
        turns.is_multiple_of(TURNS)
    }

    /// Lets others run now and then.
    #[inline]
    fn share_worker(&self) {
        if self.is_greedy() && is_suspendable() {
            yield_now();
        }
    }

    /// Waits for what `attempt` can do, in straight line.
    #[track_caller]
    pub(super) fn wait<T>(
        &self,
        way: Way,
        mut attempt: impl FnMut(&Socket) -> io::Result<Done<T>>,
    ) -> io::Result<T> {
        /// Leaves also if the wait unwinds.
        struct Waiting<'a>(Turn, &'a Direction);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.leave(self.1);
            }
        }
        let mut waiting = pin!(Waiting(Turn::new(), self.direction(way)));
        let mut operation = poll_fn(|cx| {
            // SAFETY: the turn is pinned with `waiting`, which is not moved.
            let turn = unsafe { waiting.as_mut().map_unchecked_mut(|waiting| &mut waiting.0) };
            // SAFETY: it is always the same direction, and the destructor above leaves it.
            unsafe { turn.poll(self.direction(way), cx, || self.with(&mut attempt)) }.map_err(io::Error::from)
        });
        self.share_worker();
        wait_for(WaitReason::IoWait, Pin::new(&mut operation))
    }

    /// For the traits of the async ecosystem.
    #[cfg_attr(not(any(feature = "hyper", feature = "futures-io", feature = "tokio-io")), allow(dead_code))]
    pub(super) fn poll<T>(
        &self,
        way: Way,
        cx: &mut Context<'_>,
        timer: &mut Option<Box<Timer>>,
        mut attempt: impl FnMut(&Socket) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        if self.is_greedy() {
            // Polled again when the others have had their turn. (A goroutine that waits for the future looks again a few
            // times before that.)
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.direction(way).poll(cx, timer, || self.with(&mut attempt));
        let polled = polled.map_err(io::Error::from);
        if polled.is_pending() {
            crate::wait::note_await(WaitReason::IoWait, None, cx);
        }
        polled
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if *self.word.get_mut() & CLOSED == 0 {
            // SAFETY: nobody else refers to it any more.
            unsafe { self.give_back() }
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("fd", &self.raw_fd())
            .field("source", self.source())
            .finish_non_exhaustive()
    }
}

/// The address of an internet socket.
pub(super) fn inet(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an internet address"))
}

/// What an operation works on.
pub(super) enum Call<'a> {
    None,
    Read(&'a mut [u8]),
    ReadVectored(&'a mut [IoSliceMut<'a>]),
    Write(&'a [u8]),
    WriteVectored(&'a [IoSlice<'a>]),
    /// (Not as the system wants it, which is the largest of all and would be in every operation.)
    SendTo(&'a [u8], SocketAddr),
}

/// How an operation is tried.
pub(super) type Attempt<T> = fn(&Socket, &mut Call<'_>) -> io::Result<Done<T>>;

/// An operation on a socket, as a future: of the methods of sockets whose names end in `_async`.
///
/// It begins when it is polled first. The deadlines and time-outs of the socket end it as they do the blocking form.
///
/// # Cancellation
///
/// Dropped before it is ready, it has done nothing: no byte was read or written, no connection accepted, and its place
/// among those who wait is given up.
///
/// # Example
///
/// ```
/// use gosched::net::{IoFuture, UdpSocket};
/// use gosched::time::timeout;
/// use std::time::Duration;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let mut buf = [0; 8];
/// let receive: IoFuture<'_, usize> = socket.recv_async(&mut buf);
/// assert!(timeout(Duration::from_millis(1), receive).is_err(), "nobody sends");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; the deadline of a connection is what ends a call.
#[must_use = "a future does nothing until it is polled"]
pub struct IoFuture<'a, T> {
    port: &'a Port,
    way: Way,
    call: Call<'a>,
    attempt: Attempt<T>,
    turn: Turn,
    place: Place,
}

impl<'a, T> IoFuture<'a, T> {
    #[track_caller]
    #[inline]
    pub(super) fn new(port: &'a Port, way: Way, call: Call<'a>, attempt: Attempt<T>) -> Self {
        Self { port, way, call, attempt, turn: Turn::new(), place: Place::here() }
    }

    /// The straight-line form.
    #[track_caller]
    #[inline]
    pub(super) fn block(self) -> io::Result<T> {
        self.port.share_worker();
        wait_for(WaitReason::IoWait, pin!(self))
    }

    /// Polls; so that it has a name where `Self` is no future itself.
    pub(super) fn poll_result(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        // SAFETY: the turn is pinned with us; nothing else is.
        let this = unsafe { self.get_unchecked_mut() };
        let (port, call, attempt) = (this.port, &mut this.call, this.attempt);
        // SAFETY: as above.
        let turn = unsafe { Pin::new_unchecked(&mut this.turn) };
        // SAFETY: it is always the same direction, and our destructor leaves it.
        let polled =
            unsafe { turn.poll(port.direction(this.way), cx, || port.with(|socket| attempt(socket, call))) };
        let polled = polled.map_err(io::Error::from);
        this.place.note(WaitReason::IoWait, cx, polled)
    }
}

impl<T> Future for IoFuture<'_, T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_result(cx)
    }
}

impl<T> Drop for IoFuture<'_, T> {
    fn drop(&mut self) {
        self.turn.leave(self.port.direction(self.way));
    }
}

impl<T> fmt::Debug for IoFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoFuture").field("port", &self.port).field("way", &self.way).finish_non_exhaustive()
    }
}
