//! The one who may cancel.

use super::Context;
use super::error::Reason;
use super::signal::Listening;
use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// A context and the right to cancel it. It cancels when it is dropped.
///
/// It is used like the [`Context`] it derefs to; `clone()` gives a plain one, for others to use. The
/// [module](super) tells which mistakes this prevents, and which one it invites.
///
/// ```
/// use gosched::context::{Context, ContextError, background};
///
/// let seen: Context = {
///     let owner = background().with_cancel();
///     owner.clone()
/// };
/// assert_eq!(seen.err(), Some(ContextError::Canceled), "its owner has gone");
/// ```
///
/// In Go: what `context.WithCancel` and its kin return, with `defer cancel()`.
#[must_use = "the context is cancelled when its owner is dropped: bind it to a variable"]
pub struct CancelContext {
    ctx: Context,
    /// For a context that signals cancel.
    signals: Option<Listening>,
    detached: bool,
}

impl CancelContext {
    pub(super) fn new(ctx: Context) -> Self {
        Self { ctx, signals: None, detached: false }
    }

    pub(super) fn with_signals(mut self, listening: Listening) -> Self {
        self.signals = Some(listening);
        self
    }

    /// Ends the context and all derived from it, with [`Canceled`](super::ContextError::Canceled); does nothing if
    /// it has ended. When it returns, all of them are done. It does not wait for those who work on it.
    ///
    /// ```
    /// let ctx = gosched::context::background().with_cancel();
    /// let child = ctx.with_cancel();
    /// ctx.cancel();
    /// assert!(child.err().is_some());
    /// ```
    ///
    /// In Go: a call of the `CancelFunc`.
    pub fn cancel(&self) {
        self.end(&Reason::CANCELED);
    }

    /// The same with a [cause](Context::cause).
    ///
    /// ```
    /// use gosched::context::{Context, ContextError};
    ///
    /// let ctx = Context::background().with_cancel();
    /// ctx.cancel_cause("the client went away");
    /// assert_eq!(ctx.err(), Some(ContextError::Canceled));
    /// assert_eq!(ctx.cause().unwrap().to_string(), "the client went away");
    /// ```
    ///
    /// In Go: a call of the `CancelCauseFunc`.
    pub fn cancel_cause(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        self.end(&Reason::caused_by(cause));
    }

    fn end(&self, reason: &Reason) {
        if let Some(listening) = &self.signals {
            listening.stop();
        }
        self.canceller().end(reason);
    }

    /// The right to cancel, without the duty.
    pub(crate) fn canceller(&self) -> Canceller {
        Canceller(self.ctx.clone())
    }

    /// Gives up the right to cancel: the context ends with its parent, by its deadline, or never.
    ///
    /// ```
    /// use gosched::context::Context;
    /// use std::time::Duration;
    ///
    /// fn request_context() -> Context {
    ///     Context::background().with_timeout(Duration::from_secs(10)).detach()
    /// }
    /// assert_eq!(request_context().err(), None);
    /// ```
    ///
    /// In Go: not to call the `cancel` function; `go vet` complains of that.
    pub fn detach(mut self) -> Context {
        self.detached = true;
        if let Some(listening) = self.signals.take() {
            listening.detach(self.ctx.clone());
        }
        self.ctx.clone()
    }
}

/// Cancels a context that another one owns.
pub(crate) struct Canceller(Context);

impl Canceller {
    pub(crate) fn cancel(&self) {
        self.end(&Reason::CANCELED);
    }

    pub(crate) fn cancel_cause(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        self.end(&Reason::caused_by(cause));
    }

    fn end(&self, reason: &Reason) {
        if let Some(core) = self.0.core() {
            core.cancel(reason);
        }
    }
}

impl Deref for CancelContext {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.ctx
    }
}

impl AsRef<Context> for CancelContext {
    fn as_ref(&self) -> &Context {
        &self.ctx
    }
}

impl Drop for CancelContext {
    fn drop(&mut self) {
        if !self.detached {
            self.cancel();
        }
    }
}

impl fmt::Debug for CancelContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.ctx, f)
    }
}

impl fmt::Display for CancelContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ctx, f)
    }
}
