//! The errors of [`Select`](super::Select): crossbeam-channel's types and texts.

use std::error::Error;
use std::fmt;

/// [`Select::try_select`](super::Select::try_select) failed: no operation was ready.
///
/// ```
/// use gosched::{Select, TrySelectError};
///
/// assert_eq!(Select::new().try_select().unwrap_err(), TrySelectError);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrySelectError;

/// [`Select::select_timeout`](super::Select::select_timeout) failed: the time was up.
///
/// ```
/// use gosched::{Select, SelectTimeoutError};
/// use std::time::Duration;
///
/// let nothing = Select::new().select_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(nothing, SelectTimeoutError);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectTimeoutError;

/// [`Select::try_ready`](super::Select::try_ready) failed: no operation was ready.
///
/// ```
/// use gosched::{Select, TryReadyError};
///
/// assert_eq!(Select::new().try_ready(), Err(TryReadyError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryReadyError;

/// [`Select::ready_timeout`](super::Select::ready_timeout) failed: the time was up.
///
/// ```
/// use gosched::{ReadyTimeoutError, Select};
/// use std::time::Duration;
///
/// assert_eq!(Select::new().ready_timeout(Duration::from_millis(1)), Err(ReadyTimeoutError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyTimeoutError;

const WOULD_BLOCK: &str = "all operations in select would block";
const TIMED_OUT: &str = "timed out waiting on select";

impl fmt::Display for TrySelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(WOULD_BLOCK)
    }
}

impl fmt::Display for SelectTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(TIMED_OUT)
    }
}

impl fmt::Display for TryReadyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(WOULD_BLOCK)
    }
}

impl fmt::Display for ReadyTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(TIMED_OUT)
    }
}

impl Error for TrySelectError {}
impl Error for SelectTimeoutError {}
impl Error for TryReadyError {}
impl Error for ReadyTimeoutError {}
