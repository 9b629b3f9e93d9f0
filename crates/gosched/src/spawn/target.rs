//! Which runtime a new goroutine goes to.

use crate::task::extra::ShownExtra;
use crate::task::header::Refused;
use crate::task::labels::Labels;
use crate::task::{Anchor, Schedule, TaskRef, context, current, pool};
use crate::wait::circles;
use std::cell::RefCell;
use std::io;
use std::panic::Location;
use std::sync::Arc;

/// What a new goroutine is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: Option<Arc<str>>,
    /// Logarithm of the stack size; 0 for the runtime's default.
    pub(crate) stack_log2: u8,
    /// It is the main goroutine of a `run`.
    pub(crate) is_main: bool,
    pub(crate) created: &'static Location<'static>,
}

impl Spec {
    /// The usual goroutine, created where the caller was called.
    #[track_caller]
    #[inline]
    pub(crate) fn here() -> Self {
        Self::at(Location::caller())
    }

    /// The same for another place.
    #[inline]
    pub(crate) fn at(created: &'static Location<'static>) -> Self {
        Self { name: None, stack_log2: 0, is_main: false, created }
    }
}

thread_local! {
    /// The runtimes this thread has entered, innermost last.
    static ENTERED: RefCell<Vec<Arc<dyn Schedule>>> = const { RefCell::new(Vec::new()) };
}

/// Enters a runtime on this thread, unless a goroutine runs here, whose own runtime comes first in any case.
/// Undone by [`leave`].
pub(crate) fn enter(scheduler: Arc<dyn Schedule>) {
    if context().is_some() {
        return;
    }
    ENTERED.with_borrow_mut(|entered| entered.push(scheduler));
}

/// Leaves the runtime that was entered last.
pub(crate) fn leave(scheduler: &Arc<dyn Schedule>) {
    // A guard may be dropped out of order, or after the thread-local; neither harms anybody.
    let left = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let at = entered.iter().rposition(|other| Arc::ptr_eq(other, scheduler))?;
        Some(entered.remove(at))
    });
    // Dropped here, outside the borrow: it may be the last reference to a runtime.
    drop(left);
}

/// The runtime this thread has entered, if any.
fn entered() -> Option<Arc<dyn Schedule>> {
    ENTERED.try_with(|entered| entered.borrow().last().cloned()).ok().flatten()
}

// The process-wide default runtime is made by the layer above the scheduler, which this one must not import;
// the linker joins the two ends. The version keeps two copies of the library in one program apart.
unsafe extern "Rust" {
    #[link_name = concat!("gosched_default_runtime_", env!("CARGO_PKG_VERSION"))]
    safe fn default_runtime() -> io::Result<Arc<dyn Schedule>>;
}

/// The process-wide default runtime, which the first use starts.
pub(crate) fn default_scheduler() -> io::Result<Arc<dyn Schedule>> {
    default_runtime()
}

/// The runtime that the caller's goroutines go to, if there is one without starting the default one.
pub(crate) fn existing() -> Option<Arc<dyn Schedule>> {
    match context() {
        // SAFETY: a worker keeps its scheduler alive.
        Some(context) => Some(unsafe { Anchor::scheduler(context.scheduler) }.keep()),
        None => entered(),
    }
}

/// Makes a task and queues it. `fill` puts the body in. Returns the task with its handle's side still open.
///
/// # Safety
///
/// `fill` sets up the body of the task it is given, with a body that may be used on any thread and lives as
/// long as the task.
#[inline]
pub(crate) unsafe fn start(spec: &Spec, fill: impl FnOnce(TaskRef)) -> io::Result<TaskRef> {
    match context() {
        Some(context) => {
            let task = pool::allocate(Some(&context.cache));
            let (parent, labels) = parent(context.task.get());
            // SAFETY: a worker keeps its scheduler alive; the header is fresh.
            unsafe { pool::prepare(task, context.next_id(), parent, context.scheduler, spec.created) };
            // SAFETY: as above.
            let scheduler = unsafe { Anchor::scheduler(context.scheduler) };
            // SAFETY: passed on.
            unsafe { launch(task, spec, labels, scheduler, fill) }
        }
        None => {
            let scheduler = match entered() {
                Some(scheduler) => scheduler,
                None => default_runtime()?,
            };
            // SAFETY: passed on.
            unsafe { start_on(&*scheduler, spec, fill) }
        }
    }
}

/// The same on a given runtime.
///
/// # Safety
///
/// As for [`start`].
pub(crate) unsafe fn start_on(
    scheduler: &dyn Schedule,
    spec: &Spec,
    fill: impl FnOnce(TaskRef),
) -> io::Result<TaskRef> {
    let task = pool::allocate(None);
    let (parent, labels) = parent(current::current_task());
    // SAFETY: a task that is not closed keeps its scheduler alive; the header is fresh.
    unsafe { pool::prepare(task, current::fresh_id(), parent, scheduler.anchor(), spec.created) };
    // SAFETY: passed on.
    unsafe { launch(task, spec, labels, scheduler, fill) }
}

/// What a goroutine has from the one that makes it: that one's id, and its labels.
#[inline]
fn parent(task: Option<TaskRef>) -> (u64, Labels) {
    task.map_or_else(Default::default, |task| (task.id.get(), task.labels()))
}

/// # Safety
///
/// As for [`start`]; the task is prepared for that scheduler.
#[inline]
unsafe fn launch(
    task: TaskRef,
    spec: &Spec,
    labels: Labels,
    scheduler: &dyn Schedule,
    fill: impl FnOnce(TaskRef),
) -> io::Result<TaskRef> {
    if spec.stack_log2 != 0 {
        task.stack_log2.set(spec.stack_log2);
    }
    if spec.name.is_some() || !labels.is_empty() {
        task.give_extra(ShownExtra { name: spec.name.clone(), is_main: spec.is_main, labels });
    }
    circles::leaves(&fill);
    // From here on dumps show it.
    fill(task);
    match scheduler.spawn(task) {
        Ok(()) => Ok(task),
        // SAFETY: it was not queued, and nobody else knows it.
        Err(refused) => Err(unsafe { turn_down(task, &refused) }),
    }
}

/// # Safety
///
/// The caller owns the task, which was never queued.
#[cold]
unsafe fn turn_down(task: TaskRef, refused: &Refused) -> io::Error {
    // SAFETY: nobody else knows the task.
    unsafe { pool::dispose(task) };
    match refused {
        Refused::ShutDown => io::Error::other("the runtime has been shut down"),
        Refused::NoStack(why) => io::Error::new(io::ErrorKind::OutOfMemory, why.to_string()),
    }
}
