//! Why a context is done.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The reason a context was cancelled for, as [`Context::cause`](super::Context::cause) returns it: any error.
///
/// ```
/// use gosched::context::{Cause, background};
///
/// let ctx = background().with_cancel();
/// ctx.cancel_cause(std::fmt::Error);
/// let cause: Cause = ctx.cause().unwrap();
/// assert!(cause.downcast_ref::<std::fmt::Error>().is_some());
/// ```
///
/// In Go: an `error`.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a [`Context`](super::Context) is done.
///
/// The texts are Go's: `context canceled` and `context deadline exceeded`.
///
/// ```
/// use gosched::context::{ContextError, background};
///
/// let ctx = background().with_cancel();
/// ctx.cancel();
/// assert_eq!(ctx.err(), Some(ContextError::Canceled));
/// assert_eq!(ContextError::Canceled.to_string(), "context canceled");
/// ```
///
/// In Go: `context.Canceled` and `context.DeadlineExceeded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextError {
    /// It was cancelled, or one of its ancestors was.
    Canceled,
    /// Its deadline has passed, or that of one of its ancestors.
    DeadlineExceeded,
}

impl ContextError {
    /// Whether it is a matter of time: a second attempt, given more of it, may succeed.
    ///
    /// In Go: `Timeout()` and `Temporary()`.
    pub const fn is_timeout(self) -> bool {
        matches!(self, ContextError::DeadlineExceeded)
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContextError::Canceled => "context canceled",
            ContextError::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl Error for ContextError {}

/// An error, and the cause if it is another one.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub(super) error: ContextError,
    pub(super) cause: Option<Cause>,
}

impl Reason {
    pub(super) const CANCELED: Reason = Reason { error: ContextError::Canceled, cause: None };

    pub(super) fn caused_by(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Reason { error: ContextError::Canceled, cause: Some(Cause::from(cause.into())) }
    }

    pub(super) fn into_cause(self) -> Cause {
        self.cause.unwrap_or_else(|| Arc::new(self.error))
    }
}
