//! The system calls of sockets, as [`IoFuture`](super::IoFuture) and the traits try them.

use super::port::{Call, inet};
use crate::scheduler::reactor::source::Done;
use socket2::Socket;
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;

/// A peer that is gone is an error, not a signal that ends the process.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const FLAGS: i32 = 0;

/// A stream that gives less than was asked for, but something, has no more, and an event will tell of what comes. One that
/// gives nothing has ended, of which nothing tells again.
fn part(n: usize, wanted: usize) -> Done<usize> {
    Done { value: n, drained: n > 0 && n < wanted }
}

pub(super) fn read_into(mut socket: &Socket, buf: &mut [u8]) -> io::Result<Done<usize>> {
    let n = socket.read(buf)?;
    Ok(part(n, buf.len()))
}

/// The same into memory that need not have been written before.
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
pub(super) fn read_uninit(socket: &Socket, buf: &mut [MaybeUninit<u8>]) -> io::Result<Done<usize>> {
    let n = socket.recv(buf)?;
    Ok(part(n, buf.len()))
}

pub(super) fn read_vectored(mut socket: &Socket, bufs: &mut [IoSliceMut<'_>]) -> io::Result<Done<usize>> {
    let n = socket.read_vectored(bufs)?;
    Ok(part(n, bufs.iter().map(|buf| buf.len()).sum()))
}

pub(super) fn write_from(socket: &Socket, buf: &[u8]) -> io::Result<Done<usize>> {
    let n = socket.send_with_flags(buf, FLAGS)?;
    Ok(part(n, buf.len()))
}

pub(super) fn write_vectored(socket: &Socket, bufs: &[IoSlice<'_>]) -> io::Result<Done<usize>> {
    let n = socket.send_vectored_with_flags(bufs, FLAGS)?;
    Ok(part(n, bufs.iter().map(|buf| buf.len()).sum()))
}

/// A part of memory that is written by the system, as its functions take it.
pub(super) fn uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: bytes may be written through this, and those who get it (`recv` and its kin) write nothing but bytes.
    unsafe { &mut *(std::ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) }
}

pub(super) fn read(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<usize>> {
    match call {
        Call::Read(buf) => read_into(socket, buf),
        Call::ReadVectored(bufs) => read_vectored(socket, bufs),
        _ => unreachable!("a read has a buffer"),
    }
}

pub(super) fn peek(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<usize>> {
    match call {
        Call::Read(buf) => socket.peek(uninit(buf)).map(Done::with),
        _ => unreachable!("a peek has a buffer"),
    }
}

pub(super) fn write(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<usize>> {
    match call {
        Call::Write(buf) => write_from(socket, buf),
        Call::WriteVectored(bufs) => write_vectored(socket, bufs),
        _ => unreachable!("a write has a buffer"),
    }
}

pub(super) fn recv(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<usize>> {
    match call {
        // One packet: that it is short says nothing about the next.
        Call::Read(buf) => socket.recv(uninit(buf)).map(Done::with),
        _ => unreachable!("a receive has a buffer"),
    }
}

pub(super) fn recv_from(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<(usize, SocketAddr)>> {
    match call {
        Call::Read(buf) => {
            let (n, addr) = socket.recv_from(uninit(buf))?;
            Ok(Done::with((n, inet(&addr)?)))
        }
        _ => unreachable!("a receive has a buffer"),
    }
}

pub(super) fn peek_from(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<(usize, SocketAddr)>> {
    match call {
        Call::Read(buf) => {
            let (n, addr) = socket.peek_from(uninit(buf))?;
            Ok(Done::with((n, inet(&addr)?)))
        }
        _ => unreachable!("a receive has a buffer"),
    }
}

pub(super) fn send(socket: &Socket, call: &mut Call<'_>) -> io::Result<Done<usize>> {
    match call {
        Call::Write(buf) => socket.send_with_flags(buf, FLAGS).map(Done::with),
        Call::SendTo(buf, addr) => socket.send_to_with_flags(buf, &(*addr).into(), FLAGS).map(Done::with),
        _ => unreachable!("a send has a buffer"),
    }
}

/// What has become of a connection that is being made.
pub(super) fn finish_connect(socket: &Socket, _: &mut Call<'_>) -> io::Result<Done<()>> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(Done::with(())),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    }
}
