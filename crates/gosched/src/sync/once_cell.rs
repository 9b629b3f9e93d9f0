//! `OnceCell`: a value that is set once.

use super::raw_once::{Claim, Permit, RawOnce};
use crate::wait::{WaitReason, wait_deadline, wait_for};
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A value that is set at most once and shared from then on.
///
/// As `std::sync::OnceLock`, but those that wait for an initialisation by another are goroutines suspended,
/// threads parked or tasks pending, and the initialisation may be async
/// ([`get_or_init_async`](OnceCell::get_or_init_async)). One initialisation runs at a time. What it did happens
/// before each `get` that sees its value.
///
/// # Errors and panics
///
/// An initialisation that fails, panics or is dropped leaves the cell empty, and the next one that asks, or waits
/// already, tries with a function of its own. (In a [`Once`](super::Once) a panic counts as done; a cell has
/// nothing to show then.)
///
/// # Deadlocks
///
/// An initialisation that initialises or sets its own cell waits for itself, for ever.
///
/// # Cancellation
///
/// An async initialisation dropped halfway, its own or while it waits for another's, leaves the cell as if it had
/// not begun. One that has begun and is *forgotten* (`mem::forget`) holds up the others for ever.
///
/// # Example
///
/// ```
/// use gosched::sync::OnceCell;
///
/// static NAME: OnceCell<String> = OnceCell::new();
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "gopher".to_owned()), "gopher");
/// assert_eq!(NAME.set("another".to_owned()), Err("another".to_owned()));
/// ```
///
/// In Go: a `sync.Once` and a variable beside it.
pub struct OnceCell<T> {
    once: RawOnce,
    /// Written by whoever has the permit; initialised from `DONE` on.
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: sharing the cell shares the value (`Sync`), and lets one thread set what another takes out or drops
// (`Send`).
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

// A panic leaves the cell empty or set, never in between.
impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}
impl<T: UnwindSafe + RefUnwindSafe> RefUnwindSafe for OnceCell<T> {}

impl<T> OnceCell<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Self { once: RawOnce::new(), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The value, if it is set. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is done.
        self.once.is_done().then(|| unsafe { self.value_ref() })
    }

    /// The value, if it is set.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        match self.once.is_done() {
            // SAFETY: it is done, so the value is initialised, and `&mut self` makes the reference the only one.
            true => Some(unsafe { self.value.get_mut().assume_init_mut() }),
            false => None,
        }
    }

    /// Sets the value. Waits while another initialises the cell (in async code use
    /// [`get_or_init_async`](OnceCell::get_or_init_async)).
    ///
    /// # Errors
    ///
    /// Gives the value back if the cell is set already.
    ///
    /// # Cancellation
    ///
    /// The wait cannot be told to stop; `ctx.wait(cell.get_or_init_async(..))` can.
    ///
    /// ```
    /// let cell = gosched::sync::OnceCell::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert_eq!(cell.set(2), Err(2));
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("an initialisation runs once"));
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }

    /// The value; if it is not set, sets it to what `f` returns. Waits while another initialises the cell.
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; the cell is empty then.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(cell.get_or_init_async(..))` can.
    ///
    /// ```
    /// let cell = gosched::sync::OnceCell::new();
    /// assert_eq!(cell.get_or_init(|| 1), &1);
    /// assert_eq!(cell.get_or_init(|| 2), &1);
    /// ```
    ///
    /// In Go: `Once.Do` with a function that sets the variable.
    #[inline]
    #[track_caller]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value; if it is not set, sets it to what `f` returns. Waits while another initialises the cell.
    ///
    /// # Errors
    ///
    /// The error of `f`; the cell is empty then.
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; the cell is empty then.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(cell.get_or_try_init_async(..))` can.
    ///
    /// ```
    /// let cell = gosched::sync::OnceCell::new();
    /// assert!(cell.get_or_try_init(|| "x".parse::<u32>()).is_err());
    /// assert_eq!(cell.get_or_try_init(|| "7".parse::<u32>()), Ok(&7), "the next one tries again");
    /// ```
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.init_slow(f),
        }
    }

    /// [`get_or_init`](OnceCell::get_or_init) that waits for another's initialisation for at most `timeout`. `None` if
    /// that has not finished by then; `f` was not called. `f` itself is not cut short. (To limit an initialisation,
    /// put [`time::timeout`](crate::time::timeout) around [`get_or_init_async`](OnceCell::get_or_init_async).)
    ///
    /// A timeout too large for the clock means for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cell = gosched::sync::OnceCell::new();
    /// assert_eq!(cell.get_or_init_timeout(|| 42, Duration::ZERO), Some(&42));
    /// ```
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; the cell is empty then.
    #[track_caller]
    pub fn get_or_init_timeout(&self, f: impl FnOnce() -> T, timeout: Duration) -> Option<&T> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.get_or_init_deadline(f, deadline),
            None => Some(self.get_or_init(f)),
        }
    }

    /// [`get_or_init_timeout`](OnceCell::get_or_init_timeout) with a point in time.
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; the cell is empty then.
    #[track_caller]
    pub fn get_or_init_deadline(&self, f: impl FnOnce() -> T, deadline: Instant) -> Option<&T> {
        if let Some(value) = self.get() {
            return Some(value);
        }
        match wait_deadline(WaitReason::OnceWait, pin!(self.once.claim()), deadline) {
            Some(Some(permit)) => {
                let value = f();
                Some(self.fill(permit, value))
            }
            // Set by another; or the time is over, unless it was set just now.
            Some(None) | None => self.get(),
        }
    }

    #[cold]
    #[track_caller]
    fn init_slow<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match wait_for(WaitReason::OnceWait, pin!(self.once.claim())) {
            // SAFETY: it is done.
            None => Ok(unsafe { self.value_ref() }),
            // By a panic or an error the permit is dropped, and another may try.
            Some(permit) => {
                let value = f()?;
                Ok(self.fill(permit, value))
            }
        }
    }

    /// The value; if it is not set, sets it to what the future made by `f` yields.
    ///
    /// `f` is called, and its future polled, only if nobody else initialises the cell or has done so. Both run
    /// inside the polls of the future returned here; drop that, and another takes over with its own.
    ///
    /// ```
    /// use gosched::sync::OnceCell;
    ///
    /// let cell = OnceCell::new();
    /// let value = gosched::wait(cell.get_or_init_async(|| async { 6 * 7 }));
    /// assert_eq!(*value, 42);
    /// ```
    pub fn get_or_init_async<F, Fut>(&self, f: F) -> GetOrInit<'_, T, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        GetOrInit { init: Init::new(self, f) }
    }

    /// The same for an initialisation that may fail: then the cell is empty.
    ///
    /// ```
    /// let cell = gosched::sync::OnceCell::<u32>::new();
    /// gosched::wait(async {
    ///     assert_eq!(cell.get_or_try_init_async(|| async { Err("offline") }).await, Err("offline"));
    ///     assert_eq!(cell.get_or_try_init_async(|| async { Ok::<_, &str>(7) }).await, Ok(&7));
    /// });
    /// ```
    pub fn get_or_try_init_async<F, Fut, E>(&self, f: F) -> GetOrTryInit<'_, T, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        GetOrTryInit { init: Init::new(self, f) }
    }

    /// Takes the value out; the cell is empty then and may be set again.
    ///
    /// ```
    /// let mut cell = gosched::sync::OnceCell::from(1);
    /// assert_eq!(cell.take(), Some(1));
    /// assert_eq!(cell.set(2), Ok(()));
    /// ```
    pub fn take(&mut self) -> Option<T> {
        if !self.once.is_done() {
            return None;
        }
        // A new one: nobody waits, since `self` is borrowed mutably.
        self.once = RawOnce::new();
        // SAFETY: it was done, hence initialised; nobody takes it for that any more.
        Some(unsafe { self.value.get_mut().assume_init_read() })
    }

    /// The value, if it is set.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    fn fill(&self, permit: Permit<'_>, value: T) -> &T {
        // SAFETY: the permit is this cell's (it is made in one place for each caller) and lets us alone write;
        // nobody reads before `done`, which publishes it.
        unsafe { (*self.value.get()).write(value) };
        permit.done();
        // SAFETY: it is done.
        unsafe { self.value_ref() }
    }

    /// # Safety
    ///
    /// The cell was seen done.
    unsafe fn value_ref(&self) -> &T {
        // SAFETY: done means initialised, and there is no way back while the cell is shared.
        unsafe { (*self.value.get()).assume_init_ref() }
    }
}

impl<T> Drop for OnceCell<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self { once: RawOnce::done(), value: UnsafeCell::new(MaybeUninit::new(value)) }
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::new, |value| Self::from(value.clone()))
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceCell").field(value).finish(),
            None => f.debug_tuple("OnceCell").field(&format_args!("<uninit>")).finish(),
        }
    }
}

/// An async initialisation: waits for its turn, then polls the user's future.
struct Init<'a, T, F, Fut> {
    cell: &'a OnceCell<T>,
    /// Until it is called.
    f: Option<F>,
    claim: Claim<'a>,
    /// While it is our turn. In this order: dropped, the future goes first, then the others get their turn.
    running: Option<Fut>,
    permit: Option<Permit<'a>>,
    finished: bool,
}

impl<'a, T, F, Fut> Init<'a, T, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    fn new(cell: &'a OnceCell<T>, f: F) -> Self {
        Self { cell, f: Some(f), claim: cell.once.claim(), running: None, permit: None, finished: false }
    }

    fn poll_with<E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        convert: impl FnOnce(Fut::Output) -> Result<T, E>,
    ) -> Poll<Result<&'a T, E>> {
        // SAFETY: `claim` and `running` are pinned with us: neither is moved, both are dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(!this.finished, "an initialisation was polled after it was ready");
        if this.running.is_none() {
            // SAFETY: as above.
            match ready!(unsafe { Pin::new_unchecked(&mut this.claim) }.poll(cx)) {
                None => {
                    this.finished = true;
                    // SAFETY: the claim says that it is done.
                    return Poll::Ready(Ok(unsafe { this.cell.value_ref() }));
                }
                Some(permit) => {
                    let f = this.f.take().expect("an initialisation begins once");
                    // Should it panic, the permit goes at once, and so does our claim to be polled again.
                    this.finished = true;
                    this.running = Some(f());
                    this.finished = false;
                    this.permit = Some(permit);
                }
            }
        }
        let running = this.running.as_mut().expect("it has just been set");
        // SAFETY: as above.
        let output = ready!(unsafe { Pin::new_unchecked(running) }.poll(cx));
        this.finished = true;
        let permit = this.permit.take().expect("it is there while the future runs");
        // In place, and before anybody is told.
        this.running = None;
        let value = match convert(output) {
            Ok(value) => value,
            Err(error) => return Poll::Ready(Err(error)),
        };
        Poll::Ready(Ok(this.cell.fill(permit, value)))
    }
}

/// The value of a [`OnceCell`]; from [`OnceCell::get_or_init_async`].
///
/// # Cancellation
///
/// Dropped at any moment it leaves the cell as if it had not begun; those that wait go on.
///
/// # Example
///
/// ```
/// use gosched::sync::OnceCell;
/// use gosched::time::{Elapsed, timeout};
/// use std::{future::pending, time::Duration};
///
/// let cell = OnceCell::new();
/// let never = cell.get_or_init_async(|| pending());
/// assert!(matches!(timeout(Duration::from_millis(1), never), Err(Elapsed)));
/// assert_eq!(cell.get_or_init(|| 7), &7, "as if the first had not begun");
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct GetOrInit<'a, T, F, Fut> {
    init: Init<'a, T, F, Fut>,
}

impl<'a, T, F, Fut> Future for GetOrInit<'a, T, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = T>,
{
    type Output = &'a T;

    /// # Panics
    ///
    /// Passes panics of the function and of its future on. When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'a T> {
        // SAFETY: `init` is pinned with us.
        let init = unsafe { self.map_unchecked_mut(|this| &mut this.init) };
        init.poll_with(cx, Ok::<T, Infallible>).map(|result| match result {
            Ok(value) => value,
            Err(never) => match never {},
        })
    }
}

/// The value of a [`OnceCell`], or an error; from [`OnceCell::get_or_try_init_async`].
///
/// # Cancellation
///
/// Dropped at any moment it leaves the cell as if it had not begun; those that wait go on.
///
/// # Example
///
/// ```
/// let cell = gosched::sync::OnceCell::<u32>::new();
/// let value = gosched::wait(cell.get_or_try_init_async(|| async { "7".parse::<u32>() }));
/// assert_eq!(value, Ok(&7));
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct GetOrTryInit<'a, T, F, Fut> {
    init: Init<'a, T, F, Fut>,
}

impl<'a, T, F, Fut, E> Future for GetOrTryInit<'a, T, F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<&'a T, E>;

    /// # Panics
    ///
    /// Passes panics of the function and of its future on. When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&'a T, E>> {
        // SAFETY: `init` is pinned with us.
        let init = unsafe { self.map_unchecked_mut(|this| &mut this.init) };
        init.poll_with(cx, |result| result)
    }
}

impl<T, F, Fut> fmt::Debug for GetOrInit<'_, T, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOrInit").field("running", &self.init.running.is_some()).finish()
    }
}

impl<T, F, Fut> fmt::Debug for GetOrTryInit<'_, T, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOrTryInit").field("running", &self.init.running.is_some()).finish()
    }
}
