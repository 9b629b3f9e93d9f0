//! A waiting future's place in a queue, and the bare list of such places.
//!
//! The links live in the (pinned) future, so waiting allocates nothing and leaving the middle of a queue is
//! O(1). Whoever owns a [`NodeList`] keeps it behind a [`Spin`]: [`WaitQueue`](super::queue::WaitQueue)
//! does, and the mutex, whose word and list must change together.
//!
//! # Rules
//!
//! - A notifier's last touch of a node is the `Release` store of its state, made under the lock. The owner
//!   who reads that state with `Acquire` may free the node at once, while the notifier still holds the lock.
//! - No waker is cloned, woken or dropped under the lock: it may be foreign code. So nodes give their
//!   wakers back by value, and who gets one uses it after the lock.

use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicU32, Ordering, UnsafeCell};
use std::fmt;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;
use std::task::Waker;

/// What a waiter was told when it was taken out of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It alone: if it cannot act on it, the next waiter must be told instead.
    One,
    /// It and all others that waited.
    All,
    /// What it waited for is its own already (a lock handed over without being released).
    Handed,
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    /// In no queue.
    Idle,
    /// In a queue.
    Waiting,
    /// Taken out of the queue with a signal that its owner has not seen yet.
    Signalled(Signal),
}

// The state word of a node:
//
// | value    | linked | waker | links and waker belong to         | who may leave this state, and how           |
// |----------|--------|-------|-----------------------------------|---------------------------------------------|
// | IDLE     | no     | none  | the owner                         | owner, under the lock: push -> WAITING      |
// | WAITING  | yes    | some  | whoever holds the list's lock     | lock holder: signal -> ONE, ALL or HANDED;  |
// |          |        |       |                                   | owner, under the lock: remove -> IDLE       |
// | ONE      | no     | none  | the owner                         | owner: reset -> IDLE, or push -> WAITING    |
// | ALL      | no     | none  | the owner                         | owner: reset -> IDLE                        |
// | HANDED   | no     | none  | the owner                         | owner: reset -> IDLE                        |
const IDLE: u32 = 0;
const WAITING: u32 = 1;
const ONE: u32 = 2;
const ALL: u32 = 3;
const HANDED: u32 = 4;

/// One future's place in a queue.
///
/// Whoever pushes it must take it out again before it is dropped ([`NodeList::remove`]); that is the contract of the unsafe `push` functions.
pub(crate) struct WaitNode {
    state: AtomicU32,
    // See the table for who may touch it when.
    body: UnsafeCell<Body>,
    // Others point at it while it waits.
    _pin: PhantomPinned,
}

struct Body {
    prev: *const WaitNode,
    next: *const WaitNode,
    /// The turn drawn when it was queued. In a bare list whatever its owner wants to find at the front: a
    /// semaphore keeps the number of permits there.
    ticket: u64,
    waker: Option<Waker>,
}

// SAFETY: a node is moved only while IDLE, when its pointers are dead; its waker is `Send`.
unsafe impl Send for WaitNode {}
// SAFETY: shared access is either atomic or follows the table: one side at a time.
unsafe impl Sync for WaitNode {}

impl WaitNode {
    pub(crate) fn new() -> Self {
        let body = Body { prev: ptr::null(), next: ptr::null(), ticket: 0, waker: None };
        Self { state: AtomicU32::new(IDLE), body: UnsafeCell::new(body), _pin: PhantomPinned }
    }

    /// Where the node stands. Only the owner learns something lasting from it: `Idle` and `Signalled` are
    /// left by the owner alone, `Waiting` may be over at once unless the lock is held.
    #[inline]
    pub(crate) fn state(&self) -> NodeState {
        // Acquire: pairs with the Release in `signal`, so that what the notifier did before is seen, and
        // the node's body is ours again.
        match self.state.load(Ordering::Acquire) {
            IDLE => NodeState::Idle,
            WAITING => NodeState::Waiting,
            ONE => NodeState::Signalled(Signal::One),
            ALL => NodeState::Signalled(Signal::All),
            _ => NodeState::Signalled(Signal::Handed),
        }
    }

    /// The ticket drawn when the node was queued.
    ///
    /// # Safety
    ///
    /// The node is `Waiting` and the lock of its list is held, or the caller owns it outside any list.
    pub(crate) unsafe fn ticket(&self) -> u64 {
        // SAFETY: by the table the body is our caller's.
        self.body.with(|body| unsafe { (*body).ticket })
    }

    /// The owner has taken note of a signal.
    #[inline]
    pub(crate) fn reset(&self) {
        debug_assert_ne!(self.state(), NodeState::Waiting);
        // Relaxed: nobody else looks at a node that is in no queue.
        self.state.store(IDLE, Ordering::Relaxed);
    }

    /// Called by the owner when it is polled while `Waiting`: makes sure that `waker` is the one that gets
    /// called. Returns the state as it is under the lock, which may be a signal by now.
    ///
    /// `lock` is the lock of the list this node is in.
    pub(crate) fn refresh_waker<T>(&self, lock: &Spin<T>, waker: &Waker) -> NodeState {
        {
            let _held = lock.lock();
            let state = self.state();
            // SAFETY: we hold the list's lock, so by the table the body is ours while WAITING, and the
            // owner's (us) otherwise. `will_wake` compares two words; it runs no foreign code.
            let same = self
                .body
                .with(|body| unsafe { (*body).waker.as_ref().is_some_and(|old| old.will_wake(waker)) });
            if state != NodeState::Waiting || same {
                return state;
            }
        }
        // Cloned outside the lock; a signal may come meanwhile, so look again.
        let mut fresh = Some(waker.clone());
        let state = {
            let _held = lock.lock();
            let state = self.state();
            if state == NodeState::Waiting {
                // SAFETY: as above, and no other reference to the body exists under the lock.
                self.body.with_mut(|body| unsafe { std::mem::swap(&mut (*body).waker, &mut fresh) });
            }
            state
        };
        // The replaced waker (or the one not needed) goes after the lock.
        drop(fresh);
        state
    }
}

impl Drop for WaitNode {
    fn drop(&mut self) {
        debug_assert_ne!(self.state(), NodeState::Waiting, "a wait node was dropped inside its queue");
    }
}

impl fmt::Debug for WaitNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WaitNode").field(&self.state()).finish()
    }
}

/// A doubly linked list of [`WaitNode`]s. `&mut` to it means: its lock is held.
pub(crate) struct NodeList {
    head: *const WaitNode,
    tail: *const WaitNode,
}

// SAFETY: the nodes behind the pointers stay valid while they are in the list (contract of `push`), on
// whatever thread the list is looked at.
unsafe impl Send for NodeList {}

impl NodeList {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null(), tail: ptr::null() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Puts a node at the end: a new waiter.
    ///
    /// # Safety
    ///
    /// - The caller owns the node, which is in no list.
    /// - The node stays where it is and alive until it was popped and signalled, or removed from this list.
    /// - All access to this list, until then, is under one and the same lock, held now.
    pub(crate) unsafe fn push_back(&mut self, node: Pin<&WaitNode>, ticket: u64, waker: Waker) {
        let (at, tail) = (ptr::from_ref(node.get_ref()), self.tail);
        // SAFETY: passed on from our caller.
        unsafe { Self::occupy(at, tail, ptr::null(), ticket, waker) };
        match tail.is_null() {
            true => self.head = at,
            // SAFETY: the tail is in this list, hence alive, and its links are ours under the lock.
            false => unsafe { (*tail).body.with_mut(|body| (*body).next = at) },
        }
        self.tail = at;
    }

    /// Puts a node at the front: a waiter that had its turn and lost it through no fault of its own.
    ///
    /// # Safety
    ///
    /// As [`NodeList::push_back`].
    pub(crate) unsafe fn push_front(&mut self, node: Pin<&WaitNode>, waker: Waker) {
        let (at, head) = (ptr::from_ref(node.get_ref()), self.head);
        // SAFETY: passed on from our caller.
        unsafe { Self::occupy(at, ptr::null(), head, 0, waker) };
        match head.is_null() {
            true => self.tail = at,
            // SAFETY: the head is in this list, hence alive, and its links are ours under the lock.
            false => unsafe { (*head).body.with_mut(|body| (*body).prev = at) },
        }
        self.head = at;
    }

    /// Fills a node and makes it `WAITING`.
    ///
    /// # Safety
    ///
    /// The caller owns the node, which is in no list, and holds the lock of the list it goes into.
    unsafe fn occupy(
        at: *const WaitNode,
        prev: *const WaitNode,
        next: *const WaitNode,
        ticket: u64,
        waker: Waker,
    ) {
        // SAFETY: the node is alive and its body the owner's, which is our caller.
        unsafe {
            (*at).body.with_mut(|body| {
                debug_assert!((*body).waker.is_none(), "a node outside a list keeps no waker");
                // Written over, not assigned: assigning would drop the old waker under the lock.
                ptr::write(body, Body { prev, next, ticket, waker: Some(waker) });
            });
            // Relaxed: others learn of the node through the lock.
            (*at).state.store(WAITING, Ordering::Relaxed);
        }
    }

    /// The ticket of the node at the front.
    pub(crate) fn front_ticket(&self) -> Option<u64> {
        // SAFETY: what is in the list is alive, and `&self` means that the lock is held.
        (!self.is_empty()).then(|| unsafe { (*self.head).body.with(|body| (*body).ticket) })
    }

    /// Unlinks the node at the front. The caller then changes what must change before the waiter can see
    /// its signal, and calls [`Popped::signal`], all under the lock (which the borrow ensures).
    pub(crate) fn pop_front(&mut self) -> Option<Popped<'_>> {
        if self.is_empty() {
            return None;
        }
        let node = self.head;
        // SAFETY: the head is in this list.
        unsafe { self.unlink(node) };
        Some(Popped { node, list: self })
    }

    /// Takes a waiting node out of this list and returns its waker, to be dropped after the lock.
    ///
    /// # Safety
    ///
    /// The node is in this list, and the caller owns it.
    pub(crate) unsafe fn remove(&mut self, node: Pin<&WaitNode>) -> Option<Waker> {
        debug_assert_eq!(node.state(), NodeState::Waiting);
        // SAFETY: passed on from our caller.
        unsafe { self.unlink(ptr::from_ref(node.get_ref())) };
        // Relaxed: the node is its owner's alone from here on, and the owner is our caller.
        node.state.store(IDLE, Ordering::Relaxed);
        // SAFETY: WAITING until a moment ago under the lock we hold; now ours.
        node.body.with_mut(|body| unsafe { (*body).waker.take() })
    }

    /// # Safety
    ///
    /// The node is in this list.
    unsafe fn unlink(&mut self, node: *const WaitNode) {
        // SAFETY: the node and its neighbours are in the list, so they are alive and their links ours.
        unsafe {
            let (prev, next) = (*node).body.with(|body| ((*body).prev, (*body).next));
            match prev.is_null() {
                true => self.head = next,
                false => (*prev).body.with_mut(|body| (*body).next = next),
            }
            match next.is_null() {
                true => self.tail = prev,
                false => (*next).body.with_mut(|body| (*body).prev = prev),
            }
        }
    }

    /// Moves all nodes of `other` to the end of this list. O(1).
    pub(crate) fn append(&mut self, other: &mut NodeList) {
        if other.is_empty() {
            return;
        }
        match self.is_empty() {
            true => self.head = other.head,
            // SAFETY: both ends are in lists guarded by the lock that is held.
            false => unsafe {
                (*self.tail).body.with_mut(|body| (*body).next = other.head);
                (*other.head).body.with_mut(|body| (*body).prev = self.tail);
            },
        }
        self.tail = other.tail;
        *other = NodeList::new();
    }

    /// How many nodes at the front have tickets below `ticket`. O(that many).
    pub(crate) fn count_below(&self, ticket: u64) -> usize {
        self.last_below(ticket).1
    }

    /// Takes out the nodes at the front whose tickets are below `ticket`. O(that many).
    pub(crate) fn take_below(&mut self, ticket: u64) -> NodeList {
        let (last, _) = self.last_below(ticket);
        if last.is_null() {
            return NodeList::new();
        }
        // SAFETY: what is in the list is alive, and `&mut self` means that the lock is held.
        let next = unsafe { (*last).body.with_mut(|body| std::mem::replace(&mut (*body).next, ptr::null())) };
        let taken = NodeList { head: self.head, tail: last };
        self.head = next;
        match next.is_null() {
            true => self.tail = ptr::null(),
            // SAFETY: as above.
            false => unsafe { (*next).body.with_mut(|body| (*body).prev = ptr::null()) },
        }
        taken
    }

    /// The last node of those at the front whose tickets are below `ticket`, and how many those are.
    fn last_below(&self, ticket: u64) -> (*const WaitNode, usize) {
        let (mut last, mut at, mut count) = (ptr::null(), self.head, 0);
        while !at.is_null() {
            // SAFETY: what is in the list is alive, and `&self` means that the lock is held.
            let (own, next) = unsafe { (*at).body.with(|body| ((*body).ticket, (*body).next)) };
            if own >= ticket {
                break;
            }
            (last, at, count) = (at, next, count + 1);
        }
        (last, count)
    }
}

impl fmt::Debug for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeList").field("is_empty", &self.is_empty()).finish()
    }
}

/// A node that was unlinked and does not know it yet.
#[must_use = "a node that is popped and not signalled waits for ever"]
pub(crate) struct Popped<'l> {
    node: *const WaitNode,
    // Keeps the lock held: the node may be freed once it is signalled, not before.
    list: &'l NodeList,
}

impl Popped<'_> {
    /// Whether it was the last one in the list.
    pub(crate) fn was_last(&self) -> bool {
        self.list.is_empty()
    }

    /// Tells the node. Returns its waker, to be called after the lock is released.
    #[must_use]
    pub(crate) fn signal(self, signal: Signal) -> Option<Waker> {
        let state = match signal {
            Signal::One => ONE,
            Signal::All => ALL,
            Signal::Handed => HANDED,
        };
        // SAFETY: still WAITING, so the owner keeps it alive, and the lock is held: the body is ours. The
        // store is the last touch; Release hands the body, and all we did before, to the owner.
        unsafe {
            let waker = (*self.node).body.with_mut(|body| (*body).waker.take());
            (*self.node).state.store(state, Ordering::Release);
            waker
        }
    }
}
