//! Cells of a header that its owner writes and that anybody may look at.
//!
//! A single value is never torn, and costs what a `Cell` costs: relaxed loads and stores of a word. What several of
//! them say together is for [`peek`](super::peek) to make sure.

use super::header::{Task, TaskRef};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

macro_rules! shown_number {
    ($name:ident, $atomic:ident, $number:ident) => {
        pub(crate) struct $name($atomic);

        impl $name {
            pub(crate) const fn new(value: $number) -> Self {
                Self($atomic::new(value))
            }

            #[inline]
            pub(crate) fn get(&self) -> $number {
                self.0.load(Ordering::Relaxed)
            }

            #[inline]
            pub(crate) fn set(&self, value: $number) {
                self.0.store(value, Ordering::Relaxed);
            }
        }
    };
}

shown_number!(ShownU8, AtomicU8, u8);
shown_number!(ShownU16, AtomicU16, u16);
shown_number!(ShownU32, AtomicU32, u32);
shown_number!(ShownU64, AtomicU64, u64);

impl ShownU64 {
    /// Sets the value after all that the caller has written: who sees it with [`Self::acquire`] sees that.
    #[inline]
    pub(crate) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    #[inline]
    pub(crate) fn acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A task, or none. Headers live for ever.
pub(crate) struct ShownTask(AtomicPtr<Task>);

impl ShownTask {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<TaskRef> {
        let task = self.0.load(Ordering::Relaxed);
        // SAFETY: null, or made from a task.
        (!task.is_null()).then(|| unsafe { TaskRef::from_ptr(task) })
    }

    #[inline]
    pub(crate) fn set(&self, task: Option<TaskRef>) {
        self.0.store(task.map_or(std::ptr::null_mut(), TaskRef::as_ptr), Ordering::Relaxed);
    }

    /// The task, which is there no more. For the owner.
    #[inline]
    pub(crate) fn take(&self) -> Option<TaskRef> {
        let task = self.get();
        self.set(None);
        task
    }
}

/// A reference to something that lives for ever, or none.
pub(crate) struct ShownOption<T: 'static>(AtomicPtr<T>);

impl<T> ShownOption<T> {
    pub(crate) const fn new(value: Option<&'static T>) -> Self {
        Self(AtomicPtr::new(pointer(value)))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or made from such a reference.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(crate) fn set(&self, value: Option<&'static T>) {
        self.0.store(pointer(value), Ordering::Relaxed);
    }
}

const fn pointer<T>(value: Option<&'static T>) -> *mut T {
    match value {
        Some(value) => std::ptr::from_ref(value).cast_mut(),
        None => std::ptr::null_mut(),
    }
}

/// A reference to something that lives for ever.
pub(crate) struct ShownRef<T: 'static>(ShownOption<T>);

impl<T> ShownRef<T> {
    pub(crate) const fn new(value: &'static T) -> Self {
        Self(ShownOption::new(Some(value)))
    }

    #[inline]
    pub(crate) fn get(&self) -> &'static T {
        // SAFETY: there is always one.
        unsafe { self.0.get().unwrap_unchecked() }
    }

    #[inline]
    pub(crate) fn set(&self, value: &'static T) {
        self.0.set(Some(value));
    }

    /// Sets the value after all that the caller has written: who sees it with [`Self::acquire`] sees that.
    #[inline]
    pub(crate) fn publish(&self, value: &'static T) {
        self.0.0.store(std::ptr::from_ref(value).cast_mut(), Ordering::Release);
    }

    #[inline]
    pub(crate) fn acquire(&self) -> &'static T {
        // SAFETY: made from such a reference, and there is always one.
        unsafe { &*self.0.0.load(Ordering::Acquire) }
    }
}
