//! A worker as the others see it.

use super::counts::Counts;
use crate::queue::batch::Batch;
use crate::queue::inbox::Inbox;
use crate::queue::ring::Ring;
use crate::sys::global::OnceLock;
use crate::task::{Task, TaskRef};
use crossbeam_utils::CachePadded;
use std::ops::Index;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
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
    thread: OnceLock<(Thread, u32)>,
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
            thread: OnceLock::new(),
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
    pub(crate) fn set_thread(&self) {
        self.thread
            .set((std::thread::current(), crate::sys::threads::os_id()))
            .expect("a worker starts once");
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

    pub(crate) fn unpark(&self) {
        // Not set yet: the worker has not parked either, and its first look at its queues is still to come.
        if let Some((thread, _)) = self.thread.get() {
            thread.unpark();
        }
    }
}

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
