//! Why waiting for a limiter has failed.

use crate::context::ContextError;
use std::error::Error;
use std::fmt;

/// Why [`Limiter::wait`](super::Limiter::wait) has failed. The texts are Go's.
///
/// ```
/// use gosched::context::background;
/// use gosched::pipeline::rate::{Limit, Limiter, WaitError};
/// use std::time::Duration;
///
/// let limiter = Limiter::new(Limit::every(Duration::from_secs(3600)), 1);
/// limiter.allow();
/// let ctx = background().with_timeout(Duration::from_secs(60));
/// assert_eq!(limiter.wait(&ctx), Err(WaitError::ExceedsDeadline { n: 1 }));
/// ```
///
/// In Go: errors with these texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// More tokens were asked for than the bucket holds.
    ExceedsBurst {
        /// What was asked for.
        n: usize,
        /// What the bucket holds.
        burst: usize,
    },
    /// The tokens come later than the context's deadline.
    ExceedsDeadline {
        /// What was asked for.
        n: usize,
    },
    /// The context is done.
    Context(ContextError),
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::ExceedsBurst { n, burst } => {
                write!(f, "rate: Wait(n={n}) exceeds limiter's burst {burst}")
            }
            WaitError::ExceedsDeadline { n } => {
                write!(f, "rate: Wait(n={n}) would exceed context deadline")
            }
            WaitError::Context(error) => error.fmt(f),
        }
    }
}

impl Error for WaitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            WaitError::Context(error) => Some(error),
            _ => None,
        }
    }
}
