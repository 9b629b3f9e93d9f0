//! The header of a task and the copyable reference to it.

use super::body::VTable;
use super::counters::Counters;
use super::extra::Extra;
use super::join::JoinSlot;
use super::panics::OnPanic;
use super::shown::{ShownOption, ShownRef, ShownU8, ShownU16, ShownU32, ShownU64};
use super::state::{Look, State};
use crate::clock::TimerKey;
use crate::fiber::coro::FiberRef;
use crate::sys::prim::{AtomicPtr, Ordering, yield_thread};
use std::cell::Cell;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// How everything above the task reaches the scheduler, without naming it.
pub(crate) trait Schedule: Send + Sync {
    /// Queues a task that was woken. The caller has just won the right to do so (`Woken::Schedule`).
    fn schedule(&self, task: TaskRef);

    /// Ends a look at a parked task ([`TaskRef::inspect`]): parks it again, or queues it if it was woken meanwhile.
    fn put_back(&self, task: TaskRef);

    /// Queues a task that has never run. `Err` gives it back: the runtime is shut down, or out of stacks.
    fn spawn(&self, task: TaskRef) -> Result<(), Refused>;

    /// Sets a timer of the runtime; it is about `now`. As [`Timers::insert`](crate::clock::Timers::insert).
    fn insert_timer(&self, now: Instant, at: Instant, waker: Waker) -> TimerKey;

    /// Changes one: false if it has expired or was cancelled before.
    fn update_timer(&self, key: TimerKey, at: Instant, waker: &Waker) -> bool;

    /// Cancels one: `None` if it has expired or was cancelled before.
    fn cancel_timer(&self, key: TimerKey) -> Option<Waker>;

    /// How many goroutines of this runtime have not ended.
    fn live(&self) -> usize;

    /// What was counted so far.
    fn counters(&self) -> Counters;

    /// What is to be done when a panic ends one of its goroutines.
    fn on_panic(&self) -> &OnPanic;

    /// What its tasks point at.
    fn anchor(&self) -> *const Anchor;

    /// Keeps the scheduler alive for a thread that entered it.
    fn keep(&self) -> Arc<dyn Schedule>;
}

/// A thin handle on a scheduler: what headers and contexts point at. It lies inside the scheduler.
pub(crate) struct Anchor(Cell<Option<NonNull<dyn Schedule>>>);

// SAFETY: written once, before the scheduler is shared; `Schedule` implies `Sync`.
unsafe impl Sync for Anchor {}
// SAFETY: as above.
unsafe impl Send for Anchor {}

impl Anchor {
    pub(crate) fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Points the anchor at the scheduler it lies in.
    ///
    /// # Safety
    ///
    /// Called once, before anybody else sees the anchor. The scheduler does not move any more.
    pub(crate) unsafe fn set(&self, scheduler: &dyn Schedule) {
        let scheduler = NonNull::from(scheduler);
        // SAFETY: only the lifetime is erased; `scheduler` below asks for the promise that replaces it.
        let scheduler =
            unsafe { std::mem::transmute::<NonNull<dyn Schedule + '_>, NonNull<dyn Schedule>>(scheduler) };
        self.0.set(Some(scheduler));
    }

    /// The scheduler.
    ///
    /// # Safety
    ///
    /// It is alive for as long as the reference is used.
    #[inline]
    pub(crate) unsafe fn scheduler<'a>(this: *const Anchor) -> &'a dyn Schedule {
        // SAFETY: alive by the caller's promise, and set before anybody else saw it.
        unsafe { (*this).0.get().unwrap_unchecked().as_ref() }
    }
}

/// Why a new goroutine was not taken.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// The runtime has been shut down.
    ShutDown,
    /// No stack can be had; the text says why.
    NoStack(Arc<str>),
}

/// No worker is home to the task: it may run anywhere.
pub(crate) const NO_HOME: u32 = u32::MAX;

/// Words of body or output that fit into the header.
pub(crate) const INLINE_WORDS: usize = 9;

/// A goroutine's header. Never freed; see [`super::pool`].
#[repr(C, align(64))]
pub(crate) struct Task {
    pub(crate) state: State,
    /// A waiter's reason while parked, or what it does instead; for dumps.
    pub(crate) reason: ShownU8,
    /// Logarithm of the stack size; 0 for the runtime's default.
    pub(crate) stack_log2: Cell<u8>,
    /// Since when it waits.
    pub(crate) since: ShownU16,
    /// Which worker the task is pinned to: [`NO_HOME`] before it starts, and for movable ones.
    pub(crate) home: ShownU32,
    /// How many polls of user futures are on the stack: a blocking call inside one is nested.
    pub(crate) depth: ShownU16,
    /// While a future is polled: what it has noted last that it awaits; see [`TaskRef::note_await`].
    pub(crate) awaits: ShownU8,
    pub(crate) join: JoinSlot,
    next: AtomicPtr<Task>,
    pub(crate) id: ShownU64,
    /// Atomic because the shutdown's sweep reads it in headers it does not own.
    pub(crate) scheduler: AtomicPtr<Anchor>,
    pub(crate) vtable: ShownRef<VTable>,
    pub(crate) created: ShownRef<Location<'static>>,
    pub(crate) parent: ShownU64,
    /// Where it waits.
    pub(crate) waits_at: ShownOption<Location<'static>>,
    /// The stack it is parked on; none before it starts and between the polls of a future.
    pub(crate) fiber: Cell<Option<FiberRef>>,
    pub(crate) extra: AtomicPtr<Extra>,
    pub(crate) storage: UnsafeCell<[MaybeUninit<u64>; INLINE_WORDS]>,
}

/// Three cache lines. A field more must push something out.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Task>() == 192);

// SAFETY: who may touch which field is written down in the module's documentation: cells only the owner of
// the moment, and ownership passes through the state word's release and acquire (or a queue's).
unsafe impl Sync for Task {}
// SAFETY: bodies and outputs are `Send` (spawning asks for it), and the rest has no thread affinity.
unsafe impl Send for Task {}

impl Task {
    /// A header for the pool.
    pub(crate) fn new() -> Self {
        Self {
            state: State::closed(),
            reason: ShownU8::new(0),
            stack_log2: Cell::new(0),
            since: ShownU16::new(0),
            home: ShownU32::new(NO_HOME),
            depth: ShownU16::new(0),
            awaits: ShownU8::new(0),
            join: JoinSlot::new(),
            next: AtomicPtr::new(std::ptr::null_mut()),
            id: ShownU64::new(0),
            scheduler: AtomicPtr::new(std::ptr::null_mut()),
            vtable: ShownRef::new(&VTable::NONE),
            created: ShownRef::new(Location::caller()),
            parent: ShownU64::new(0),
            waits_at: ShownOption::new(None),
            fiber: Cell::new(None),
            extra: AtomicPtr::new(std::ptr::null_mut()),
            storage: UnsafeCell::new([MaybeUninit::uninit(); INLINE_WORDS]),
        }
    }
}

/// A reference to a task header, good for ever because headers are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskRef(NonNull<Task>);

// SAFETY: as for `Task`.
unsafe impl Send for TaskRef {}
// SAFETY: as for `Task`.
unsafe impl Sync for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskRef({})", self.id.get())
    }
}

impl std::ops::Deref for TaskRef {
    type Target = Task;
    #[inline]
    fn deref(&self) -> &Task {
        // SAFETY: headers are never freed.
        unsafe { self.0.as_ref() }
    }
}

impl TaskRef {
    /// A header of the pool.
    #[inline]
    pub(crate) fn new(task: &'static Task) -> Self {
        Self(NonNull::from(task))
    }

    /// The header as a bare pointer, for wakers and lock-free queues.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut Task {
        self.0.as_ptr()
    }

    /// The way back.
    ///
    /// # Safety
    ///
    /// `ptr` came from [`TaskRef::as_ptr`].
    #[inline]
    pub(crate) unsafe fn from_ptr(ptr: *mut Task) -> Self {
        // SAFETY: never null, by the caller's promise.
        Self(unsafe { NonNull::new_unchecked(ptr) })
    }

    /// The link of the queue that holds the task.
    #[inline]
    pub(crate) fn next(self) -> Option<TaskRef> {
        NonNull::new(self.next.load(Ordering::Relaxed)).map(TaskRef)
    }

    /// Sets the link. Only the task's owner, or the queue that holds it.
    #[inline]
    pub(crate) fn set_next(self, next: Option<TaskRef>) {
        self.next.store(next.map_or(std::ptr::null_mut(), TaskRef::as_ptr), Ordering::Relaxed);
    }

    /// Asks the processor for the header.
    #[inline]
    pub(crate) fn prefetch(self) {
        crate::sys::mem::prefetch(self.as_ptr().cast(), size_of::<Task>());
    }

    /// Wakes the task: queues it, if it was parked.
    #[inline]
    pub(crate) fn wake(self) {
        if self.state.wake() == super::state::Woken::Schedule {
            self.schedule();
        }
    }

    /// Calls `look` if the task is parked and still has this id; nobody resumes, ends or reuses it meanwhile. `None`
    /// if it runs, waits in a queue, or is over.
    ///
    /// A wake that comes meanwhile is carried out after the look. So `look` is short: it copies what it wants to know,
    /// and neither blocks nor calls foreign code. The task's cells are its to read, as their owner.
    pub(crate) fn inspect<R>(self, id: u64, look: impl FnOnce() -> R) -> Option<R> {
        /// Also if `look` panics.
        struct PutBack(TaskRef);
        impl Drop for PutBack {
            fn drop(&mut self) {
                // SAFETY: a task that is not closed keeps its scheduler alive, and nobody closes one that is ours.
                unsafe { self.0.scheduler_ref().put_back(self.0) }
            }
        }
        // Somebody else's look is short, unless their thread is kept from running.
        const PATIENCE: u32 = 10_000;
        let taken = (0..PATIENCE).map(|_| self.state.inspect()).find(|&look| {
            if look == Look::Busy {
                yield_thread();
            }
            look != Look::Busy
        });
        if taken != Some(Look::Taken) {
            return None;
        }
        let _put_back = PutBack(self);
        (self.id.get() == id).then(look)
    }

    /// Hands the task, which the caller owns, to its scheduler.
    #[inline]
    pub(crate) fn schedule(self) {
        // SAFETY: a task that is not closed keeps its scheduler alive (see `scheduler::shutdown`), and the
        // caller owns this one.
        unsafe { self.scheduler_ref().schedule(self) }
    }

    /// The task's scheduler.
    ///
    /// # Safety
    ///
    /// The task is not closed, or the caller knows the scheduler to be alive otherwise.
    #[inline]
    pub(crate) unsafe fn scheduler_ref<'a>(self) -> &'a dyn Schedule {
        // SAFETY: written before the task was queued; alive by the caller's promise.
        unsafe { Anchor::scheduler(self.scheduler.load(Ordering::Relaxed)) }
    }

    /// Whether the body is a closure with a stack of its own.
    #[inline]
    pub(crate) fn is_stackful(self) -> bool {
        self.vtable.get().stackful
    }
}
