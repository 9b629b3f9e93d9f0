//! What runs on this thread: the worker's context, and through it the goroutine.
//!
//! A goroutine may resume on another thread (always in migrating mode), and the compiler computes the address
//! of a thread-local once per function, also across a switch of stacks. So the library's one thread-local is
//! read through [`context`], which is never inlined and returns the loaded value, not an address; and nobody
//! keeps that value across a suspension.

use super::header::{Anchor, TaskRef};
use super::pool::Cache;
use super::shown::ShownTask;
use crate::clock::manual::{self, Manual};
use crate::fiber::coro::FiberRef;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a suspending goroutine asks of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To be left to its wakers.
    Park,
    /// To run again after the others.
    Yield,
}

/// A worker's face towards the goroutines that run on it. Only its own thread uses it (in thread-backed mode:
/// whoever holds the baton).
pub(crate) struct Context {
    /// The goroutine running now. The monitor looks at it.
    pub(crate) task: ShownTask,
    /// The stack it runs on.
    pub(crate) fiber: Cell<Option<FiberRef>>,
    /// Why it suspends.
    pub(crate) request: Cell<Request>,
    /// How many `no_suspend` calls it is inside of.
    pub(crate) no_suspend: Cell<u32>,
    /// The worker's runtime.
    pub(crate) scheduler: *const Anchor,
    /// The worker's number in it.
    pub(crate) index: u32,
    /// What its goroutines take for the time, if not the machine's.
    clock: Option<Arc<Manual>>,
    /// Free headers.
    pub(crate) cache: Cache,
    /// Goroutine ids handed to this worker.
    ids: Cell<(u64, u64)>,
}

thread_local! {
    // No destructor, so it can be read at any time of a thread's life.
    static CONTEXT: Cell<*const Context> = const { Cell::new(std::ptr::null()) };
}

/// This thread's context: null on a thread that is not a worker.
#[inline(never)]
fn load() -> *const Context {
    CONTEXT.get()
}

/// Makes `context` the one of this thread: a worker's at its start, null at its end, and on a goroutine's own
/// thread (thread-backed mode) each time it gets the baton.
#[inline(never)]
pub(crate) fn set_context(context: *const Context) {
    CONTEXT.set(context);
    // SAFETY: null, or a worker's that serves here from now on.
    manual::set_here(unsafe { context.as_ref() }.and_then(|context| context.clock.as_ref()));
}

/// This thread's context, to be used before the next suspension and not after it.
#[inline]
pub(crate) fn context<'a>() -> Option<&'a Context> {
    // SAFETY: a worker clears the pointer before its context goes away, and on a thread that is stopped in
    // the middle of a goroutine nobody runs.
    unsafe { load().as_ref() }
}

/// The same as a bare pointer, for the switch code of thread-backed mode.
pub(crate) fn context_ptr() -> *const Context {
    load()
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
/// Ids a worker takes at a time, as Go does.
const ID_BATCH: u64 = 16;

/// An id that no goroutine of this process has had.
pub(crate) fn fresh_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl Context {
    pub(crate) fn new(scheduler: *const Anchor, index: u32, clock: Option<Arc<Manual>>) -> Self {
        Self {
            task: ShownTask::new(),
            fiber: Cell::new(None),
            request: Cell::new(Request::Park),
            no_suspend: Cell::new(0),
            scheduler,
            index,
            clock,
            cache: Cache::default(),
            ids: Cell::new((0, 0)),
        }
    }

    /// What runs, and on which stack. Async-signal-safe. Only for its own thread, wherever that was interrupted.
    pub(crate) fn running(&self) -> (Option<TaskRef>, Option<FiberRef>) {
        (self.task.get(), self.fiber.get())
    }

    /// An id that no goroutine of this process has had.
    #[inline]
    pub(crate) fn next_id(&self) -> u64 {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            next = NEXT_ID.fetch_add(ID_BATCH, Ordering::Relaxed);
            end = next + ID_BATCH;
        }
        self.ids.set((next + 1, end));
        next
    }
}

/// The goroutine running on this thread.
#[inline]
pub(crate) fn current_task() -> Option<TaskRef> {
    context().and_then(|context| context.task.get())
}
