//! Making connections: several addresses, tried as RFC 8305 ("happy eyeballs") has it.

use super::stream::TcpStream;
use crate::net::addr::{Lookup, Target, look_up, no_address};
use crate::net::calls;
use crate::net::error::timed_out;
use crate::net::port::{Call, IoFuture, Port, Way};
use crate::time::sleep_async;
use crate::wait::{Place, WaitReason};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an attempt has before the next one begins beside it (RFC 8305, section 5). (Go: 300 ms, and only between the
/// two families.)
const HEAD_START: Duration = Duration::from_millis(250);

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to the first address that answers; from [`TcpStream::connect_async`].
///
/// # Cancellation
///
/// Dropped before it is ready, it closes the connections that were being made. A name that was being looked up is looked
/// up to the end, for nobody.
///
/// # Example
///
/// ```
/// use gosched::net::{Connect, TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let connect: Connect = TcpStream::connect_async(listener.local_addr()?);
/// let stream = gosched::wait(connect)?;
/// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `Dialer.DialContext`.
#[must_use = "a future does nothing until it is polled"]
pub struct Connect {
    inner: Attempt,
    place: Place,
}

impl Connect {
    #[track_caller]
    pub(super) fn new(target: io::Result<Target>) -> Self {
        let inner = Box::pin(async move {
            match target? {
                Target::One(addr) => attempt(addr).await,
                Target::Addrs(addrs) => race(addrs).await,
                name @ Target::Name(..) => {
                    let lookup: Lookup = look_up(name);
                    race(lookup.await?).await
                }
            }
        });
        Self { inner, place: Place::here() }
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.inner.as_mut().poll(cx);
        self.place.note(WaitReason::IoWait, cx, polled)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").finish_non_exhaustive()
    }
}

/// The families in turn, beginning with that of the first address; each in its order.
fn in_turn(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addrs.first().map(SocketAddr::is_ipv4) else { return VecDeque::new() };
    let (ours, others): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv4() == first);
    let mut others = others.into_iter();
    let mut mixed = VecDeque::new();
    for addr in ours {
        mixed.push_back(addr);
        mixed.extend(others.next());
    }
    mixed.extend(others);
    mixed
}

/// Tries one address after the other; the next one begins when the last one has failed, or has had its head start. The
/// first to succeed wins, and the others are dropped.
async fn race(addrs: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = in_turn(addrs);
    if waiting.len() == 1 {
        return attempt(waiting[0]).await;
    }
    let mut running: Vec<Attempt> = Vec::new();
    let mut failure = None;
    loop {
        match waiting.pop_front() {
            Some(addr) => running.push(Box::pin(attempt(addr))),
            None if running.is_empty() => return Err(failure.unwrap_or_else(no_address)),
            None => {}
        }
        let mut patience = pin!(sleep_async(HEAD_START));
        let last = waiting.is_empty();
        let ended = poll_fn(|cx| {
            for at in 0..running.len() {
                if let Poll::Ready(result) = running[at].as_mut().poll(cx) {
                    drop(running.swap_remove(at));
                    return Poll::Ready(Some(result));
                }
            }
            if last { Poll::Pending } else { patience.as_mut().poll(cx).map(|()| None) }
        });
        match ended.await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = Some(error),
            None => {}
        }
    }
}

/// Connects to one address.
async fn attempt(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    connect(socket, &addr.into()).await.map(TcpStream::of)
}

/// Connects a socket, internet or not.
pub(in crate::net) async fn connect(socket: Socket, addr: &socket2::SockAddr) -> io::Result<Arc<Port>> {
    socket.set_nonblocking(true)?;
    match socket.connect(addr) {
        Ok(()) => return Ok(Arc::new(Port::of_nonblocking(socket)?)),
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    // Watched only now: a socket that is not connecting yet counts as hung up.
    let port = Arc::new(Port::of_nonblocking(socket)?);
    IoFuture::new(&port, Way::Write, Call::None, calls::finish_connect).await?;
    Ok(port)
}

fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS) || error.kind() == io::ErrorKind::Interrupted
}

/// Connects to one address, for no longer than `timeout`.
pub(super) async fn attempt_for(addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    crate::time::timeout_async(timeout, attempt(addr)).await.unwrap_or_else(|_| Err(timed_out()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mixed = in_turn(["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(addr).to_vec());
        assert_eq!(mixed, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(addr));
        assert_eq!(in_turn(vec![]).len(), 0);
    }
}
