//! Groups: goroutines that work on parts of one task and may fail.
//!
//! [`Group`] collects goroutines that return `Result<(), E>`: [`wait`](Group::wait) waits for all and returns the first
//! error; [`with_context`](Group::with_context) also tells the others, through a [`Context`], that there is no
//! point in going on. [`scope()`] is the same for goroutines that borrow.
//!
//! In Go: `golang.org/x/sync/errgroup`.

mod places;
mod scoped;

pub use scoped::{ScopedGroup, scope, scope_with_context};

use self::places::{Places, Take, Taken};
use crate::context::{CancelContext, Canceller, Context};
use crate::spawn::Goexit;
use crate::sync::{WaitGroup, WaitGroupFuture};
use crate::sys::global::{Mutex, lock};
use crate::wait::{WaitReason, wait_for};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};

/// Goroutines that may fail, and the first of their errors.
///
/// An error stops nobody by itself: later [`go`](Group::go) calls still run, and those that run are told by the
/// context alone, if the group has one.
///
/// # Panics in goroutines
///
/// A panic is handed to [`wait`](Group::wait), which raises it again when all have finished; before that the context
/// is cancelled. A goroutine that calls [`goexit`](crate::goexit) has ended without an error.
///
/// # Example
///
/// ```
/// use gosched::group::Group;
///
/// let group = Group::new();
/// for n in [1, 2, 3] {
///     group.go(move || if n == 2 { Err(format!("{n} is even")) } else { Ok(()) });
/// }
/// assert_eq!(group.wait(), Err("2 is even".to_owned()));
/// ```
///
/// In Go: `errgroup.Group`; there a panic ends the process.
pub struct Group<E> {
    shared: Arc<Shared<E>>,
    running: WaitGroup,
    /// Cancels the context when the group is dropped: nobody will ask for what its goroutines do.
    _owner: Option<CancelContext>,
}

/// What the goroutines of a group have in common.
struct Shared<E> {
    places: Arc<Places>,
    failure: Mutex<Failure<E>>,
    context: Option<GroupContext<E>>,
}

/// The first error. It is decided which one that is before its cause is made, by the user's code, outside the lock.
enum Failure<E> {
    None,
    Decided,
    Error(E),
}

struct GroupContext<E> {
    canceller: Canceller,
    to_cause: fn(&E) -> Box<dyn Error + Send + Sync>,
}

impl<E: Clone + Into<Box<dyn Error + Send + Sync>>> GroupContext<E> {
    fn new(owner: &CancelContext) -> Self {
        Self { canceller: owner.canceller(), to_cause: |error| error.clone().into() }
    }
}

impl<E> Shared<E> {
    fn new(context: Option<GroupContext<E>>) -> Arc<Self> {
        Arc::new(Self { places: Places::new(), failure: Mutex::new(Failure::None), context })
    }

    /// Runs a goroutine's function and takes note of how it ends. A panic is passed on.
    fn run(&self, f: impl FnOnce() -> Result<(), E>) {
        // With the making of the cause, which is the user's code too.
        let ran = catch_unwind(AssertUnwindSafe(|| match f() {
            Ok(()) => {}
            Err(error) => self.failed(error),
        }));
        if let Err(payload) = ran {
            if let Some(context) = &self.context
                && !payload.is::<Goexit>()
            {
                context.canceller.cancel_cause("a goroutine of the group panicked");
            }
            resume_unwind(payload);
        }
    }

    fn failed(&self, error: E) {
        let mut failure = lock(&self.failure);
        if !matches!(*failure, Failure::None) {
            // A user's value: dropped after the lock.
            drop(failure);
            return drop(error);
        }
        *failure = Failure::Decided;
        drop(failure);
        let cause = self.context.as_ref().map(|context| (&context.canceller, (context.to_cause)(&error)));
        let before = std::mem::replace(&mut *lock(&self.failure), Failure::Error(error));
        // A wait that ended meanwhile may have let another be the first: a user's value, dropped after the lock.
        drop(before);
        // Kept before anybody is told.
        if let Some((canceller, cause)) = cause {
            canceller.cancel_cause(cause);
        }
    }

    /// All have finished.
    fn finish(&self) -> Result<(), E> {
        self.cancel();
        match std::mem::replace(&mut *lock(&self.failure), Failure::None) {
            Failure::Error(error) => Err(error),
            _ => Ok(()),
        }
    }

    fn cancel(&self) {
        if let Some(context) = &self.context {
            context.canceller.cancel();
        }
    }

    #[track_caller]
    fn set_limit(&self, limit: Option<usize>) {
        if let Err(active) = self.places.set_limit(limit) {
            panic!("errgroup: modify limit while {active} goroutines in the group are still active");
        }
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name).field("active", &self.places.active()).finish_non_exhaustive()
    }
}

impl<E: Send + 'static> Group<E> {
    /// A group without a context and without a limit.
    ///
    /// For an example see the [type](Group).
    ///
    /// In Go: the zero `errgroup.Group`.
    pub fn new() -> Self {
        Self { shared: Shared::new(None), running: WaitGroup::new(), _owner: None }
    }

    /// A group and a context derived from `ctx` for its goroutines. That context is cancelled by the first error, with
    /// the error as its [cause](Context::cause), by a panic, and when the first [`wait`](Group::wait) has ended or
    /// the group is dropped.
    ///
    /// ```
    /// use gosched::context::{Context, ContextError};
    /// use gosched::group::Group;
    /// use gosched::time::sleep_async;
    /// use std::time::Duration;
    ///
    /// let (group, ctx) = Group::with_context(&Context::background());
    /// group.go(|| Err("no such host"));
    /// group.go({
    ///     let ctx = ctx.clone();
    ///     move || {
    ///         // Would take an hour.
    ///         let slept = ctx.wait(sleep_async(Duration::from_secs(3600)));
    ///         assert_eq!(slept, Err(ContextError::Canceled));
    ///         Ok(())
    ///     }
    /// });
    /// assert_eq!(group.wait(), Err("no such host"));
    /// assert_eq!(ctx.cause().unwrap().to_string(), "no such host");
    /// ```
    ///
    /// In Go: `errgroup.WithContext`.
    pub fn with_context(ctx: &Context) -> (Self, Context)
    where
        E: Clone + Into<Box<dyn Error + Send + Sync>>,
    {
        let owner = ctx.with_cancel();
        let ctx = owner.clone();
        let shared = Shared::new(Some(GroupContext::new(&owner)));
        (Self { shared, running: WaitGroup::new(), _owner: Some(owner) }, ctx)
    }

    /// Lets at most `limit` goroutines of this group run at a time; `None` means any number, and 0 none at all.
    ///
    /// # Panics
    ///
    /// With Go's text if goroutines of the group are running.
    ///
    /// ```
    /// let group = gosched::group::Group::<String>::new();
    /// group.set_limit(2);
    /// for _ in 0..10 {
    ///     // Waits while two of them run.
    ///     group.go(|| Ok(()));
    /// }
    /// assert_eq!(group.wait(), Ok(()));
    /// ```
    ///
    /// In Go: `SetLimit`, with -1 for `None`.
    #[track_caller]
    pub fn set_limit(&self, limit: impl Into<Option<usize>>) {
        self.shared.set_limit(limit.into());
    }

    /// Runs `f` in a goroutine of the group. Waits for a place if there is a limit; those who wait are served first
    /// come first served.
    ///
    /// # Panics
    ///
    /// If no goroutine can be started, as [`go`](crate::go) does.
    ///
    /// # Cancellation
    ///
    /// Waiting for the place can be cancelled if done by itself: see [`place_async`](Group::place_async).
    ///
    /// ```
    /// let group = gosched::group::Group::new();
    /// group.go(|| "seven".parse::<u32>().map(drop));
    /// assert!(group.wait().is_err());
    /// ```
    ///
    /// In Go: `Go`.
    #[track_caller]
    pub fn go(&self, f: impl FnOnce() -> Result<(), E> + Send + 'static) {
        let place = match self.shared.places.try_take() {
            Some(place) => place,
            None => wait_for(WaitReason::GroupPlace, pin!(self.shared.places.take())),
        };
        self.start(place, f);
    }

    /// The same if that is possible without waiting: false if there is no place.
    ///
    /// # Panics
    ///
    /// If no goroutine can be started, as [`go`](crate::go) does.
    ///
    /// ```
    /// let group = gosched::group::Group::<String>::new();
    /// group.set_limit(0);
    /// assert!(!group.try_go(|| Ok(())));
    /// ```
    ///
    /// In Go: `TryGo`.
    #[track_caller]
    pub fn try_go(&self, f: impl FnOnce() -> Result<(), E> + Send + 'static) -> bool {
        match self.shared.places.try_take() {
            Some(place) => {
                self.start(place, f);
                true
            }
            None => false,
        }
    }

    /// Waits for a place among the goroutines of the group, which [`Place::go`] then uses: the two halves of
    /// [`go`](Group::go), so that the first can be awaited, and cancelled.
    ///
    /// ```
    /// use gosched::{context::Context, group::Group};
    /// use std::time::Duration;
    ///
    /// let group = Group::<String>::new();
    /// group.set_limit(0);
    /// let ctx = Context::background().with_timeout(Duration::from_millis(5));
    /// match ctx.wait(group.place_async()) {
    ///     Ok(place) => place.go(|| Ok(())),
    ///     Err(why) => assert_eq!(why.to_string(), "context deadline exceeded"),
    /// }
    /// ```
    pub fn place_async(&self) -> PlaceFuture<'_, E> {
        PlaceFuture { group: self, take: self.shared.places.take() }
    }

    #[track_caller]
    fn start(&self, place: Taken, f: impl FnOnce() -> Result<(), E> + Send + 'static) {
        let shared = self.shared.clone();
        self.running.go(move || {
            // Given back at the end, also by a panic, and also if this never runs.
            let _place = place;
            shared.run(f);
        });
    }

    /// Waits until all goroutines of the group have ended. The group may be used again; its context remains cancelled.
    ///
    /// # Errors
    ///
    /// The first error. It is handed over: a later wait, or another one at the same time, does not see it.
    ///
    /// # Panics
    ///
    /// Raises the first panic of a goroutine again, before any error is returned.
    ///
    /// # Cancellation
    ///
    /// A wait that is given up, by `ctx.wait(group.wait_async())`, leaves error and panic to the next one.
    ///
    /// ```
    /// let group = gosched::group::Group::new();
    /// group.go(|| Err("so it goes"));
    /// assert_eq!(group.wait(), Err("so it goes"));
    /// assert_eq!(group.wait(), Ok(()), "it has been handed over");
    /// ```
    ///
    /// In Go: `Wait`, which goes on returning the same error.
    #[track_caller]
    pub fn wait(&self) -> Result<(), E> {
        wait_for(WaitReason::WaitGroupWait, pin!(self.wait_async()))
    }

    /// The async form of [`wait`](Group::wait).
    ///
    /// ```
    /// # use gosched::group::Group;
    /// let group = Group::new();
    /// group.go(|| Err("so it goes"));
    /// assert_eq!(gosched::wait(group.wait_async()), Err("so it goes"));
    /// ```
    pub fn wait_async(&self) -> GroupFuture<'_, E> {
        GroupFuture { shared: &self.shared, wait: self.running.wait_async() }
    }
}

impl<E: Send + 'static> Default for Group<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug("Group", f)
    }
}

/// Waits for the goroutines of a [`Group`]; from [`Group::wait_async`].
///
/// # Cancellation
///
/// Dropping it loses nothing: the error, or the panic, is kept for the next wait.
///
/// # Example
///
/// ```
/// use gosched::{chan, context::{ContextError, background}, group::Group};
/// use std::time::Duration;
///
/// let group = Group::new();
/// let (release, hold) = chan::bounded::<()>(0);
/// group.go(move || hold.recv());
/// let ctx = background().with_timeout(Duration::from_millis(1));
/// assert_eq!(ctx.wait(group.wait_async()), Err(ContextError::DeadlineExceeded));
/// drop(release);
/// assert_eq!(group.wait(), Err(chan::RecvError), "the next wait gets the error");
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct GroupFuture<'a, E> {
    shared: &'a Shared<E>,
    wait: WaitGroupFuture<'a>,
}

impl<E> Future for GroupFuture<'_, E> {
    type Output = Result<(), E>;

    /// # Panics
    ///
    /// Raises the first panic of a goroutine again.
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Result<(), E>> {
        let shared = self.shared;
        // SAFETY: `wait` is pinned with us: it is never moved out, and dropped in place.
        let wait = unsafe { self.map_unchecked_mut(|this| &mut this.wait) };
        match catch_unwind(AssertUnwindSafe(|| wait.poll(cx))) {
            Ok(polled) => {
                ready!(polled);
                Poll::Ready(shared.finish())
            }
            Err(payload) => {
                shared.cancel();
                resume_unwind(payload)
            }
        }
    }
}

impl<E> fmt::Debug for GroupFuture<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug("GroupFuture", f)
    }
}

/// The right to start one goroutine in a [`Group`]; from [`Group::place_async`]. Dropping it gives it back.
///
/// ```
/// use gosched::group::{Group, Place};
///
/// let group = Group::<String>::new();
/// group.set_limit(1);
/// let place: Place<'_, String> = gosched::wait(group.place_async());
/// assert!(!group.try_go(|| Ok(())), "it is taken");
/// drop(place);
/// assert!(group.try_go(|| Ok(())));
/// group.wait().unwrap();
/// ```
///
/// In Go: nothing; `Go` waits for the place itself.
#[must_use = "the place is given back when this is dropped"]
pub struct Place<'a, E> {
    group: &'a Group<E>,
    taken: Taken,
}

impl<E: Send + 'static> Place<'_, E> {
    /// Runs `f` in a goroutine of the group.
    ///
    /// # Panics
    ///
    /// If no goroutine can be started, as [`go`](crate::go) does.
    ///
    /// ```
    /// let group = gosched::group::Group::new();
    /// gosched::wait(group.place_async()).go(|| Err("no such host"));
    /// assert_eq!(group.wait(), Err("no such host"));
    /// ```
    #[track_caller]
    pub fn go(self, f: impl FnOnce() -> Result<(), E> + Send + 'static) {
        self.group.start(self.taken, f);
    }
}

impl<E> fmt::Debug for Place<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.shared.debug("Place", f)
    }
}

/// Waits for a place in a [`Group`]; from [`Group::place_async`].
///
/// # Cancellation
///
/// Dropping it loses no place: one that it was given goes to the next who waits.
///
/// # Example
///
/// ```
/// use gosched::{group::Group, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let group = Group::<String>::new();
/// group.set_limit(1);
/// let place = gosched::wait(group.place_async());
/// assert!(matches!(timeout(Duration::from_millis(1), group.place_async()), Err(Elapsed)));
/// drop(place);
/// assert!(group.try_go(|| Ok(())), "no place is lost");
/// group.wait().unwrap();
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct PlaceFuture<'a, E> {
    group: &'a Group<E>,
    take: Take,
}

impl<'a, E> Future for PlaceFuture<'a, E> {
    type Output = Place<'a, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Place<'a, E>> {
        let taken = ready!(Pin::new(&mut self.take).poll(cx));
        Poll::Ready(Place { group: self.group, taken })
    }
}

impl<E> fmt::Debug for PlaceFuture<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.shared.debug("PlaceFuture", f)
    }
}
