//! The claim word: who decides how a blocked operation ends, and how its owner learns of it.
//!
//! A [`Waiter`] lives in the frame or the future of the operation that waits. A plain send or receive has one
//! [`Node`](super::list::Node) in one queue; a select has one node per case, all of which point at one waiter.
//!
//! | phase | meaning | who leaves it |
//! |---|---|---|
//! | `IDLE` | in no queue | the owner |
//! | `WAITING` | queued; whoever holds the lock of a queue it is in may claim it | a peer, or the owner |
//! | `UPDATING` | the owner of a select exchanges its waker | the owner, after two moves |
//! | `CLAIMED` | a peer has won a select and is filling in the result | that peer, before it unlocks |
//! | `PAIRED` | bound to one peer, whose value is still to come | that peer, or the owner by withdrawing |
//! | the rest | an [`Outcome`]; the peer never touches waiter or node again | the owner |
//!
//! The low byte holds the phase, the rest the number of the case it concerns.
//!
//! Whose turn it is to touch the waker: in `IDLE` and `UPDATING` the owner's; in `WAITING` and `PAIRED` that of
//! whoever holds the lock and, for a select, has moved the word to `CLAIMED` or found it `PAIRED`.
//!
//! The store of the outcome (release) is a peer's last touch of the owner's memory: the owner may return, and
//! its frame disappear, as soon as it has read that store (acquire). Hence the waker is taken out before.

use crate::sys::prim::{AtomicU32, Ordering, UnsafeCell, spin_hint, yield_thread};
use crate::sys::threads::discard_payload;
#[cfg(not(loom))]
use crate::task::waker::is_goroutine;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Models have no goroutines, only foreign wakers.
#[cfg(loom)]
fn is_goroutine(_: &Waker) -> bool {
    false
}

const IDLE: u32 = 0;
const WAITING: u32 = 1;
const UPDATING: u32 = 2;
const CLAIMED: u32 = 3;
const PAIRED: u32 = 4;
const DELIVERED: u32 = 5;
const CLOSED: u32 = 6;
const RESERVED: u32 = 7;
const TICKET: u32 = 8;
const READY: u32 = 9;
const RETRY: u32 = 10;

const PHASE_MASK: u32 = 0xff;
const CASE_SHIFT: u32 = 8;

/// How a peer ended an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Outcome {
    /// The value has changed hands.
    Delivered = DELIVERED,
    /// The channel was closed or lost its receivers.
    Closed = CLOSED,
    /// A select's send case owns one place in the buffer.
    Reserved = RESERVED,
    /// A select's send case owes its value to the receiver under the node's ticket.
    Ticket = TICKET,
    /// A watched case became ready; nothing has moved.
    Ready = READY,
    /// The peer gave up: begin again.
    Retry = RETRY,
}

/// What the owner sees of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In no queue.
    Idle,
    /// Queued, nobody has claimed it.
    Waiting,
    /// Being committed or paired by the case with this number.
    Bound(u32),
    /// Ended by the case with this number.
    Done(u32, Outcome),
}

/// One waiting operation: the claim word and the waker.
#[derive(Debug)]
pub(crate) struct Waiter {
    word: AtomicU32,
    /// Whether several locks guard it, as for a select: then only a compare-and-swap claims it.
    shared: bool,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the waker is touched only by whom the table in the module's head names, never by two at once; the
// rest is atomic or never changes.
unsafe impl Sync for Waiter {}
// SAFETY: as above; a waker may be sent.
unsafe impl Send for Waiter {}

impl Waiter {
    /// For an operation with one node.
    pub(crate) fn solo() -> Self {
        Self { word: AtomicU32::new(IDLE), shared: false, waker: UnsafeCell::new(None) }
    }

    /// For an operation with nodes under several locks.
    pub(crate) fn shared() -> Self {
        Self { word: AtomicU32::new(IDLE), shared: true, waker: UnsafeCell::new(None) }
    }

    /// The present phase. Acquire: an outcome makes visible what the peer wrote before it.
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        let word = self.word.load(Ordering::Acquire);
        let case = word >> CASE_SHIFT;
        match word & PHASE_MASK {
            IDLE => Phase::Idle,
            WAITING | UPDATING => Phase::Waiting,
            CLAIMED | PAIRED => Phase::Bound(case),
            DELIVERED => Phase::Done(case, Outcome::Delivered),
            CLOSED => Phase::Done(case, Outcome::Closed),
            RESERVED => Phase::Done(case, Outcome::Reserved),
            TICKET => Phase::Done(case, Outcome::Ticket),
            READY => Phase::Done(case, Outcome::Ready),
            _ => Phase::Done(case, Outcome::Retry),
        }
    }

    /// How a peer has ended the operation, if one has. Acquire, as [`Waiter::phase`].
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.phase() {
            Phase::Done(_, outcome) => Some(outcome),
            _ => None,
        }
    }

    // ---- the owner's transitions ----

    /// Leaves a waker for the peers. Only in `Idle`.
    ///
    /// # Safety
    ///
    /// The owner calls, and the phase is `Idle`.
    pub(crate) unsafe fn set_waker(&self, waker: Waker) {
        // SAFETY: in `Idle` no queue knows this waiter, so the owner is alone.
        drop(self.waker.with_mut(|w| unsafe { (*w).replace(waker) }));
    }

    /// `Idle` → `Waiting`. The caller holds every lock under which it queues itself.
    #[inline]
    pub(crate) fn start_waiting(&self) {
        // Relaxed: a peer finds the node through the lock, whose release publishes this store too.
        self.word.store(WAITING, Ordering::Relaxed);
    }

    /// Any phase → `Idle`, dropping a waker that was not used.
    ///
    /// # Safety
    ///
    /// The owner calls, no queue holds one of its nodes, and no lock is held (a waker may be dropped).
    #[inline]
    pub(crate) unsafe fn reset(&self) {
        self.word.store(IDLE, Ordering::Relaxed);
        // SAFETY: no queue holds a node, so the owner is alone.
        drop(self.waker.with_mut(|w| unsafe { (*w).take() }));
    }

    /// `Waiting` → `Idle` while the caller holds every lock under which it is queued; the waker stays.
    pub(crate) fn stop_waiting(&self) {
        self.word.store(IDLE, Ordering::Relaxed);
    }

    /// Exchanges the waker of a waiting select. False if it is no longer waiting.
    #[must_use]
    pub(crate) fn update_shared(&self, waker: &mut Option<Waker>) -> bool {
        debug_assert!(self.shared);
        // Acquire: what an earlier holder of the waker wrote is seen before we touch it.
        if self.word.compare_exchange(WAITING, UPDATING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: in `UPDATING` no peer can claim, hence none touches the waker.
        self.waker.with_mut(|w| *waker = unsafe { w.replace(waker.take()) });
        // Release: pairs with the claim of a peer, who will take this waker.
        self.word.store(WAITING, Ordering::Release);
        true
    }

    /// Exchanges the waker of a plain operation that waits, or of any that is paired.
    ///
    /// # Safety
    ///
    /// The caller holds the lock under which it is queued or paired and has seen, under it, that it still is.
    pub(crate) unsafe fn update_locked(&self, waker: &mut Option<Waker>) {
        // SAFETY: peers touch the waker of a plain or paired waiter under that lock only.
        self.waker.with_mut(|w| *waker = unsafe { w.replace(waker.take()) });
    }

    // ---- a peer's transitions, all under the lock of the queue that holds the node ----

    /// Whether a claim could succeed now.
    #[inline]
    pub(crate) fn is_claimable(&self) -> bool {
        matches!(self.word.load(Ordering::Acquire) & PHASE_MASK, WAITING | UPDATING)
    }

    /// Wins the right to end this operation, or false if another queue's peer was first.
    #[must_use]
    #[inline]
    pub(crate) fn claim(&self, case: u32) -> bool {
        if !self.shared {
            // One queue, one lock: being found there is being claimable.
            return true;
        }
        let mut rounds = 0u32;
        loop {
            match self.word.compare_exchange(
                WAITING,
                CLAIMED | case << CASE_SHIFT,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                // The owner swaps two words: as short as the critical sections of a spin lock, and as there it
                // may have been taken off its processor.
                Err(UPDATING) if rounds < 64 => {
                    rounds += 1;
                    spin_hint();
                }
                Err(UPDATING) => yield_thread(),
                Err(_) => return false,
            }
        }
    }

    /// Binds a claimed or idle operation to its peer: its end waits for that peer's value.
    #[inline]
    pub(crate) fn pair(&self, case: u32) {
        self.word.store(PAIRED | case << CASE_SHIFT, Ordering::Release);
    }

    /// `Paired` → `Waiting`, for a plain receive that goes back to the head of its queue.
    pub(crate) fn unpair(&self) {
        debug_assert!(!self.shared);
        self.word.store(WAITING, Ordering::Release);
    }

    /// Ends a claimed or paired operation; the caller wakes the waker after it has unlocked.
    ///
    /// # Safety
    ///
    /// The caller has claimed this waiter, or found it paired, and still holds that lock; its node is in no
    /// list any more; the caller touches neither waiter nor node afterwards.
    #[inline]
    pub(crate) unsafe fn finish(&self, case: u32, outcome: Outcome) -> Option<Waker> {
        // SAFETY: the claim, or the lock of a paired waiter, gives the waker to this caller alone.
        let waker = self.waker.with_mut(|w| unsafe { (*w).take() });
        // Release: the owner who reads this sees the slot that was filled before, and may free itself.
        self.word.store(outcome as u32 | case << CASE_SHIFT, Ordering::Release);
        waker
    }
}

/// Wakers collected under a lock, to be woken after the unlock by [`Wakes::wake`].
///
/// Dropping it wakes them too: nobody may be forgotten if something panics in between.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    first: Option<Waker>,
    /// Few critical sections wake more than one: a freed place with a watcher, a mass wake-up.
    more: Vec<Waker>,
}

impl Wakes {
    #[inline]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.more.extend(waker);
        }
    }

    /// Wakes them, in order; true if there was one. A waker may be foreign code, which may block the caller meanwhile.
    /// The common case, at most one, leaves nothing behind that wants dropping.
    #[inline]
    pub(crate) fn wake(mut self) -> bool {
        let foreign = self.first.as_ref().is_some_and(|waker| !is_goroutine(waker));
        if foreign || self.more.capacity() > 0 {
            self.wake_cold();
            return true;
        }
        let first = self.first.take();
        std::mem::forget(self);
        let Some(waker) = first else { return false };
        waker.wake();
        true
    }

    /// Several, or one that is foreign code: it may panic, and may be called while unwinding, where a second panic would
    /// end the process.
    #[cold]
    fn wake_cold(self) {}
}

impl Drop for Wakes {
    fn drop(&mut self) {
        // Each by itself: a foreign waker that panics must not cost the others their wake-up. The first panic goes on
        // afterwards.
        let mut first_panic = None;
        for waker in self.first.take().into_iter().chain(self.more.drain(..)) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                match &first_panic {
                    None => first_panic = Some(payload),
                    Some(_) => discard_payload(payload),
                }
            }
        }
        match first_panic {
            Some(payload) if !std::thread::panicking() => resume_unwind(payload),
            Some(payload) => discard_payload(payload),
            None => {}
        }
    }
}
