//! Contexts: telling everything that belongs to one task that it is over, and why.
//!
//! A [`Context`] carries a deadline, a signal that the work is no longer wanted, and values, from the place where a
//! task begins to all that work on it. Contexts form a tree: what is derived from a context ends when that one
//! ends, at the latest.
//!
//! ```
//! use gosched::context::{Context, ContextError};
//! use gosched::{chan, go};
//! use std::time::Duration;
//!
//! fn search(ctx: &Context, found: chan::Receiver<u32>) -> Result<u32, ContextError> {
//!     // Any blocking operation, and any future, can be waited for under a context.
//!     Ok(ctx.wait(found.recv_async())?.unwrap_or(0))
//! }
//!
//! gosched::run(|| {
//!     let (_tx, rx) = chan::bounded(0);
//!     let ctx = Context::background().with_timeout(Duration::from_millis(5));
//!     assert_eq!(search(&ctx, rx), Err(ContextError::DeadlineExceeded));
//! });
//! ```
//!
//! # The owner
//!
//! Each `with_*` method that makes something to cancel returns a [`CancelContext`]: it is the context, and cancels
//! when it is dropped. Go returns the context and a `cancel` function, which everybody must remember to call on
//! every way out:
//!
//! ```go
//! ctx, _ := context.WithTimeout(parent, time.Minute) // the classic mistake: it cannot be cancelled,
//! return query(ctx)                                  // and its timer and all below it stay for a minute
//! ```
//!
//! Here that cannot be written by accident:
//!
//! ```
//! # use gosched::context::{Context, ContextError};
//! # fn query(_: &Context) {}
//! # let parent = Context::background();
//! let seen = {
//!     let ctx = parent.with_timeout(std::time::Duration::from_secs(60));
//!     query(&ctx);
//!     ctx.clone() // a plain Context, for whoever goes on asking
//! }; // cancelled here: the timer is gone, and whatever query has started is told
//! assert_eq!(seen.err(), Some(ContextError::Canceled));
//! ```
//!
//! The other side of it: an owner that is not kept cancels at once. `parent.with_cancel().clone()` is a context
//! that is already done; bind the owner to a variable first, or [`detach`](CancelContext::detach) it.
//!
//! # What is promised
//!
//! - When a cancel returns, everything derived is done: `done()` is closed, `err()` is set (X13).
//! - `err()` is set if and only if `done()` is closed; neither changes any more (X14, X15).
//! - What was done before the cancel is seen by whoever sees the context done.
//! - Nothing here costs a goroutine; a deadline is one entry in the process's timers (or with the
//!   [clock](crate::time::clock) by which whoever sets it goes), and goes with its context (X17, X18, X22). A child that has ended, or that nobody uses any more, is gone from its parent at once.
//! - Cancelling a tree of any size or depth needs little stack, and waits for nobody.
//!
//! In Go: package `context`.

mod after;
mod core;
mod entries;
mod error;
mod owner;
mod show;
mod signal;
#[cfg(test)]
#[allow(non_snake_case)]
mod tests;
mod wait;

pub use after::Stop;
pub use error::{Cause, ContextError};
pub use owner::CancelContext;
pub(crate) use owner::Canceller;
pub use signal::{SignalReceived, signal_context};
pub use wait::ContextWait;

use self::core::Core;
use crate::chan::{Receiver, never};
use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A deadline, a signal of cancellation, and values: what a piece of work gets from whoever wants it done.
///
/// Clones are the same context; cloning costs one atomic addition. See the [module](self) for what is promised, and
/// [`CancelContext`] for who cancels.
///
/// Pass it as the first parameter, by reference. Goroutines and futures that outlive the call take a clone.
///
/// ```
/// use gosched::context::{Context, background};
///
/// fn work(ctx: &Context) -> &'static str {
///     if ctx.err().is_some() { "stopped" } else { "worked" }
/// }
/// let ctx = background().with_cancel();
/// assert_eq!(work(&ctx), "worked");
/// ctx.cancel();
/// assert_eq!(work(&ctx), "stopped");
/// ```
///
/// In Go: `context.Context`.
#[derive(Clone, Default)]
pub struct Context(Repr);

#[derive(Clone, Default)]
enum Repr {
    #[default]
    Background,
    Todo,
    Node(Arc<Node>),
}

/// One step away from the root.
struct Node {
    parent: Context,
    /// What cancels it: its own, or that of its nearest ancestor that can be cancelled.
    core: Option<Arc<Core>>,
    kind: Kind,
}

enum Kind {
    /// With a core of its own.
    Cancel,
    /// The same, with an earlier deadline than its parent's.
    Deadline(Instant),
    Value(Value),
    WithoutCancel,
}

struct Value {
    value: Box<dyn Any + Send + Sync>,
    type_name: &'static str,
}

// What is shared is behind locks and atomics that no panic leaves half changed, or is never changed.
impl UnwindSafe for Context {}
impl RefUnwindSafe for Context {}

/// The clock of all deadlines here.
fn now() -> Instant {
    crate::clock::now()
}

/// [`Context::background`], by Go's name.
///
/// ```
/// use gosched::context::background;
///
/// assert_eq!(background().with_cancel().err(), None);
/// ```
///
/// In Go: `context.Background()`.
pub fn background() -> Context {
    Context::background()
}

impl Context {
    /// The root of all contexts: never done, without deadline or values.
    ///
    /// ```
    /// use gosched::context::Context;
    ///
    /// static ROOT: Context = Context::background();
    /// assert_eq!((ROOT.err(), ROOT.deadline()), (None, None));
    /// ```
    ///
    /// In Go: `context.Background()`.
    pub const fn background() -> Self {
        Context(Repr::Background)
    }

    /// The same by another name, for places where it is not yet clear which context to use.
    ///
    /// ```
    /// assert_eq!(gosched::context::Context::todo().to_string(), "context.TODO");
    /// ```
    ///
    /// In Go: `context.TODO()`.
    pub const fn todo() -> Self {
        Context(Repr::Todo)
    }

    fn node(&self) -> Option<&Arc<Node>> {
        match &self.0 {
            Repr::Node(node) => Some(node),
            _ => None,
        }
    }

    fn core(&self) -> Option<&Arc<Core>> {
        self.node().and_then(|node| node.core.as_ref())
    }

    fn derive(&self, core: Option<Arc<Core>>, kind: Kind) -> Context {
        Context(Repr::Node(Arc::new(Node { parent: self.clone(), core, kind })))
    }

    fn derive_owner(&self, deadline: Option<(Instant, Option<Cause>)>) -> CancelContext {
        let own = deadline.as_ref().map(|(at, _)| *at);
        let core = Core::new(self.core(), deadline);
        let kind = match own {
            Some(at) if self.deadline().is_none_or(|inherited| at < inherited) => Kind::Deadline(at),
            _ => Kind::Cancel,
        };
        CancelContext::new(self.derive(Some(core), kind))
    }

    /// A child that can be cancelled.
    ///
    /// ```
    /// use gosched::context::{Context, ContextError};
    ///
    /// let ctx = Context::background().with_cancel();
    /// let child = ctx.with_cancel();
    /// assert_eq!(child.err(), None);
    /// ctx.cancel();
    /// assert_eq!(child.err(), Some(ContextError::Canceled));
    /// ```
    ///
    /// In Go: `context.WithCancel`.
    pub fn with_cancel(&self) -> CancelContext {
        self.derive_owner(None)
    }

    /// The same as [`with_cancel`](Context::with_cancel): every owner can
    /// [`cancel_cause`](CancelContext::cancel_cause).
    ///
    /// ```
    /// let ctx = gosched::context::background().with_cancel_cause();
    /// ctx.cancel_cause("not wanted any more");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "not wanted any more");
    /// ```
    ///
    /// In Go: `context.WithCancelCause`.
    pub fn with_cancel_cause(&self) -> CancelContext {
        self.with_cancel()
    }

    /// A child that is done after `timeout` at the latest, with
    /// [`DeadlineExceeded`](ContextError::DeadlineExceeded); at once if that is zero. A time too far away to be
    /// told sets none.
    ///
    /// # Panics
    ///
    /// If the process's timer thread is to be started and cannot.
    ///
    /// ```
    /// use gosched::context::{ContextError, background};
    /// use std::time::Duration;
    ///
    /// let ctx = background().with_timeout(Duration::from_millis(1));
    /// assert!(ctx.done().recv().is_err(), "closed when it is done");
    /// assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
    /// ```
    ///
    /// In Go: `context.WithTimeout`.
    pub fn with_timeout(&self, timeout: Duration) -> CancelContext {
        self.derive_owner(now().checked_add(timeout).map(|at| (at, None)))
    }

    /// The same with the [cause](Context::cause) it then has. Only the passing of the time sets it.
    ///
    /// ```
    /// use gosched::context::Context;
    /// use std::time::Duration;
    ///
    /// let ctx = Context::background().with_timeout_cause(Duration::ZERO, "the oracle was too slow");
    /// assert_eq!(ctx.err().unwrap().to_string(), "context deadline exceeded");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "the oracle was too slow");
    /// ```
    ///
    /// In Go: `context.WithTimeoutCause`.
    pub fn with_timeout_cause(
        &self,
        timeout: Duration,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> CancelContext {
        let cause = Cause::from(cause.into());
        self.derive_owner(now().checked_add(timeout).map(|at| (at, Some(cause))))
    }

    /// A child that is done at `deadline` at the latest, with
    /// [`DeadlineExceeded`](ContextError::DeadlineExceeded); at once if that has passed. An earlier deadline of its
    /// parent remains in force.
    ///
    /// # Panics
    ///
    /// If the process's timer thread is to be started and cannot.
    ///
    /// ```
    /// use gosched::{context::background, time::now};
    /// use std::time::Duration;
    ///
    /// let soon = now() + Duration::from_secs(60);
    /// let ctx = background().with_deadline(soon);
    /// let child = ctx.with_deadline(soon + Duration::from_secs(60));
    /// assert_eq!(child.deadline(), Some(soon), "the parent's is earlier");
    /// ```
    ///
    /// In Go: `context.WithDeadline`.
    pub fn with_deadline(&self, deadline: Instant) -> CancelContext {
        self.derive_owner(Some((deadline, None)))
    }

    /// The same with the [cause](Context::cause) it then has. Only the passing of the time sets it.
    ///
    /// ```
    /// use gosched::{context::background, time::now};
    ///
    /// let ctx = background().with_deadline_cause(now(), "closing time");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "closing time");
    /// ```
    ///
    /// In Go: `context.WithDeadlineCause`.
    pub fn with_deadline_cause(
        &self,
        deadline: Instant,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> CancelContext {
        self.derive_owner(Some((deadline, Some(Cause::from(cause.into())))))
    }

    /// A child that carries a value, found by its type. It hides a value of the same type further up. Give values
    /// types of their own: a `u64` would be found by everybody who looks for one.
    ///
    /// ```
    /// use gosched::context::Context;
    ///
    /// struct User(&'static str);
    ///
    /// let ctx = Context::background().with_value(User("gopher"));
    /// assert_eq!(ctx.with_cancel().value::<User>().unwrap().0, "gopher");
    /// assert!(ctx.value::<u64>().is_none());
    /// ```
    ///
    /// In Go: `context.WithValue`, where the key is a value of a type of its own.
    pub fn with_value<T: Any + Send + Sync>(&self, value: T) -> Context {
        let value = Value { value: Box::new(value), type_name: std::any::type_name::<T>() };
        self.derive(self.core().cloned(), Kind::Value(value))
    }

    /// A child with the same values that does not end with its parent: no deadline, no error, no cause. For what
    /// has to be done after the end, such as tidying up.
    ///
    /// ```
    /// let ctx = gosched::context::background().with_value("request 7").with_cancel();
    /// let tidy = ctx.without_cancel();
    /// ctx.cancel();
    /// assert_eq!((tidy.err(), tidy.value::<&str>()), (None, Some(&"request 7")));
    /// ```
    ///
    /// In Go: `context.WithoutCancel`.
    pub fn without_cancel(&self) -> Context {
        self.derive(None, Kind::WithoutCancel)
    }

    /// A channel that is closed when the context is done: receive from it, in a `select!` for instance. Nothing is
    /// ever sent on it. That of a context which is never done is [`never()`]. It is always the same channel. A clone of it
    /// may outlive the context's handles: it is closed when the context would be done.
    ///
    /// ```
    /// use gosched::{chan, context::Context, go, select};
    ///
    /// gosched::run(|| {
    ///     let ctx = Context::background().with_cancel();
    ///     let (tx, rx) = chan::bounded(0);
    ///     let worker = go({
    ///         let ctx = ctx.clone();
    ///         move || {
    ///             select! {
    ///                 recv(ctx.done()) -> _ => "told to stop",
    ///                 recv(rx) -> job => job.unwrap(),
    ///             }
    ///         }
    ///     });
    ///     ctx.cancel();
    ///     assert_eq!(worker.join().unwrap(), "told to stop");
    ///     drop(tx);
    /// });
    /// ```
    ///
    /// In Go: `ctx.Done()`.
    pub fn done(&self) -> &Receiver<Infallible> {
        static NEVER: Receiver<Infallible> = never();
        self.core().map_or(&NEVER, |core| core.done())
    }

    /// Why the context is done; `None` while it is not.
    ///
    /// In Go: `ctx.Err()`.
    pub fn err(&self) -> Option<ContextError> {
        self.core()?.error()
    }

    /// The reason for which it, or the ancestor that took it along, was ended: what was given to
    /// [`cancel_cause`](CancelContext::cancel_cause) or to a deadline, else the [`ContextError`] itself. The first
    /// one counts. `None` while it is not done.
    ///
    /// ```
    /// use gosched::context::background;
    ///
    /// let ctx = background().with_cancel();
    /// let child = ctx.with_cancel();
    /// ctx.cancel_cause("enough");
    /// child.cancel_cause("too late");
    /// assert_eq!(child.cause().unwrap().to_string(), "enough");
    /// ```
    ///
    /// In Go: `context.Cause(ctx)`.
    pub fn cause(&self) -> Option<Cause> {
        self.core()?.cause()
    }

    /// When it will be done at the latest, if there is such a time.
    ///
    /// In Go: `ctx.Deadline()`.
    pub fn deadline(&self) -> Option<Instant> {
        self.core()?.deadline()
    }

    /// The value of type `T` that was added last, here or further up. It takes time in proportion to the distance.
    ///
    /// In Go: `ctx.Value(key)`.
    pub fn value<T: Any + Send + Sync>(&self) -> Option<&T> {
        let mut node = self.node();
        while let Some(here) = node {
            if let Kind::Value(value) = &here.kind
                && let Some(value) = value.value.downcast_ref()
            {
                return Some(value);
            }
            node = here.parent.node();
        }
        None
    }

    /// Runs `f` in a goroutine of its own once the context is done; now, if it is. Each call is a registration of
    /// its own. [`Stop::stop`] takes it back; dropping the [`Stop`] does not.
    ///
    /// The goroutine belongs to the runtime of the caller; to the default runtime if there is none, or if that one
    /// has been shut down by then. A panic of `f` ends that goroutine, and is printed with this place. If the
    /// context can never be done, or everybody who could end it has gone, `f` is dropped. (So keep the context itself
    /// out of `f` if its owner is detached: it would keep itself alive.)
    ///
    /// ```
    /// use gosched::{chan, context::Context};
    ///
    /// gosched::run(|| {
    ///     let ctx = Context::background().with_cancel();
    ///     let (tx, rx) = chan::bounded(1);
    ///     let other = ctx.after_func(|| unreachable!("it was taken back"));
    ///     ctx.after_func(move || tx.send("cleaned up").unwrap());
    ///     assert!(other.stop());
    ///     ctx.cancel();
    ///     assert_eq!(rx.recv(), Ok("cleaned up"));
    /// });
    /// ```
    ///
    /// In Go: `context.AfterFunc`.
    #[track_caller]
    pub fn after_func(&self, f: impl FnOnce() + Send + 'static) -> Stop {
        after::register(self.core(), after::Func::new(f))
    }

    /// Waits for `future`, but not longer than until the context is done; blocks like [`gosched::wait`](crate::wait).
    /// The future is dropped then, which cancels it: every waiting operation of this library may be cancelled so.
    ///
    /// ```
    /// use gosched::context::{Context, ContextError};
    /// use gosched::sync::{LockAsync, Mutex};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(1);
    /// let ctx = Context::background().with_timeout(Duration::from_millis(5));
    /// let held = ctx.wait(mutex.lock_async()).unwrap();
    /// assert_eq!(ctx.wait(mutex.lock_async()).map(|guard| *guard), Err(ContextError::DeadlineExceeded));
    /// # drop(held);
    /// ```
    ///
    /// # Errors
    ///
    /// Why the context is done. If it was when the call began, the future has not been polled. If both come
    /// together, the future's output is returned.
    ///
    /// # Panics
    ///
    /// A panic of the future is passed on.
    ///
    /// # Cancellation
    ///
    /// What became of a future that was dropped, its own documentation says. Of this library's, those that take
    /// something have not taken it; a send that was dropped has either not happened, and its message is dropped, or
    /// has been received in that very moment.
    ///
    /// In Go: nothing; there a lock or a wait group cannot be given up, and channels need a `select` each.
    #[track_caller]
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output, ContextError> {
        crate::wait::wait(self.wait_async(future))
    }

    /// The async form of [`wait`](Context::wait).
    ///
    /// ```
    /// use gosched::context::{ContextError, background};
    /// use gosched::time::sleep_async;
    /// use std::time::Duration;
    ///
    /// let ctx = background().with_timeout(Duration::from_millis(1));
    /// let slept = gosched::wait(async { ctx.wait_async(sleep_async(Duration::from_secs(60))).await });
    /// assert_eq!(slept, Err(ContextError::DeadlineExceeded));
    /// ```
    pub fn wait_async<F: Future>(&self, future: F) -> ContextWait<'_, F> {
        ContextWait::new(self, future)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let (Kind::Cancel | Kind::Deadline(_), Some(core)) = (&self.kind, &self.core) {
            core.release();
        }
        // The parents one after the other, not one inside the other: chains may be long.
        let mut parent = mem::take(&mut self.parent);
        while let Repr::Node(node) = parent.0 {
            parent = match Arc::into_inner(node) {
                Some(mut node) => mem::take(&mut node.parent),
                None => return,
            };
        }
    }
}
