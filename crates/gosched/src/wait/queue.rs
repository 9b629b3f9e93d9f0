//! Queues of waiting futures, first come first served.
//!
//! [`WaitQueue`] is a list of [`WaitNode`]s with its lock: what a condition variable, a wait group or a
//! semaphore stands on.
//!
//! # Rules
//!
//! - No waker is cloned, woken or dropped under the lock: it may be foreign code. Wakers are taken out
//!   under the lock and used after it, in batches of [`WAKE_BATCH`], so nothing is allocated either.
//! - The state of a node is written *before* its waker is called, so an owner that is polled early finds
//!   the signal, and the late wake is a spurious poll to whatever runs by then.
//! - A waiter that was given a `notify_one` and is dropped before it could act on it gives it to the next
//!   ([`WaitQueue::abandon`]): otherwise a cancelled future would swallow somebody's wake-up.

use super::node::{NodeList, NodeState, Signal, WaitNode};
use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicUsize, Ordering};
use crate::sys::threads::discard_payload;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How many wakers are collected under the lock before it is given up to call them.
pub(crate) const WAKE_BATCH: usize = if cfg!(loom) { 1 } else { 32 };

/// A list of waiters with its lock.
///
/// # The two lists
///
/// `notify_all` must tell everyone who waits now, and nobody who comes later, but calls wakers only in
/// batches with the lock released in between. Were the waiters left in place meanwhile, a `notify_one`
/// meant for a newcomer could hit one of them and be lost. So `notify_all` first moves the whole list, in
/// O(1), to `draining`: whoever is there counts as told, although its state does not say so yet. Tickets
/// tell the lists apart: `draining` holds those below `drained_below`, `waiting` the others.
pub(crate) struct WaitQueue {
    /// How many are in `waiting`. Written under the lock; read without it by `notify` when nobody waits.
    waiting: AtomicUsize,
    lists: Spin<Lists>,
}

#[derive(Debug)]
struct Lists {
    waiting: NodeList,
    draining: NodeList,
    next_ticket: u64,
    drained_below: u64,
}

impl Lists {
    const fn new() -> Self {
        Self { waiting: NodeList::new(), draining: NodeList::new(), next_ticket: 0, drained_below: 0 }
    }
}

impl WaitQueue {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), lists: Spin::new(Lists::new()) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), lists: Spin::new(Lists::new()) }
    }

    /// How many wait. A snapshot, for `Debug` and tests.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Drives one wait with the node `node`. The first poll queues it, unless `enter`, asked under the lock,
    /// says that there is nothing to wait for (then `Ready(None)`). `Ready(Some(signal))` comes once, and
    /// leaves the node ready for another wait.
    ///
    /// `enter` runs under the lock: atomics only.
    ///
    /// # Safety
    ///
    /// The caller owns the node, uses it with this queue only, and calls [`WaitQueue::cancel`] or
    /// [`WaitQueue::abandon`] with it before it is dropped.
    pub(crate) unsafe fn poll(
        &self,
        node: Pin<&WaitNode>,
        cx: &mut Context<'_>,
        enter: impl FnOnce() -> bool,
    ) -> Poll<Option<Signal>> {
        let state = match node.state() {
            NodeState::Waiting => node.refresh_waker(&self.lists, cx.waker()),
            state => state,
        };
        match state {
            NodeState::Waiting => Poll::Pending,
            NodeState::Signalled(signal) => {
                node.reset();
                Poll::Ready(Some(signal))
            }
            NodeState::Idle => {
                // Cloned before the lock; declared before the guard, so that it is also dropped after it.
                let waker = cx.waker().clone();
                let mut lists = self.lists.lock();
                if !enter() {
                    drop(lists);
                    return Poll::Ready(None);
                }
                let ticket = lists.next_ticket;
                lists.next_ticket += 1;
                // SAFETY: an idle node is in no list, the lock is held, and our caller promises the rest.
                unsafe { lists.waiting.push_back(node, ticket, waker) };
                self.waiting.store(self.waiting.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                Poll::Pending
            }
        }
    }

    /// Ends a wait from the waiter's side. `Some` if it had been told before that (or, which is the same,
    /// is about to be told by a `notify_all` in progress): the caller decides what becomes of the signal.
    ///
    /// # Safety
    ///
    /// The caller owns the node and uses it with this queue only.
    pub(crate) unsafe fn cancel(&self, node: Pin<&WaitNode>) -> Option<Signal> {
        let mut waker = None;
        let state = match node.state() {
            NodeState::Waiting => {
                let mut lists = self.lists.lock();
                let state = node.state();
                if state == NodeState::Waiting {
                    // SAFETY: WAITING under the lock: the body is ours, and the ticket tells which list
                    // the node is in.
                    unsafe {
                        if node.ticket() < lists.drained_below {
                            waker = lists.draining.remove(node);
                            NodeState::Signalled(Signal::All)
                        } else {
                            waker = lists.waiting.remove(node);
                            self.waiting.store(self.waiting.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
                            NodeState::Idle
                        }
                    }
                } else {
                    state
                }
            }
            state => state,
        };
        drop_quietly(waker);
        node.reset();
        match state {
            NodeState::Signalled(signal) => Some(signal),
            _ => None,
        }
    }

    /// Ends a wait whose owner is dropped: a signal for it alone goes to the next waiter.
    ///
    /// # Safety
    ///
    /// As [`WaitQueue::cancel`].
    pub(crate) unsafe fn abandon(&self, node: Pin<&WaitNode>) {
        // SAFETY: passed on from our caller.
        if unsafe { self.cancel(node) } == Some(Signal::One) {
            self.notify_one();
        }
    }

    /// Tells the one that waits longest. False if nobody waits.
    pub(crate) fn notify_one(&self) -> bool {
        // Without the lock: whoever must be told because it queued before something that happened before
        // this call, is seen here by that same chain; one that queues at this moment may count as later.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let waker = {
            let mut lists = self.lists.lock();
            let Some(popped) = lists.waiting.pop_front() else { return false };
            self.waiting.store(self.waiting.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
            popped.signal(Signal::One)
        };
        match waker {
            // A notification is passed on by destructors, too: a second panic would end the process.
            waker if std::thread::panicking() => wake_quietly(waker),
            Some(waker) => waker.wake(),
            None => {}
        }
        true
    }

    /// Tells all that wait now; returns how many. O(waiters), without allocation.
    pub(crate) fn notify_all(&self) -> usize {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.notify_all_if(|| true)
    }

    /// The same if `condition`, asked under the lock, holds; it always takes the lock.
    pub(crate) fn notify_all_if(&self, condition: impl FnOnce() -> bool) -> usize {
        let (count, below) = {
            let mut guard = self.lists.lock();
            if !condition() {
                return 0;
            }
            let lists = &mut *guard;
            lists.draining.append(&mut lists.waiting);
            lists.drained_below = lists.next_ticket;
            let count = self.waiting.load(Ordering::Relaxed);
            self.waiting.store(0, Ordering::Relaxed);
            (count, lists.drained_below)
        };
        if count > 0 {
            wake_in_batches(|batch| batch.tell_below(&mut self.lists.lock().draining, below, Signal::All));
        }
        count
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue").field("waiting", &self.len()).finish()
    }
}

/// Tells waiters batch by batch, with the lock given up in between: `fill` takes it, tells as many as the list it is
/// given has room for, and gives it up. Ends when `fill` has told nobody.
///
/// A foreign waker that panics costs the others nothing: the first panic goes on when all have been told.
pub(crate) fn wake_in_batches(fill: impl FnMut(&mut WakeList)) {
    match wake_all_batches(fill) {
        // A second panic while unwinding would end the process.
        Some(payload) if !std::thread::panicking() => resume_unwind(payload),
        Some(payload) => discard_payload(payload),
        None => {}
    }
}

/// The same for a caller who must not unwind: panics end here, the hook having told of them.
pub(crate) fn wake_in_batches_quietly(fill: impl FnMut(&mut WakeList)) {
    if let Some(payload) = wake_all_batches(fill) {
        discard_payload(payload);
    }
}

fn wake_all_batches(mut fill: impl FnMut(&mut WakeList)) -> Option<Box<dyn Any + Send>> {
    let (mut batch, mut first_panic) = (WakeList::new(), None);
    loop {
        fill(&mut batch);
        if batch.is_empty() {
            return first_panic;
        }
        batch.wake_all(&mut first_panic);
    }
}

/// Calls a waker for somebody who must not unwind because of it, such as one who has just given up a lock, in the name
/// of a guard that is still there.
pub(crate) fn wake_quietly(waker: Option<Waker>) {
    if let Some(waker) = waker {
        quietly(|| waker.wake());
    }
}

/// Drops a waker for somebody who has still to see to others.
pub(crate) fn drop_quietly(waker: Option<Waker>) {
    if let Some(waker) = waker {
        quietly(|| drop(waker));
    }
}

fn quietly(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        discard_payload(payload);
    }
}

/// Wakers on their way from under a lock to being called.
pub(crate) struct WakeList {
    wakers: [Option<Waker>; WAKE_BATCH],
    len: usize,
}

impl WakeList {
    pub(crate) fn new() -> Self {
        Self { wakers: [const { None }; WAKE_BATCH], len: 0 }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == WAKE_BATCH
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a waker; the list is not full.
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        // Written only where `None` is, so nothing is dropped under the caller's lock.
        debug_assert!(self.wakers[self.len].is_none());
        self.wakers[self.len] = waker;
        self.len += 1;
    }

    /// Under the list's lock: tells those with tickets below `below`, as long as there is room.
    pub(crate) fn tell_below(&mut self, list: &mut NodeList, below: u64, signal: Signal) {
        while !self.is_full() && list.front_ticket().is_some_and(|ticket| ticket < below) {
            let Some(popped) = list.pop_front() else { break };
            self.push(popped.signal(signal));
        }
    }

    /// Calls them, oldest first. The first panic is kept.
    pub(crate) fn wake_all(&mut self, first_panic: &mut Option<Box<dyn Any + Send>>) {
        for slot in &mut self.wakers[..self.len] {
            if let Some(waker) = slot.take()
                && let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
            {
                match first_panic {
                    None => *first_panic = Some(payload),
                    Some(_) => discard_payload(payload),
                }
            }
        }
        self.len = 0;
    }
}

impl fmt::Debug for WakeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeList").field("len", &self.len).finish()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "queue_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "queue_model.rs"]
mod model;
