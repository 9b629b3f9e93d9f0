//! The waker of a goroutine: its header's address and nothing else.
//!
//! Headers live for ever, so a clone is a copy and a drop is nothing: a waker costs no reference count, and a
//! primitive may wake a goroutine after it has let go of everything that proved the goroutine alive.

use super::header::{Task, TaskRef};
use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

unsafe fn clone(task: *const ()) -> RawWaker {
    RawWaker::new(task, &VTABLE)
}

unsafe fn wake(task: *const ()) {
    // SAFETY: the pointer came from `waker` below.
    unsafe { TaskRef::from_ptr(task.cast::<Task>().cast_mut()) }.wake();
}

unsafe fn drop(_task: *const ()) {}

/// Whether a waker is a goroutine's: calling it runs no foreign code, and cannot panic.
#[inline]
pub(crate) fn is_goroutine(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &VTABLE)
}

/// The task that a waker wakes, if it is one of ours.
#[inline]
pub(crate) fn task_of(waker: &Waker) -> Option<TaskRef> {
    // SAFETY: wakers with these functions are made by `waker` below, from a task's pointer.
    is_goroutine(waker).then(|| unsafe { TaskRef::from_ptr(waker.data().cast::<Task>().cast_mut()) })
}

/// The waker of `task`. Dropping it does nothing, hence `ManuallyDrop`: it saves the call.
#[inline]
pub(crate) fn waker(task: TaskRef) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE);
    // SAFETY: the four functions are thread-safe (a wake is an atomic operation and a queueing), and the
    // pointer is good for ever, so clones and late wakes are fine.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}
