//! What is said of a deadlock.

use super::{GoroutineInfo, goroutines, write};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// More goroutines than these are summarised.
const MOST: usize = 1000;

/// All goroutines wait for each other. Returned by [`Runtime::try_run`](crate::Runtime::try_run).
///
/// Its text is what [`run`](crate::run) prints before it ends the process: Go's line, an empty one, and what all
/// goroutines do.
///
/// ```
/// use gosched::{Runtime, chan, debug::Deadlock};
///
/// fn why(result: Result<u8, Deadlock>) -> String {
///     match result {
///         Ok(value) => format!("fine: {value}"),
///         Err(deadlock) => format!("{} goroutines wait for each other\n{deadlock}", deadlock.goroutines.len()),
///     }
/// }
/// let runtime = Runtime::new()?;
/// assert_eq!(why(runtime.try_run(|| 7)), "fine: 7");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go it cannot be had: the process ends.
#[derive(Clone)]
#[non_exhaustive]
pub struct Deadlock {
    /// All goroutines of the process, sorted by their ids. None if main has called [`goexit`](crate::goexit) and all others
    /// have ended: then there is nothing that `try_run` could return.
    pub goroutines: Vec<GoroutineInfo>,
    dump: Arc<str>,
}

impl Deadlock {
    /// As of now.
    pub(crate) fn now() -> Self {
        let mut text = Vec::new();
        write(&mut text, MOST).expect("a vector takes everything");
        Self { goroutines: goroutines(), dump: String::from_utf8_lossy(&text).trim_end().into() }
    }

    /// What all goroutines do.
    pub(crate) fn dump(&self) -> &str {
        &self.dump
    }

    /// Main has gone without returning anything, and so have all others.
    pub(crate) fn nobody_left() -> Self {
        Self { goroutines: Vec::new(), dump: "".into() }
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dump.is_empty() {
            return f.write_str("fatal error: no goroutines (main called runtime.Goexit) - deadlock!");
        }
        write!(f, "fatal error: all goroutines are asleep - deadlock!\n\n{}", self.dump)
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Also what `unwrap` prints: to be read.
        fmt::Display::fmt(self, f)
    }
}

impl Error for Deadlock {}
