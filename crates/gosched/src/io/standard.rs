//! The standard streams, on threads that may block.

use crate::blocking;
use std::io::{self, BufRead as _, Read, Write};

/// Standard input; from [`stdin`].
///
/// ```
/// # if false {
/// let mut line = String::new();
/// gosched::io::stdin().read_line(&mut line)?;
/// # }
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.Stdin`.
#[derive(Debug)]
pub struct Stdin(io::Stdin);

/// Standard input. Waiting for it takes a thread that may block, and suspends the goroutine; it shares std's buffer.
///
/// ```
/// # if false {
/// for line in gosched::io::stdin().lines() {
///     println!("{}", line?);
/// }
/// # }
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.Stdin`.
pub fn stdin() -> Stdin {
    Stdin(io::stdin())
}

impl Stdin {
    /// Reads a line, with its end, and appends it; 0 is the end of the input. As [`std::io::Stdin::read_line`].
    ///
    /// # Errors
    ///
    /// The system's; the line is no UTF-8.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop.
    #[track_caller]
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        blocking(|| self.0.lock().read_line(line))
    }

    /// The lines, without their ends.
    pub fn lines(self) -> impl Iterator<Item = io::Result<String>> {
        std::iter::from_fn(move || {
            let mut line = String::new();
            match self.read_line(&mut line) {
                Ok(0) => None,
                Ok(_) => {
                    let end = line.trim_end_matches('\n').trim_end_matches('\r').len();
                    line.truncate(end);
                    Some(Ok(line))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }
}

impl Read for Stdin {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        blocking(|| self.0.lock().read(buf))
    }
}

/// Standard output; from [`stdout`].
///
/// ```
/// use std::io::Write;
/// gosched::io::stdout().write_all(b"hello\n")?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.Stdout`.
#[derive(Debug)]
pub struct Stdout(io::Stdout);

/// Standard output, for who writes much to a pipe or a terminal that may be slow: `println!` would block a worker then.
///
/// ```
/// use std::io::Write;
/// writeln!(gosched::io::stdout(), "hello")?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.Stdout`.
pub fn stdout() -> Stdout {
    Stdout(io::stdout())
}

impl Write for Stdout {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        blocking(|| self.0.lock().write(buf))
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        blocking(|| self.0.lock().flush())
    }
}

/// Standard error; from [`stderr`].
///
/// ```
/// use std::io::Write;
/// gosched::io::stderr().flush()?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.Stderr`.
#[derive(Debug)]
pub struct Stderr(io::Stderr);

/// Standard error, as [`stdout`].
///
/// ```
/// use std::io::Write;
/// gosched::io::stderr().flush()?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `os.Stderr`.
pub fn stderr() -> Stderr {
    Stderr(io::stderr())
}

impl Write for Stderr {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        blocking(|| self.0.lock().write(buf))
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        blocking(|| self.0.lock().flush())
    }
}
