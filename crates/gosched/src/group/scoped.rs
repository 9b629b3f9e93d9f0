//! Groups whose goroutines may borrow.

use super::places::Taken;
use super::{GroupContext, Shared};
use crate::context::CancelContext;
use crate::spawn::{self, Scope};
use crate::wait::{WaitReason, wait_for};
use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;

/// A group whose goroutines may borrow from the caller's stack. See [`scope()`]. Clones are the same group, for
/// goroutines that start others.
///
/// ```
/// use gosched::group::{ScopedGroup, scope};
///
/// fn count<'scope>(g: &ScopedGroup<'scope, '_, String>, word: &str, length: &'scope mut usize) {
///     let len = word.len();
///     g.go(move || {
///         *length = len;
///         Ok(())
///     });
/// }
/// let mut length = 0;
/// scope(|g| count(g, "gopher", &mut length)).unwrap();
/// assert_eq!(length, 6);
/// ```
///
/// In Go: nothing; see [`scope()`].
pub struct ScopedGroup<'scope, 'env, E> {
    scope: &'scope Scope<'scope, 'env>,
    shared: Arc<Shared<E>>,
}

impl<E> Clone for ScopedGroup<'_, '_, E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope, shared: self.shared.clone() }
    }
}

impl<'scope, E: Send + 'scope> ScopedGroup<'scope, '_, E> {
    /// As [`Group::set_limit`](super::Group::set_limit).
    ///
    /// # Panics
    ///
    /// With Go's text if goroutines of the group are running.
    #[track_caller]
    pub fn set_limit(&self, limit: impl Into<Option<usize>>) {
        self.shared.set_limit(limit.into());
    }

    /// As [`Group::go`](super::Group::go); `f` may borrow what outlives the scope.
    ///
    /// # Panics
    ///
    /// If no goroutine can be started, as [`go`](crate::go) does.
    ///
    /// # Cancellation
    ///
    /// Waiting for a place cannot be cancelled; [`try_go`](ScopedGroup::try_go) does not wait.
    ///
    /// ```
    /// let word = String::from("gopher");
    /// gosched::group::scope(|g| {
    ///     g.go(|| if word.is_empty() { Err("an empty word") } else { Ok(()) });
    /// })?;
    /// # Ok::<(), &str>(())
    /// ```
    #[track_caller]
    pub fn go(&self, f: impl FnOnce() -> Result<(), E> + Send + 'scope) {
        let place = match self.shared.places.try_take() {
            Some(place) => place,
            None => wait_for(WaitReason::GroupPlace, pin!(self.shared.places.take())),
        };
        self.start(place, f);
    }

    /// As [`Group::try_go`](super::Group::try_go); `f` may borrow what outlives the scope.
    ///
    /// # Panics
    ///
    /// If no goroutine can be started, as [`go`](crate::go) does.
    ///
    /// ```
    /// gosched::group::scope(|g| {
    ///     g.set_limit(0);
    ///     assert!(!g.try_go(|| Err("it does not run")));
    /// })?;
    /// # Ok::<(), &str>(())
    /// ```
    #[track_caller]
    pub fn try_go(&self, f: impl FnOnce() -> Result<(), E> + Send + 'scope) -> bool {
        match self.shared.places.try_take() {
            Some(place) => {
                self.start(place, f);
                true
            }
            None => false,
        }
    }

    #[track_caller]
    fn start(&self, place: Taken, f: impl FnOnce() -> Result<(), E> + Send + 'scope) {
        let shared = self.shared.clone();
        // The scope waits for it, and raises its panic.
        self.scope.go(move || {
            let _place = place;
            shared.run(f);
        });
    }
}

impl<E> fmt::Debug for ScopedGroup<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug("ScopedGroup", f)
    }
}

/// Runs `f` with a group whose goroutines may borrow from the caller's stack, and waits for all of them.
///
/// Cannot be cancelled: it returns, or unwinds, only when every goroutine of the group has ended.
///
/// # Errors
///
/// The first error of a goroutine; else what `f` returns is returned.
///
/// # Panics
///
/// A panic of `f` is passed on after the goroutines have ended; else the first panic of a goroutine is raised again.
///
/// # Examples
///
/// ```
/// let words = ["one", "two", "three"];
/// let mut lengths = [0; 3];
/// gosched::group::scope(|g| {
///     for (word, length) in words.iter().zip(&mut lengths) {
///         g.go(move || {
///             *length = word.len();
///             if word.is_empty() { Err("an empty word") } else { Ok(()) }
///         });
///     }
/// })?;
/// assert_eq!(lengths, [3, 3, 5]);
/// # Ok::<(), &str>(())
/// ```
///
/// In Go: nothing; an `errgroup` there may be left without waiting.
#[track_caller]
pub fn scope<'env, E, F, T>(f: F) -> Result<T, E>
where
    E: Send + 'env,
    F: for<'scope> FnOnce(&ScopedGroup<'scope, 'env, E>) -> T,
{
    run(Shared::new(None), f)
}

/// The same with a context for its goroutines: the first error cancels it, with the error as its
/// [cause](crate::context::Context::cause); so do a panic, and the end of the scope.
///
/// ```
/// use gosched::{context::Context, group, time::sleep_async};
/// use std::time::Duration;
///
/// let ctx = Context::background().with_cancel();
/// let result = group::scope_with_context(&ctx, |g| {
///     g.go(|| Err("no such host"));
///     // Would take an hour.
///     g.go(|| ctx.wait(sleep_async(Duration::from_secs(3600))).map_err(|_| "cancelled"));
/// });
/// assert_eq!(result, Err("no such host"));
/// assert_eq!(ctx.cause().unwrap().to_string(), "no such host");
/// ```
///
/// # Errors
///
/// As for [`scope()`].
///
/// # Panics
///
/// As for [`scope()`].
#[track_caller]
pub fn scope_with_context<'env, E, F, T>(ctx: &CancelContext, f: F) -> Result<T, E>
where
    E: Clone + Into<Box<dyn Error + Send + Sync>> + Send + 'env,
    F: for<'scope> FnOnce(&ScopedGroup<'scope, 'env, E>) -> T,
{
    run(Shared::new(Some(GroupContext::new(ctx))), f)
}

/// Tells the goroutines if the function that has started them panics.
struct CancelOnUnwind<'a, E>(&'a Shared<E>);

impl<E> Drop for CancelOnUnwind<'_, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

#[track_caller]
fn run<'env, E, F, T>(shared: Arc<Shared<E>>, f: F) -> Result<T, E>
where
    E: Send + 'env,
    F: for<'scope> FnOnce(&ScopedGroup<'scope, 'env, E>) -> T,
{
    let value = spawn::scope(|scope| {
        let _told = CancelOnUnwind(&shared);
        f(&ScopedGroup { scope, shared: shared.clone() })
    });
    shared.finish().map(|()| value)
}
