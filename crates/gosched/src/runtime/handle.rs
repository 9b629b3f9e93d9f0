//! Reaching a runtime from other threads.

use crate::dump::{self, RuntimeMetrics};
use crate::spawn::target::{self, Spec};
use crate::spawn::{JoinHandle, spawn_unchecked_on};
use crate::task::{Schedule, body};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// A reference to a runtime, cheap to clone. It does not keep the runtime from being shut down: afterwards
/// starting goroutines fails.
///
/// ```
/// use gosched::runtime::Handle;
///
/// gosched::run(|| {
///     let handle = Handle::current();
///     let thread = std::thread::spawn(move || handle.go(|| 7).join().unwrap());
///     assert_eq!(gosched::blocking(|| thread.join()).unwrap(), 7);
/// });
/// ```
///
/// In Go: nothing; there is one runtime, and every thread is in it.
#[derive(Clone)]
pub struct Handle {
    scheduler: Arc<dyn Schedule>,
}

impl Handle {
    pub(super) fn new(scheduler: Arc<dyn Schedule>) -> Self {
        Self { scheduler }
    }

    /// The runtime of the calling goroutine, or the one this thread has entered.
    ///
    /// # Panics
    ///
    /// When there is none; [`Handle::try_current`] returns `None` then.
    ///
    /// ```
    /// use gosched::runtime::Handle;
    ///
    /// gosched::run(|| {
    ///     Handle::current().go(|| ()).join().unwrap();
    /// });
    /// assert!(Handle::try_current().is_none());
    /// ```
    #[track_caller]
    pub fn current() -> Self {
        Self::try_current().expect("this thread runs no goroutine and has entered no runtime")
    }

    /// The runtime of the calling goroutine, or the one this thread has entered, if any.
    pub fn try_current() -> Option<Self> {
        target::existing().map(Self::new)
    }

    /// What this runtime has done and does: a snapshot.
    ///
    /// Goroutines and workers pay nothing for it but counters of their own. The snapshot looks at every goroutine of the
    /// process, of which a million take some 50 ms.
    ///
    /// ```
    /// gosched::run(|| {
    ///     let metrics = gosched::runtime::Handle::current().metrics();
    ///     assert_eq!((metrics.created, metrics.running), (1, 1));
    /// });
    /// ```
    ///
    /// In Go: `runtime/metrics`.
    pub fn metrics(&self) -> RuntimeMetrics {
        dump::of_runtime(&*self.scheduler)
    }

    /// Makes this runtime the one that goroutines started on this thread go to, until the guard is dropped.
    ///
    /// Has no effect inside a goroutine, whose own runtime comes first.
    ///
    /// ```
    /// let runtime = gosched::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let guard = handle.enter();
    /// assert_eq!(gosched::go(gosched::num_goroutine).join().unwrap(), 1);
    /// drop(guard);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        target::enter(self.scheduler.clone());
        EnterGuard { scheduler: self.scheduler.clone(), handle: PhantomData }
    }

    /// Starts a goroutine on this runtime, as [`crate::go`] does.
    ///
    /// # Panics
    ///
    /// When the runtime has been shut down, or has no stack left.
    ///
    /// ```
    /// let runtime = gosched::Runtime::new()?;
    /// let handle = runtime.handle();
    /// assert_eq!(handle.go(|| 7).join().unwrap(), 7);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: the bounds are what is asked for.
        let started = unsafe { spawn_unchecked_on(&*self.scheduler, &Spec::here(), f) };
        started.unwrap_or_else(|error| panic!("cannot start a goroutine: {error}"))
    }

    /// Starts a goroutine on this runtime, as [`crate::go_async`] does.
    ///
    /// # Panics
    ///
    /// When the runtime has been shut down.
    ///
    /// ```
    /// let runtime = gosched::Runtime::new()?;
    /// assert_eq!(runtime.handle().go_async(async { 7 }).join().unwrap(), 7);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn go_async<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let fill = |task| {
            // SAFETY: the bounds are what is asked for.
            unsafe { body::set_future(task, future) }
        };
        // SAFETY: the bounds are what is asked for.
        match unsafe { target::start_on(&*self.scheduler, &Spec::here(), fill) } {
            // SAFETY: a new task with this output, and its only handle.
            Ok(task) => unsafe { JoinHandle::new(task) },
            Err(error) => panic!("cannot start a goroutine: {error}"),
        }
    }
}

// A panic on the way through a handle (a refused goroutine, say) leaves nothing of the runtime half done, and others
// use the runtime meanwhile in any case.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("goroutines", &self.scheduler.live()).finish()
    }
}

/// Keeps a runtime entered on this thread. Made by [`Handle::enter`].
///
/// ```
/// use gosched::runtime::{EnterGuard, Handle};
///
/// let runtime = gosched::Runtime::new()?;
/// let handle = runtime.handle();
/// let guard: EnterGuard<'_> = handle.enter();
/// assert!(Handle::try_current().is_some());
/// drop(guard);
/// assert!(Handle::try_current().is_none());
/// # std::io::Result::Ok(())
/// ```
#[must_use = "the runtime is left when the guard is dropped"]
pub struct EnterGuard<'a> {
    scheduler: Arc<dyn Schedule>,
    /// Bound to the thread, hence not `Send`.
    handle: PhantomData<(&'a Handle, *mut ())>,
}

impl fmt::Debug for EnterGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnterGuard { .. }")
    }
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        target::leave(&self.scheduler);
    }
}
