//! Starting goroutines with a name or a stack of another size.

use super::handle::JoinHandle;
use super::target::{self, Spec};
use crate::fiber::stack;
use crate::task::{Schedule, TaskRef, body};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;

/// How a goroutine is to be started: with a name, with a stack of another size.
///
/// # Examples
///
/// ```
/// gosched::run(|| {
///     let handle = gosched::goroutine::Builder::new()
///         .name("worker")
///         .stack_size(1 << 20)
///         .spawn(|| gosched::current().name().map(str::to_owned))
///         .unwrap();
///     assert_eq!(handle.join().unwrap().as_deref(), Some("worker"));
/// });
/// ```
///
/// Go's goroutines have neither.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
}

impl Builder {
    /// An ordinary goroutine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A name, for panics, dumps and people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into());
        self
    }

    /// How many bytes of stack there will be at most, rounded up to a power of two.
    ///
    /// Memory is used page by page, as the goroutine needs it: a large stack costs address space. Stackless
    /// goroutines ignore it.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts the goroutine, as [`crate::go`] does.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a stack size below 16 KiB or beyond reason; `OutOfMemory` when no stack can be had;
    /// another error when the runtime has been shut down, or the default runtime cannot be started.
    ///
    /// ```
    /// use gosched::goroutine::Builder;
    ///
    /// assert_eq!(Builder::new().spawn(|| 1)?.join().unwrap(), 1);
    /// assert!(Builder::new().stack_size(1).spawn(|| 1).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_closure(&self.spec(Location::caller())?, f)
    }

    /// Starts the goroutine, as [`crate::go_async`] does.
    ///
    /// # Errors
    ///
    /// As for [`Builder::spawn`].
    ///
    /// ```
    /// let handle = gosched::goroutine::Builder::new().name("lookup").spawn_async(async { 7 })?;
    /// assert_eq!(handle.join().unwrap(), 7);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_async<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // The size is checked all the same.
        spawn_future(&Spec { stack_log2: 0, ..self.spec(Location::caller())? }, future)
    }

    pub(crate) fn spec(self, created: &'static Location<'static>) -> io::Result<Spec> {
        let stack_log2 = match self.stack_size {
            None => 0,
            Some(bytes) => stack::check_size(bytes)?.trailing_zeros() as u8,
        };
        Ok(Spec { name: self.name, stack_log2, ..Spec::at(created) })
    }
}

/// Starts a closure that anybody may run.
#[inline]
pub(crate) fn spawn_closure<F, T>(spec: &Spec, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // SAFETY: the bounds are what `start` and `set_closure` ask for.
    let task = unsafe { target::start(spec, |task| body::set_closure(task, f)) }?;
    // SAFETY: a new task with this output, and its only handle.
    Ok(unsafe { JoinHandle::new(task) })
}

/// Starts a future that anybody may poll.
#[inline]
pub(crate) fn spawn_future<F>(spec: &Spec, future: F) -> io::Result<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // SAFETY: the bounds are what `start` and `set_future` ask for.
    let task = unsafe { target::start(spec, |task| body::set_future(task, future)) }?;
    // SAFETY: a new task with this output, and its only handle.
    Ok(unsafe { JoinHandle::new(task) })
}

/// The same on a given runtime.
pub(crate) fn spawn_closure_on<F, T>(scheduler: &dyn Schedule, spec: &Spec, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // SAFETY: the bounds are what is asked for.
    unsafe { spawn_unchecked_on(scheduler, spec, f) }
}

/// Starts a closure on a given runtime, whatever its lifetimes.
///
/// # Safety
///
/// `f` and its output are used on another thread, and must live until the goroutine has ended: `Send` and
/// longevity are the caller's word.
pub(crate) unsafe fn spawn_unchecked_on<F, T>(
    scheduler: &dyn Schedule,
    spec: &Spec,
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T,
{
    // SAFETY: the caller's word.
    let task = unsafe { target::start_on(scheduler, spec, |task: TaskRef| body::set_closure(task, f)) }?;
    // SAFETY: a new task with this output, and its only handle.
    Ok(unsafe { JoinHandle::new(task) })
}

/// Starts a closure where the caller's goroutines go, whatever its lifetimes.
///
/// # Safety
///
/// As for [`spawn_unchecked_on`].
pub(super) unsafe fn spawn_unchecked<F: FnOnce()>(spec: &Spec, f: F) -> io::Result<JoinHandle<()>> {
    // SAFETY: the caller's word.
    let task = unsafe { target::start(spec, |task| body::set_closure(task, f)) }?;
    // SAFETY: a new task with this output, and its only handle.
    Ok(unsafe { JoinHandle::new(task) })
}
