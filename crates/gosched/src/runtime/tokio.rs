//! The background reactor for crates that are made for tokio.

use crate::sys::background;
use std::io;

/// The runtime of tokio's in whose context goroutines are, with the feature `tokio`; started if it does not run yet.
///
/// For ordinary threads that are to be in that context outside of [`wait`](crate::wait) as well, and for starting tasks on
/// it. It runs on a thread of its own: a task must not block there. What [`tokio::runtime::Handle::block_on`] would do,
/// [`wait`](crate::wait) does, and suspends the goroutine instead of blocking its worker.
///
/// # Errors
///
/// The system's, if the reactor or its thread cannot be had.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let tokio = gosched::runtime::tokio_handle()?;
/// let _entered = tokio.enter();
/// gosched::wait(tokio::time::sleep(Duration::from_millis(1)));
/// assert_eq!(gosched::wait(tokio.spawn(async { 6 * 7 })).unwrap(), 42);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; its only runtime polls for everybody.
pub fn tokio_handle() -> io::Result<tokio::runtime::Handle> {
    background::start().cloned()
}
