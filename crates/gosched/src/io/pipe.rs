//! A pipe between goroutines.

use super::lane::{Lane, Limit, PipeFuture};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A pipe between goroutines of this process, without a buffer: a write returns when readers have taken all of it.
///
/// It connects code that wants to write with code that wants to read. Both ends may be used by several goroutines at once:
/// writes come one after the other, each as a whole, and each byte goes to one reader.
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
///
/// gosched::run(|| {
///     let (reader, mut writer) = gosched::io::pipe();
///     gosched::go(move || {
///         for i in 0..3 {
///             writeln!(writer, "line {i}").unwrap();
///         }
///     });
///     let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
///     assert_eq!(lines, ["line 0", "line 1", "line 2"]);
/// });
/// ```
///
/// In Go: `io.Pipe`.
pub fn pipe() -> (PipeReader, PipeWriter) {
    let pipe = Arc::new(Pipe { lane: Lane::new(), limit: Limit::new() });
    (PipeReader { pipe: pipe.clone() }, PipeWriter { pipe })
}

struct Pipe {
    lane: Lane,
    /// There is none.
    limit: Limit,
}

fn never_late() -> io::Error {
    unreachable!("these pipes have no deadlines")
}

/// The end of a [`pipe`] that reads. Dropping it closes it: writers get an error.
///
/// ```
/// use std::io::{Read, Write};
///
/// let (mut reader, mut writer) = gosched::io::pipe();
/// let writes = std::thread::spawn(move || writer.write_all(b"hello"));
/// let mut buf = [0; 5];
/// reader.read_exact(&mut buf)?;
/// assert_eq!(&buf, b"hello");
/// writes.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `io.PipeReader`.
pub struct PipeReader {
    pipe: Arc<Pipe>,
}

impl PipeReader {
    /// Waits for bytes, at least one; 0 is the end. The future form of [`Read::read`].
    pub fn read_async<'a>(&'a self, buf: &'a mut [u8]) -> PipeFuture<'a> {
        PipeFuture::new(self.pipe.lane.read(&self.pipe.limit, never_late, buf))
    }

    /// Ends reading; writers get this error, those that wait and those to come. Only the first time counts.
    ///
    /// In Go: `CloseWithError`.
    pub fn close_with_error(&self, error: io::Error) {
        self.pipe.lane.close_reader(Some(error));
    }
}

impl Read for &PipeReader {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_async(buf).block()
    }
}

impl Read for PipeReader {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.pipe.lane.close_reader(None);
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReader").field("lane", &self.pipe.lane).finish()
    }
}

/// The end of a [`pipe`] that writes. Dropping it closes it: readers get the end.
///
/// ```
/// use std::io::{Error, Read};
///
/// let (mut reader, writer) = gosched::io::pipe();
/// writer.close_with_error(Error::other("the source has dried up"));
/// assert_eq!(reader.read(&mut [0]).unwrap_err().to_string(), "the source has dried up");
/// ```
///
/// In Go: `io.PipeWriter`.
pub struct PipeWriter {
    pipe: Arc<Pipe>,
}

impl PipeWriter {
    /// Writes all of `buf`; ready when readers have taken it. The future form of [`Write::write`]. If the reader goes when
    /// it has taken a part, that part counts, and the next call fails.
    pub fn write_async<'a>(&'a self, buf: &'a [u8]) -> PipeFuture<'a> {
        PipeFuture::new(self.pipe.lane.write(&self.pipe.limit, never_late, buf))
    }

    /// Ends writing; readers get this error, those that wait and those to come. Only the first time counts.
    ///
    /// In Go: `CloseWithError`.
    pub fn close_with_error(&self, error: io::Error) {
        self.pipe.lane.close_writer(Some(error));
    }
}

impl Write for &PipeWriter {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_async(buf).block()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for PipeWriter {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.pipe.lane.close_writer(None);
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeWriter").field("lane", &self.pipe.lane).finish()
    }
}
