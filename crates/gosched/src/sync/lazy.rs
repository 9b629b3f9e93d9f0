//! `LazyLock`, `once_func` and `once_value`: a value made when it is first asked for.

use super::raw_once::{Claim, Permit, RawOnce};
use crate::spawn::Goexit;
use crate::wait::{WaitReason, wait_deadline, wait_for};
use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A value that is made by a function when it is first asked for.
///
/// As `std::sync::LazyLock`, but those that wait while another makes the value are goroutines suspended, threads
/// parked or tasks pending. The function runs once; it and what it captured are dropped when it ends.
///
/// # Panics
///
/// If the function panics, whoever called it gets that panic, and **every later access panics with the same
/// message** (Go's rule for `OnceValue`): a text payload, `&str` or `String`, is given again each time, for any
/// other there is a message that says so. If it ended by `goexit`, later accesses panic and say that.
///
/// # Deadlocks
///
/// A function that asks for its own value waits for itself, for ever.
///
/// # Cancellation
///
/// A `force_async` future that waits leaves no trace when dropped; the function itself runs within one poll.
///
/// # Example
///
/// ```
/// use gosched::sync::LazyLock;
///
/// static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| {
///     (2..30).filter(|n| (2..*n).all(|d| n % d != 0)).collect()
/// });
/// assert_eq!(PRIMES.len(), 10);
/// ```
///
/// In Go: the result of `sync.OnceValue`; see [`once_value`].
pub struct LazyLock<T, F = fn() -> T> {
    once: RawOnce,
    /// Belongs to whoever has the permit; only read from `DONE` on.
    data: UnsafeCell<Data<T, F>>,
}

enum Data<T, F> {
    New(F),
    Running,
    Value(T),
    Failed(Failure),
}

/// What later calls panic with.
enum Failure {
    Str(&'static str),
    Text(String),
    Other,
    Goexit,
}

impl Failure {
    fn of(payload: &(dyn Any + Send)) -> Self {
        if let Some(text) = payload.downcast_ref::<&'static str>() {
            Failure::Str(text)
        } else if let Some(text) = payload.downcast_ref::<String>() {
            Failure::Text(text.clone())
        } else if payload.is::<Goexit>() {
            Failure::Goexit
        } else {
            Failure::Other
        }
    }

    /// Panics with the payload that was copied, of the same type.
    #[cold]
    #[track_caller]
    fn raise(&self) -> ! {
        match self {
            Failure::Str(text) => panic_any(*text),
            Failure::Text(text) => panic_any(text.clone()),
            Failure::Other => {
                panic!("a function that runs once has panicked, with a payload that is no text")
            }
            Failure::Goexit => panic!("a function that runs once has ended by goexit, without a value"),
        }
    }
}

// SAFETY: sharing it shares the value (`T: Sync`), which is made on the thread of one and dropped on that of
// another (`T: Send`), by a function that came from a third (`F: Send`), and is never shared itself.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

// A panic of the function is remembered, and nothing in between is ever seen.
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe + RefUnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

impl<T, F> LazyLock<T, F> {
    /// The value, if it is there. Does not make it and never waits or panics.
    ///
    /// ```
    /// use gosched::sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 5);
    /// assert_eq!(LazyLock::get(&lazy), None);
    /// assert_eq!(*lazy, 5);
    /// assert_eq!(LazyLock::get(&lazy), Some(&5));
    /// ```
    pub fn get(this: &Self) -> Option<&T> {
        this.finished()?.ok()
    }

    /// What came of it, once it is done.
    #[inline]
    fn finished(&self) -> Option<Result<&T, &Failure>> {
        if !self.once.is_done() {
            return None;
        }
        // SAFETY: it is done, so nobody writes the data while it is shared.
        match unsafe { &*self.data.get() } {
            Data::Value(value) => Some(Ok(value)),
            Data::Failed(failure) => Some(Err(failure)),
            Data::New(_) | Data::Running => unreachable!("done means that there is an outcome"),
        }
    }

    #[inline]
    #[track_caller]
    fn outcome(&self) -> Option<&T> {
        match self.finished()? {
            Ok(value) => Some(value),
            Err(failure) => failure.raise(),
        }
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` will make.
    pub const fn new(f: F) -> Self {
        Self { once: RawOnce::new(), data: UnsafeCell::new(Data::New(f)) }
    }

    /// The value; makes it, or waits while another does. The same as a dereference.
    ///
    /// # Panics
    ///
    /// If the function panics or has panicked; see the type.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(LazyLock::force_async(&lazy))` can.
    ///
    /// ```
    /// use gosched::sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| "made".to_owned());
    /// assert_eq!(LazyLock::force(&lazy), "made");
    /// ```
    ///
    /// In Go: a call of the function that `sync.OnceValue` returns.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        match this.outcome() {
            Some(value) => value,
            None => this.force_slow(),
        }
    }

    #[cold]
    #[track_caller]
    fn force_slow(&self) -> &T {
        if let Some(permit) = wait_for(WaitReason::OnceWait, pin!(self.once.claim())) {
            self.make(permit);
        }
        self.outcome().expect("it is done")
    }

    /// [`force`](LazyLock::force) that waits for another's run of the function for at most `timeout`: `None` if that
    /// has not finished by then. The function, if it is run here, is not cut short. A timeout too large for the clock
    /// means for ever.
    ///
    /// ```
    /// use gosched::sync::LazyLock;
    /// use std::time::Duration;
    ///
    /// let lazy = LazyLock::new(|| 6 * 7);
    /// assert_eq!(LazyLock::force_timeout(&lazy, Duration::ZERO), Some(&42));
    /// ```
    ///
    /// # Panics
    ///
    /// If the function panics or has panicked; see the type.
    #[track_caller]
    pub fn force_timeout(this: &Self, timeout: Duration) -> Option<&T> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => Self::force_deadline(this, deadline),
            None => Some(Self::force(this)),
        }
    }

    /// [`force_timeout`](LazyLock::force_timeout) with a point in time.
    ///
    /// # Panics
    ///
    /// If the function panics or has panicked; see the type.
    #[track_caller]
    pub fn force_deadline(this: &Self, deadline: Instant) -> Option<&T> {
        if let Some(value) = this.outcome() {
            return Some(value);
        }
        if let Some(Some(permit)) = wait_deadline(WaitReason::OnceWait, pin!(this.once.claim()), deadline) {
            this.make(permit);
        }
        this.outcome()
    }

    /// The async form of [`force`](LazyLock::force). The function, which is not async, runs within a poll; who
    /// finds it running waits without blocking.
    ///
    /// ```
    /// use gosched::sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 6 * 7);
    /// assert_eq!(*gosched::wait(LazyLock::force_async(&lazy)), 42);
    /// ```
    pub fn force_async(this: &Self) -> ForceLazy<'_, T, F> {
        ForceLazy { lazy: this, claim: Some(this.once.claim()) }
    }

    /// Runs the function; a panic is kept, and passed on.
    fn make(&self, permit: Permit<'_>) {
        // SAFETY: by the permit the data is ours until `done`. The reference ends here.
        let data = unsafe { mem::replace(&mut *self.data.get(), Data::Running) };
        let Data::New(f) = data else { unreachable!("a permit is given once, since each ends in `done`") };
        // Whatever the closure broke, it was its own: it is gone after a panic.
        let result = catch_unwind(AssertUnwindSafe(f));
        let (data, payload) = match result {
            Ok(value) => (Data::Value(value), None),
            Err(payload) => (Data::Failed(Failure::of(&*payload)), Some(payload)),
        };
        // SAFETY: as above. What is overwritten is `Running`, with nothing to drop.
        unsafe { *self.data.get() = data };
        permit.done();
        if let Some(payload) = payload {
            resume_unwind(payload);
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("LazyLock");
        match self.finished() {
            Some(Ok(value)) => tuple.field(value),
            Some(Err(_)) => tuple.field(&format_args!("<panicked>")),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}

/// The value of a [`LazyLock`]; from [`LazyLock::force_async`].
///
/// # Cancellation
///
/// Dropped while it waits it leaves no trace.
///
/// # Example
///
/// ```
/// use gosched::sync::LazyLock;
///
/// let lazy = LazyLock::new(|| 6 * 7);
/// gosched::wait(async {
///     let value: &i32 = LazyLock::force_async(&lazy).await;
///     assert_eq!(*value, 42);
/// });
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct ForceLazy<'a, T, F> {
    lazy: &'a LazyLock<T, F>,
    /// `None` once it is over.
    claim: Option<Claim<'a>>,
}

impl<'a, T, F: FnOnce() -> T> Future for ForceLazy<'a, T, F> {
    type Output = &'a T;

    /// # Panics
    ///
    /// If the function panics or has panicked. When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'a T> {
        // SAFETY: `claim` is pinned with us: it is not moved, and dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        let claim = this.claim.as_mut().expect("a future of a LazyLock was polled after it was ready");
        // SAFETY: as above.
        let claimed = ready!(unsafe { Pin::new_unchecked(claim) }.poll(cx));
        this.claim = None;
        if let Some(permit) = claimed {
            this.lazy.make(permit);
        }
        Poll::Ready(this.lazy.outcome().expect("it is done"))
    }
}

impl<T, F> fmt::Debug for ForceLazy<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForceLazy").field("done", &self.claim.is_none()).finish()
    }
}

/// A function that calls `f` the first time and returns clones of its result ever after.
///
/// The function that is returned may be cloned and called by any number of goroutines, threads and tasks; who
/// calls while `f` runs waits. `f` and what it captured are dropped when it ends.
///
/// # Panics
///
/// If `f` panics, so does every later call, with the same message: the rules of [`LazyLock`], which is also the
/// way to share a value without cloning it, or to wait for it in async code.
///
/// # Example
///
/// ```
/// use gosched::sync::once_value;
///
/// let config = once_value(|| {
///     println!("reading");
///     "verbose".to_owned()
/// });
/// assert_eq!(config(), config());
/// ```
///
/// In Go: `sync.OnceValue`; `sync.OnceValues` is the same with a tuple.
pub fn once_value<T, F>(f: F) -> impl Fn() -> T + Clone + Send + Sync
where
    T: Clone + Send + Sync,
    F: FnOnce() -> T + Send,
{
    let lazy = Arc::new(LazyLock::new(f));
    move || T::clone(LazyLock::force(&lazy))
}

/// A function that calls `f` the first time, and does nothing ever after.
///
/// # Panics
///
/// If `f` panics, so does every later call, with the same message; see [`once_value`], whose rules hold. (With a
/// [`Once`](super::Once), later calls return as if nothing had happened.)
///
/// # Example
///
/// ```
/// let greet = gosched::sync::once_func(|| println!("hello"));
/// greet();
/// greet();
/// ```
///
/// In Go: `sync.OnceFunc`.
pub fn once_func<F: FnOnce() + Send>(f: F) -> impl Fn() + Clone + Send + Sync {
    once_value(f)
}
