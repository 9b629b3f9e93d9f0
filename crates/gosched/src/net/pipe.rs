//! A connection within the process.

use super::error::timed_out;
use crate::io::PipeFuture;
use crate::io::lane::{Lane, Limit};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

/// Both ends of a connection within the process, without a buffer: a write returns when the other side has read all of it.
/// For tests of what speaks over a connection.
///
/// ```
/// use std::io::{Read, Write};
///
/// gosched::run(|| {
///     let (near, far) = gosched::net::pipe();
///     gosched::go(move || std::io::copy(&mut &far, &mut &far));
///     (&near).write_all(b"x").unwrap();
///     let mut buf = [0];
///     (&near).read_exact(&mut buf).unwrap();
///     assert_eq!(&buf, b"x");
/// });
/// ```
///
/// In Go: `net.Pipe`.
pub fn pipe() -> (PipeStream, PipeStream) {
    let (there, back) = (Arc::new(Lane::new()), Arc::new(Lane::new()));
    (PipeStream::new(back.clone(), there.clone()), PipeStream::new(there, back))
}

/// One end of a connection within the process; from [`pipe`].
///
/// It has the deadlines of [`TcpStream`](super::TcpStream#deadlines). Clones are the same end, which is closed by
/// [`close`](PipeStream::close) or when the last clone is dropped: the other side then reads the end, and its writes fail.
///
/// ```
/// use gosched::net::pipe;
/// use std::io::Read;
///
/// let (near, far) = pipe();
/// near.set_read_deadline(Some(std::time::Instant::now()));
/// assert_eq!((&near).read(&mut [0]).unwrap_err().to_string(), "i/o timeout");
/// near.set_read_deadline(None);
/// drop(far);
/// assert_eq!((&near).read(&mut [0])?, 0);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: the `net.Conn` of `net.Pipe`.
#[derive(Clone)]
pub struct PipeStream {
    end: Arc<End>,
}

struct End {
    read: Arc<Lane>,
    write: Arc<Lane>,
    read_limit: Limit,
    write_limit: Limit,
}

impl PipeStream {
    fn new(read: Arc<Lane>, write: Arc<Lane>) -> Self {
        Self { end: Arc::new(End { read, write, read_limit: Limit::new(), write_limit: Limit::new() }) }
    }

    /// Waits for bytes, at least one; 0 is the end. The future form of [`Read::read`].
    pub fn read_async<'a>(&'a self, buf: &'a mut [u8]) -> PipeFuture<'a> {
        PipeFuture::new(self.end.read.read(&self.end.read_limit, timed_out, buf))
    }

    /// Writes all of `buf`; ready when the other side has read it. The future form of [`Write::write`]. If the other side
    /// goes, or the deadline passes, when a part has been read, that part counts, and the next call fails.
    pub fn write_async<'a>(&'a self, buf: &'a [u8]) -> PipeFuture<'a> {
        PipeFuture::new(self.end.write.write(&self.end.write_limit, timed_out, buf))
    }

    /// Closes this end: calls that wait fail, and so do those to come.
    ///
    /// In Go: `Close`.
    pub fn close(&self) {
        self.end.close();
    }

    /// When reading and writing give up.
    ///
    /// In Go: `SetDeadline`.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.set_read_deadline(deadline);
        self.set_write_deadline(deadline);
    }

    /// When reading gives up, also for those who wait already; `None` for never.
    ///
    /// In Go: `SetReadDeadline`.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) {
        self.end.read_limit.set(deadline);
    }

    /// When writing gives up, also for those who wait already; `None` for never.
    ///
    /// In Go: `SetWriteDeadline`.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) {
        self.end.write_limit.set(deadline);
    }
}

impl End {
    fn close(&self) {
        self.read.close_reader(None);
        self.write.close_writer(None);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

impl Read for &PipeStream {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_async(buf).block()
    }
}

impl Write for &PipeStream {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_async(buf).block()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for PipeStream {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for PipeStream {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for PipeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeStream").field("read", &self.end.read).field("write", &self.end.write).finish()
    }
}
