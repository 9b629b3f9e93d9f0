//! Wait nodes and the doubly linked lists they queue in.
//!
//! A [`Node`] lives in the pinned future, or in the frame, of the operation that waits: queueing allocates
//! nothing, and leaving a queue is O(1) from anywhere in it (C29).
//!
//! Every field of a node is guarded by the lock of the channel it was last given to; before it is given to one
//! it is its owner's. A linked node and its waiter stay where they are until the node has been unlinked under
//! that lock, by the peer who serves it or by the owner who leaves.

use super::waiter::{Outcome, Waiter, Wakes};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// The list a node is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// None.
    Nowhere,
    /// The queue of its side, receivers or senders.
    Queue,
    /// The receivers that a chosen send case owes a value.
    Paired,
    /// The watchers of its side.
    Watch,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A plain operation. A sender's value is in its slot; a receiver may go back to the head of its queue.
    Plain,
    /// A receive that will not wait for another peer: if the one it is paired with gives up, it looks again.
    Try,
    /// A case of a select. A sender's value does not exist yet.
    Case,
    /// A case that is only to be told when it becomes ready.
    Watch,
}

/// One place in a queue.
#[derive(Debug)]
pub(crate) struct Node {
    prev: Cell<*const Node>,
    next: Cell<*const Node>,
    waiter: Cell<*const Waiter>,
    /// Where a receive wants its value, or a plain send has it: an `Option<T>` of the channel's `T`.
    /// Null for a receive case without a place of its own, whose value the channel keeps under the ticket.
    slot: Cell<*mut ()>,
    ticket: Cell<u64>,
    case: Cell<u32>,
    home: Cell<Home>,
    kind: Cell<Kind>,
}

// SAFETY: a node that is in no list is plain data of its owner; one that is in a list does not move (its owner
// is pinned or blocked), and is touched only under the lock of that list, from whatever thread.
unsafe impl Send for Node {}

impl Node {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            waiter: Cell::new(ptr::null()),
            slot: Cell::new(ptr::null_mut()),
            ticket: Cell::new(0),
            case: Cell::new(0),
            home: Cell::new(Home::Nowhere),
            kind: Cell::new(kind),
        }
    }

    /// Names the operation this node stands for. Only while it is in no list.
    #[inline]
    pub(crate) fn prepare(&self, waiter: &Waiter, case: u32, slot: *mut ()) {
        debug_assert_eq!(self.home.get(), Home::Nowhere);
        self.waiter.set(waiter);
        self.case.set(case);
        self.slot.set(slot);
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.kind.get()
    }

    pub(crate) fn set_kind(&self, kind: Kind) {
        self.kind.set(kind);
    }

    #[inline]
    pub(crate) fn home(&self) -> Home {
        self.home.get()
    }

    #[inline]
    pub(crate) fn case(&self) -> u32 {
        self.case.get()
    }

    #[inline]
    pub(crate) fn slot(&self) -> *mut () {
        self.slot.get()
    }

    #[inline]
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket.get()
    }

    #[inline]
    pub(crate) fn set_ticket(&self, ticket: u64) {
        self.ticket.set(ticket);
    }

    /// The operation's waiter.
    ///
    /// # Safety
    ///
    /// [`Node::prepare`] was called with a waiter that is still there: the node is linked and its lock held, or
    /// the caller has claimed or found paired the operation and still holds that lock, or is its owner.
    #[inline]
    pub(crate) unsafe fn waiter(&self) -> &Waiter {
        // SAFETY: the caller vouches for it.
        unsafe { &*self.waiter.get() }
    }

    /// Ends the operation and hands its waker to `wakes`. The node must not be touched afterwards.
    ///
    /// # Safety
    ///
    /// As [`Waiter::finish`]; the node is unlinked.
    #[inline]
    pub(crate) unsafe fn finish(&self, outcome: Outcome, wakes: &mut Wakes) {
        debug_assert_eq!(self.home.get(), Home::Nowhere);
        // SAFETY: the caller vouches for the claim and the lock, and hands the node over.
        wakes.push(unsafe { self.waiter().finish(self.case.get(), outcome) });
    }
}

/// A first-in-first-out list of nodes.
#[derive(Debug)]
pub(crate) struct List {
    head: *const Node,
    tail: *const Node,
}

// SAFETY: the list is data under a lock, as its nodes are.
unsafe impl Send for List {}

impl List {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null(), tail: ptr::null() }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.head.cast_mut())
    }

    /// Appends a node.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock; the node is in no list, and it and its waiter stay in place until it
    /// has been removed under that lock.
    pub(crate) unsafe fn push_back(&mut self, node: &Node, home: Home) {
        debug_assert_eq!(node.home.get(), Home::Nowhere);
        node.home.set(home);
        node.prev.set(self.tail);
        node.next.set(ptr::null());
        if self.tail.is_null() {
            self.head = node;
        } else {
            // SAFETY: linked nodes are in place, and the lock gives us their links.
            unsafe { (*self.tail).next.set(node) };
        }
        self.tail = node;
    }

    /// Puts a node before all others.
    ///
    /// # Safety
    ///
    /// As for [`List::push_back`].
    pub(crate) unsafe fn push_front(&mut self, node: &Node, home: Home) {
        debug_assert_eq!(node.home.get(), Home::Nowhere);
        node.home.set(home);
        node.prev.set(ptr::null());
        node.next.set(self.head);
        if self.head.is_null() {
            self.tail = node;
        } else {
            // SAFETY: linked nodes are in place, and the lock gives us their links.
            unsafe { (*self.head).prev.set(node) };
        }
        self.head = node;
    }

    /// Takes a node out.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock, and the node is in this very list.
    #[inline]
    pub(crate) unsafe fn remove(&mut self, node: &Node) {
        debug_assert_ne!(node.home.get(), Home::Nowhere);
        let (prev, next) = (node.prev.get(), node.next.get());
        if prev.is_null() {
            self.head = next;
        } else {
            // SAFETY: the neighbours are linked, hence in place; the lock gives us their links.
            unsafe { (*prev).next.set(next) };
        }
        if next.is_null() {
            self.tail = prev;
        } else {
            // SAFETY: as above.
            unsafe { (*next).prev.set(prev) };
        }
        node.home.set(Home::Nowhere);
    }

    /// Takes the first node whose operation this caller wins; nodes of operations that were won elsewhere leave
    /// on the way, so that they are looked at once only.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock, and ends or pairs the claimed operation before releasing it.
    #[inline]
    pub(crate) unsafe fn claim_first(&mut self) -> Option<NonNull<Node>> {
        while let Some(first) = self.first() {
            // SAFETY: linked nodes and their waiters are in place while the lock is held.
            unsafe {
                let node = first.as_ref();
                self.remove(node);
                if node.waiter().claim(node.case()) {
                    return Some(first);
                }
            }
        }
        None
    }

    /// The first node whose operation could be claimed, left in its place. Decided nodes leave on the way.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock.
    pub(crate) unsafe fn peek_claimable(&mut self) -> Option<NonNull<Node>> {
        while let Some(first) = self.first() {
            // SAFETY: linked nodes and their waiters are in place while the lock is held.
            unsafe {
                let node = first.as_ref();
                if node.waiter().is_claimable() {
                    return Some(first);
                }
                self.remove(node);
            }
        }
        None
    }

    /// The operations in the list that a peer could claim now, in their order; for tests.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock.
    #[cfg(all(test, not(loom)))]
    pub(crate) unsafe fn claimable(&self) -> Vec<*const Waiter> {
        let mut found = Vec::new();
        let mut at = self.first();
        while let Some(node) = at {
            // SAFETY: linked nodes and their waiters are in place while the lock is held.
            let (node, waiter) = unsafe { (node.as_ref(), node.as_ref().waiter()) };
            if waiter.is_claimable() {
                found.push(std::ptr::from_ref(waiter));
            }
            at = NonNull::new(node.next.get().cast_mut());
        }
        found
    }

    /// The node with this ticket, left in its place.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock.
    pub(crate) unsafe fn find_ticket(&self, ticket: u64) -> Option<NonNull<Node>> {
        let mut at = self.first();
        while let Some(node) = at {
            // SAFETY: linked nodes are in place while the lock is held.
            let node_ref = unsafe { node.as_ref() };
            if node_ref.ticket() == ticket {
                return Some(node);
            }
            at = NonNull::new(node_ref.next.get().cast_mut());
        }
        None
    }

    /// Ends up to `limit` operations with one outcome. True if the list is empty then.
    ///
    /// # Safety
    ///
    /// The caller holds the list's lock; `wakes` is dropped after it has been released.
    pub(crate) unsafe fn finish_some(&mut self, limit: usize, outcome: Outcome, wakes: &mut Wakes) -> bool {
        for _ in 0..limit {
            // SAFETY: the lock is held, and the claimed operation is ended at once.
            match unsafe { self.claim_first() } {
                // SAFETY: just claimed and unlinked; not touched again.
                Some(node) => unsafe { node.as_ref().finish(outcome, wakes) },
                None => return true,
            }
        }
        self.is_empty()
    }
}
