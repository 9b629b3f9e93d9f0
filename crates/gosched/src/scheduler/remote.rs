//! A worker as the others see it.

use super::counts::Counts;
use crate::queue::batch::Batch;
use crate::queue::inbox::Inbox;
use crate::queue::ring::Ring;
use crate::sys::global::{Mutex, OnceLock, lock};
use crate::task::{Context, Task, TaskRef};
use crossbeam_utils::CachePadded;
use std::ops::Index;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;

/// What the others may touch of a worker.
pub(crate) struct Remote {
    pub(crate) ring: Ring<TaskRef>,
    /// The wake slot for movable goroutines.
    slot: AtomicPtr<Task>,
    pub(crate) inbox: Inbox<TaskRef>,
    /// Taken off the injector, for the fair turns to come.
    pub(crate) batch: Batch<TaskRef>,
    /// Counts the goroutines taken up, for thieves: a victim whose count moves keeps up.
    pub(crate) tick: AtomicU32,
    /// See [`super::crew`].
    pub(super) duty: AtomicU8,
    /// Goroutines made here. Written by the worker alone.
    pub(super) created: AtomicU64,
    /// Goroutines ended here. Written by the worker alone.
    pub(super) finished: AtomicU64,
    /// Started stackful goroutines that have not ended here. Written by the worker alone.
    pub(crate) homes: AtomicUsize,
    /// It sleeps in the reactor's poll, or is about to: see [`super::reactor`].
    pub(super) in_poll: AtomicBool,
    thread: OnceLock<(Thread, u32)>,
    /// While its thread serves the runtime.
    pub(super) serving: Mutex<Option<Serving>>,
    pub(super) counts: Counts,
}

impl Remote {
    fn new() -> Self {
        Self {
            ring: Ring::new(),
            slot: AtomicPtr::new(std::ptr::null_mut()),
            inbox: Inbox::new(),
            batch: Batch::new(),
            tick: AtomicU32::new(0),
            duty: AtomicU8::new(0),
            created: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            homes: AtomicUsize::new(0),
            in_poll: AtomicBool::new(false),
            thread: OnceLock::new(),
            serving: Mutex::new(None),
            counts: Counts::new(),
        }
    }

    /// Puts a task into the wake slot; returns the one it displaces.
    #[inline]
    pub(crate) fn swap_slot(&self, task: Option<TaskRef>) -> Option<TaskRef> {
        let new = task.map_or(std::ptr::null_mut(), TaskRef::as_ptr);
        // SeqCst: the first step of a producer (P1 in `idle`). The acquire half: what the task's last owner did.
        let old = self.slot.swap(new, Ordering::SeqCst);
        // SAFETY: only pointers of tasks are put into the slot.
        (!old.is_null()).then(|| unsafe { TaskRef::from_ptr(old) })
    }

    #[inline]
    pub(crate) fn slot_is_full(&self) -> bool {
        !self.slot.load(Ordering::SeqCst).is_null()
    }

    /// By the worker, at its start: the thread it is.
    pub(crate) fn begin(&self, context: *const Context) {
        let os_thread = crate::sys::threads::os_id();
        self.thread.set((std::thread::current(), os_thread)).expect("a worker starts once");
        *lock(&self.serving) = Some(Serving { os_thread, context });
    }

    /// By the worker, at its end: nobody looks at its context any more.
    pub(crate) fn end(&self) {
        *lock(&self.serving) = None;
    }

    #[inline]
    pub(super) fn is_on_duty(&self) -> bool {
        self.duty.load(Ordering::SeqCst) == super::crew::ON
    }

    /// Stuck, and its place is taken.
    pub(super) fn is_lent(&self) -> bool {
        self.duty.load(Ordering::Relaxed) == super::crew::LENT
    }

    /// The thread's number, as the system knows it. `None` before it has started.
    pub(super) fn os_thread(&self) -> Option<u32> {
        self.thread.get().map(|(_, id)| *id)
    }

    /// After its sleep state was changed.
    pub(crate) fn unpark(&self) {
        if self.in_poll.load(Ordering::SeqCst) {
            return super::reactor::wake_poller();
        }
        // Not set yet: the worker has not parked either, and its first look at its queues is still to come.
        if let Some((thread, _)) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// What is there as long as a worker serves: whoever looks at it holds the lock, so that it does not go away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    pub(super) os_thread: u32,
    /// Of this only what is shown may be read.
    pub(super) context: *const Context,
}

// SAFETY: a pointer; what it points at stays there while the lock is held, and what others read of it is atomic.
unsafe impl Send for Serving {}

/// The workers of a runtime, by number. They only ever become more, but for one whose thread cannot be started.
pub(crate) struct Remotes {
    /// Room for all there may ever be; made when wanted.
    slots: Box<[OnceLock<Box<CachePadded<Remote>>>]>,
    count: AtomicUsize,
}

impl Remotes {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { slots: (0..capacity).map(|_| OnceLock::new()).collect(), count: AtomicUsize::new(0) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Makes the next one, which nobody sees before [`Remotes::publish`]. Returns its number. One at a time.
    pub(super) fn prepare(&self) -> usize {
        let index = self.len();
        self.slots[index].get_or_init(|| Box::new(CachePadded::new(Remote::new())));
        index
    }

    /// The one prepared last has a worker (1), or has none after all (-1).
    pub(super) fn publish(&self, change: isize) {
        self.count.fetch_add(change as usize, Ordering::Release);
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Remote> {
        (0..self.len()).map(|index| &self[index])
    }
}

impl Index<usize> for Remotes {
    type Output = Remote;

    #[inline]
    fn index(&self, index: usize) -> &Remote {
        self.slots[index].get().expect("a worker of this number was made")
    }
}
