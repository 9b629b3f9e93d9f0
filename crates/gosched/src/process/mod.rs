//! Child processes that end with a context.
//!
//! ```
//! use gosched::{context::background, process::Command};
//!
//! let output = Command::new("echo").arg("hello").output(&background())?;
//! assert_eq!(output.stdout, b"hello\n");
//! # std::io::Result::Ok(())
//! ```
//!
//! In Go: package `os/exec`.

use crate::blocking_async;
use crate::context::{Context, ContextError};
use crate::spawn::Blocking;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ExitStatus, Output, Stdio};
use std::time::Duration;

/// How long the output of a child that has ended, or was killed, may still be held open by its own children (Go's
/// `WaitDelay`).
const WAIT_DELAY: Duration = Duration::from_millis(500);

/// A process to be started, as [`std::process::Command`], whose end a goroutine waits for.
///
/// When the context is done before the process is, it is killed, and the error is the context's. Its own children are not.
/// Waiting takes threads that may block, up to three, and none of the workers.
///
/// ```
/// use gosched::{context::background, process::Command};
/// use std::time::Duration;
///
/// let ctx = background().with_timeout(Duration::from_millis(20));
/// let error = Command::new("sleep").arg("60").status(&ctx).unwrap_err();
/// assert_eq!(error.to_string(), "context deadline exceeded");
/// ```
///
/// In Go: `exec.CommandContext`.
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
}

impl Command {
    /// A program, by its path or by its name in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { inner: std::process::Command::new(program) }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.inner.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(key, value);
        self
    }

    /// Sets its working directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.inner.current_dir(dir);
        self
    }

    /// All other settings, those of std.
    pub fn as_std(&mut self) -> &mut std::process::Command {
        &mut self.inner
    }

    /// Runs the process to its end, and collects what it writes to its standard output and error. Its standard input is
    /// empty, unless it was set.
    ///
    /// # Errors
    ///
    /// The process cannot be started; the context's, of kind [`TimedOut`](io::ErrorKind::TimedOut) if its deadline has
    /// passed. That it has failed is no error, but in the [`ExitStatus`].
    ///
    /// In Go: `Cmd.Output`.
    #[track_caller]
    pub fn output(&mut self, ctx: &Context) -> io::Result<Output> {
        check(ctx)?;
        let mut child =
            self.inner.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let out = child.stdout.take().map(collect);
        let err = child.stderr.take().map(collect);
        let status = wait(child, ctx)?;
        Ok(Output { status, stdout: collected(out)?, stderr: collected(err)? })
    }

    /// Runs the process to its end. Its standard streams are ours, unless they were set.
    ///
    /// # Errors
    ///
    /// As [`output`](Command::output).
    ///
    /// In Go: `Cmd.Run`.
    #[track_caller]
    pub fn status(&mut self, ctx: &Context) -> io::Result<ExitStatus> {
        check(ctx)?;
        wait(self.inner.spawn()?, ctx)
    }
}

fn check(ctx: &Context) -> io::Result<()> {
    ctx.err().map_or(Ok(()), |error| Err(given_up(error)))
}

fn given_up(error: ContextError) -> io::Error {
    let kind = if error.is_timeout() { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}

/// A child that does not outlive us, whatever happens. (Of one that has been waited for std knows that it has ended, and
/// does nothing more to it.)
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn wait(child: Child, ctx: &Context) -> io::Result<ExitStatus> {
    let id = child.id();
    let mut child = Guard(child);
    // Not by the child itself: it must be there to be killed, and its number must stay its own until then.
    let mut exit = blocking_async(move || wait_for_exit(id));
    match ctx.wait(&mut exit) {
        Ok(waited) => {
            waited?;
            child.0.wait()
        }
        Err(error) => {
            // Not waited for, so the number is its own.
            child.0.kill()?;
            crate::wait(exit)?;
            child.0.wait()?;
            Err(given_up(error))
        }
    }
}

/// Waits until a child has ended, and leaves it to be waited for.
fn wait_for_exit(id: u32) -> io::Result<()> {
    loop {
        // SAFETY: all zero is a valid record, which the call fills in.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, id, &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Blocking<io::Result<Vec<u8>>> {
    blocking_async(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

#[track_caller]
fn collected(stream: Option<Blocking<io::Result<Vec<u8>>>>) -> io::Result<Vec<u8>> {
    let Some(stream) = stream else { return Ok(Vec::new()) };
    crate::time::timeout(WAIT_DELAY, stream)
        .unwrap_or_else(|_| Err(io::Error::other("the process has ended, but others hold its output open")))
}
