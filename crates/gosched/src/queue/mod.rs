//! The queues between workers. They hold items that link to each other, and know nothing of what those are.
//!
//! * [`ring::Ring`]: a worker's own run queue, from which others steal.
//! * [`injector::Injector`]: the queue of the whole runtime.
//! * [`inbox::Inbox`]: what other threads send to one worker.
//! * [`fifo::Fifo`]: what is pinned to a worker; nobody else touches it.
//! * [`batch::Batch`]: what a worker has taken off the injector for its coming fair turns.

pub(crate) mod batch;
pub(crate) mod fifo;
pub(crate) mod inbox;
pub(crate) mod injector;
pub(crate) mod ring;

/// An item a queue can hold: a copyable reference with room for one link.
///
/// # Safety
///
/// `from_ptr(into_ptr(x))` is `x`; the link may be written by whoever holds the item, from any thread; the
/// item's memory outlives its stay in the queue.
pub(crate) unsafe trait Linked: Copy {
    /// What the pointer points at.
    type Target;
    /// The item behind this one.
    fn link(self) -> Option<Self>;
    /// Sets it.
    fn set_link(self, next: Option<Self>);
    /// The reference as a bare pointer, never null.
    fn into_ptr(self) -> *mut Self::Target;
    /// The way back.
    ///
    /// # Safety
    ///
    /// `ptr` came from `into_ptr`.
    unsafe fn from_ptr(ptr: *mut Self::Target) -> Self;
}

#[cfg(not(loom))]
mod tasks {
    use crate::task::{Task, TaskRef};

    // SAFETY: headers live for ever, and the link is an atomic of the header.
    unsafe impl super::Linked for TaskRef {
        type Target = Task;
        #[inline]
        fn link(self) -> Option<Self> {
            self.next()
        }
        #[inline]
        fn set_link(self, next: Option<Self>) {
            self.set_next(next);
        }
        #[inline]
        fn into_ptr(self) -> *mut Task {
            self.as_ptr()
        }
        #[inline]
        unsafe fn from_ptr(ptr: *mut Task) -> Self {
            // SAFETY: passed on.
            unsafe { TaskRef::from_ptr(ptr) }
        }
    }
}

/// Items for the tests of this folder.
#[cfg(test)]
pub(crate) mod testing {
    use super::Linked;
    use crate::sys::prim::{AtomicPtr, Ordering};

    pub(crate) struct Node {
        pub(crate) value: usize,
        next: AtomicPtr<Node>,
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Item(pub(crate) &'static Node);

    impl Item {
        pub(crate) fn new(value: usize) -> Item {
            Item(Box::leak(Box::new(Node { value, next: AtomicPtr::new(std::ptr::null_mut()) })))
        }
    }

    // SAFETY: nodes are leaked, and the link is atomic.
    unsafe impl Linked for Item {
        type Target = Node;
        fn link(self) -> Option<Self> {
            // SAFETY: the pointer, if any, is one of ours.
            unsafe { self.0.next.load(Ordering::Relaxed).as_ref().map(Item) }
        }
        fn set_link(self, next: Option<Self>) {
            self.0.next.store(next.map_or(std::ptr::null_mut(), Item::into_ptr), Ordering::Relaxed);
        }
        fn into_ptr(self) -> *mut Node {
            std::ptr::from_ref(self.0).cast_mut()
        }
        unsafe fn from_ptr(ptr: *mut Node) -> Self {
            // SAFETY: by the caller's promise.
            Item(unsafe { &*ptr })
        }
    }
}
