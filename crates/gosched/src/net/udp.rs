//! UDP.

use super::addr::{Target, ToSocketAddrs, each_addr, lookup_host, no_address};
use super::calls;
use super::port::{Call, IoFuture, Port, Way};
use super::stream::limit_methods;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

/// A UDP socket.
///
/// As [`std::net::UdpSocket`], but waiting suspends the goroutine. Clones are the same socket: several goroutines may send
/// and receive at once, and packets are given out in the order in which they asked. Deadlines and time-outs are those of
/// [`TcpStream`](super::TcpStream#deadlines).
///
/// # Example
///
/// ```
/// use gosched::net::UdpSocket;
///
/// let server = UdpSocket::bind("127.0.0.1:0")?;
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"ping", server.local_addr()?)?;
/// let mut buf = [0; 16];
/// let (n, from) = server.recv_from(&mut buf)?;
/// assert_eq!((&buf[..n], from), (&b"ping"[..], client.local_addr()?));
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `net.UDPConn`.
#[derive(Clone)]
pub struct UdpSocket {
    port: Arc<Port>,
}

limit_methods!(UdpSocket);

impl UdpSocket {
    /// A socket at the first of the addresses where that is possible. Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// The name is unknown; the system's, for the last address tried.
    ///
    /// In Go: `net.ListenPacket("udp", addr)`.
    #[track_caller]
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        each_addr(&lookup_host(addr)?, |addr| {
            let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&addr.into())?;
            Ok(Self { port: Arc::new(Port::new(socket)?) })
        })
    }

    /// Takes a socket of std over. It becomes non-blocking, also where it was cloned.
    ///
    /// # Errors
    ///
    /// The system's: it cannot be watched.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self { port: Arc::new(Port::new(socket.into())?) })
    }

    /// Sets whom [`send`](UdpSocket::send) sends to, and from whom alone packets are received. Says nothing to the other
    /// side.
    ///
    /// # Errors
    ///
    /// The name is unknown; the system's; closed.
    ///
    /// In Go: `net.Dial("udp", addr)`.
    #[track_caller]
    pub fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        each_addr(&lookup_host(addr)?, |addr| self.port.with(|socket| socket.connect(&addr.into())))
    }

    /// Sends a packet to an address: the first one, if a name stands for several. Returns how many bytes were sent.
    ///
    /// # Errors
    ///
    /// The name is unknown; the system's (the packet is too long, say); past the deadline; closed.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop but by closing or by a deadline; `ctx.wait(socket.send_to_async(..))` can.
    ///
    /// In Go: `WriteTo`.
    #[track_caller]
    pub fn send_to(&self, buf: &[u8], addr: impl ToSocketAddrs) -> io::Result<usize> {
        let addr = match addr.target()? {
            Target::One(addr) => addr,
            _ => *lookup_host(addr)?.first().ok_or_else(no_address)?,
        };
        self.send_to_async(buf, addr).block()
    }

    /// [`send_to`](UdpSocket::send_to) as a future.
    #[track_caller]
    pub fn send_to_async<'a>(&'a self, buf: &'a [u8], addr: SocketAddr) -> IoFuture<'a, usize> {
        IoFuture::new(&self.port, Way::Write, Call::SendTo(buf, addr), calls::send)
    }

    /// Waits for a packet. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// The system's; past the deadline; closed.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop but by closing or by a deadline; `ctx.wait(socket.recv_from_async(..))` can.
    ///
    /// In Go: `ReadFrom`.
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from_async(buf).block()
    }

    /// [`recv_from`](UdpSocket::recv_from) as a future.
    #[track_caller]
    pub fn recv_from_async<'a>(&'a self, buf: &'a mut [u8]) -> IoFuture<'a, (usize, SocketAddr)> {
        IoFuture::new(&self.port, Way::Read, Call::Read(buf), calls::recv_from)
    }

    /// Waits for a packet and copies it without taking it.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    #[track_caller]
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        IoFuture::new(&self.port, Way::Read, Call::Read(buf), calls::peek_from).block()
    }

    /// Sends a packet to where the socket is [connected](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// The system's (the other side has refused an earlier packet, say); past the deadline; closed.
    ///
    /// In Go: `Write`.
    #[track_caller]
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_async(buf).block()
    }

    /// [`send`](UdpSocket::send) as a future.
    #[track_caller]
    pub fn send_async<'a>(&'a self, buf: &'a [u8]) -> IoFuture<'a, usize> {
        IoFuture::new(&self.port, Way::Write, Call::Write(buf), calls::send)
    }

    /// Waits for a packet. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// In Go: `Read`.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_async(buf).block()
    }

    /// [`recv`](UdpSocket::recv) as a future.
    #[track_caller]
    pub fn recv_async<'a>(&'a self, buf: &'a mut [u8]) -> IoFuture<'a, usize> {
        IoFuture::new(&self.port, Way::Read, Call::Read(buf), calls::recv)
    }

    /// Waits for a packet and copies it without taking it.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    #[track_caller]
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        IoFuture::new(&self.port, Way::Read, Call::Read(buf), calls::peek).block()
    }

    /// The address of this socket.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.port.local_addr()
    }

    /// Where the socket is [connected](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// The system's: nowhere; closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.port.peer_addr()
    }

    /// Closes the socket, for all clones: calls that wait fail, and so do those to come.
    ///
    /// # Errors
    ///
    /// It was closed before.
    ///
    /// In Go: `Close`.
    pub fn close(&self) -> io::Result<()> {
        self.port.close()
    }

    /// A second handle on the same socket, as [`Clone`] makes it. (In std it is another descriptor.)
    ///
    /// # Errors
    ///
    /// None; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// Allows sending to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.port.with(|socket| socket.set_broadcast(broadcast))
    }

    /// Whether sending to broadcast addresses is allowed.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.port.with(Socket::broadcast)
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

    /// Whether multicast packets come back to this machine.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.port.with(|socket| socket.set_multicast_loop_v4(on))
    }

    /// How far multicast packets go.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.port.with(|socket| socket.set_multicast_ttl_v4(ttl))
    }

    /// Joins a multicast group.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.port.with(|socket| socket.join_multicast_v4(group, interface))
    }

    /// Joins a multicast group.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.port.with(|socket| socket.join_multicast_v6(group, interface))
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.port.with(|socket| socket.leave_multicast_v4(group, interface))
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.port.with(|socket| socket.leave_multicast_v6(group, interface))
    }

    /// The error that the socket has kept, and keeps no more.
    ///
    /// # Errors
    ///
    /// The system's; closed.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.port.with(Socket::take_error)
    }
}

impl AsRawFd for UdpSocket {
    /// The descriptor's number, good until the socket is closed; -1 after that.
    fn as_raw_fd(&self) -> RawFd {
        self.port.raw_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("addr", &self.local_addr().ok()).finish_non_exhaustive()
    }
}
