//! The lock under [`Mutex`](super::Mutex): one word, one list, and Go's fairness.
//!
//! # Fairness
//!
//! *Normal mode* lets newcomers barge: a woken waiter competes with whoever runs right now and has the lock
//! cache-hot. That is what makes a mutex fast. A waiter that was woken and lost goes back to the *front*.
//! One that lost after having waited for more than [`STARVING_AFTER`] turns on *starvation mode*: from now
//! on an unlock does not release the lock but hands it to the waiter at the front. An owner that got the
//! lock so turns the mode off if nobody else waits or if it waited for less than that itself.
//!
//! Only one woken waiter is on its way at a time (`WOKEN`): a goroutine that locks and unlocks in a loop
//! would otherwise wake one waiter after the other for nothing.
//!
//! # Who may unlock
//!
//! Whoever has the guard. The mutex has no owner in the sense of a thread or goroutine id: a goroutine may
//! resume on another thread, and a guard may be sent (see [`Mutex`](super::Mutex)).
//!
//! Unlocking never unwinds, whatever a foreign waker does. It happens in the name of guards that are still there (in
//! `lock_api`'s `unlocked`, `unlock_fair` and `bump`, and in an async wait for a condition): they would unlock a second
//! time, for which reason `lock_api` ends the process then.

use crate::sys::lock::{Spin, SpinGuard};
use crate::sys::prim::{AtomicU32, Ordering, spin_hint};
use crate::wait::circles;
use crate::wait::node::{NodeList, NodeState, Signal, WaitNode};
use crate::wait::queue::{drop_quietly, wake_quietly};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU8;
use std::task::{Context, Poll, Waker};

/// How long a waiter puts up with newcomers that overtake it (Go's 1 ms).
#[cfg(not(loom))]
const STARVING_AFTER: std::time::Duration = std::time::Duration::from_millis(1);

/// Bounds on how often a blocking `lock` looks again before it queues, with 4, 8, 16, ... 512, 512 pauses in between: 28 in
/// all at least, 1,532 at most (0.7 and 40 us). Critical sections are short and the holder may be running on another
/// processor; it may as well be a parked goroutine of this very thread. So each mutex counts what paid off. The long
/// pauses leave the cache line to the holder, who may lock and unlock a thousand times meanwhile.
#[cfg(not(loom))]
const PATIENCE: std::ops::RangeInclusive<u8> = 3..=9;
#[cfg(not(loom))]
const LONGEST_PAUSE: u32 = 512;

/// How often a woken waiter looks before it queues again.
const WOKEN_LOOKS: u32 = if cfg!(loom) { 1 } else { 8 };

/// Somebody has the lock.
const LOCKED: u32 = 1;
/// The list is not empty. Changes only under the list's lock.
const PARKED: u32 = 2;
/// One waiter was told to compete and has not done so yet. Set only under the list's lock.
const WOKEN: u32 = 4;
/// Unlock hands over instead of releasing. Set only together with `PARKED`, while `LOCKED`.
const STARVING: u32 = 8;

/// The word of the mutex.
///
/// | word (other combinations do not occur)     | meaning                                                  |
/// |--------------------------------------------|----------------------------------------------------------|
/// | 0                                          | free, nobody waits                                       |
/// | `LOCKED`                                   | held, nobody waits: lock and unlock are one CAS each     |
/// | `LOCKED PARKED`                            | held, somebody waits                                     |
/// | `PARKED`                                   | free; the unlocker is about to wake the first waiter     |
/// | `WOKEN [PARKED]`                           | free; one waiter is on its way [, others wait]           |
/// | `LOCKED WOKEN [PARKED]`                    | held by a newcomer; the woken one will queue again       |
/// | `LOCKED STARVING [PARKED]`                 | held; will be handed to the first waiter, or if all of   |
/// |                                            | them gave up, released with the mode turned off          |
///
/// Why no wake-up is lost: (1) a waiter queues only by a CAS that finds `LOCKED`, so the unlock that clears
/// it later sees `PARKED`. (2) An unlock that sees `PARKED` wakes one unless `WOKEN` is set or the lock is
/// taken again; then the woken one, or the new holder's unlock, sees to it. (3) The woken one either takes
/// the lock (then its unlock sees to it), or queues again by a CAS that finds `LOCKED` (1), or is dropped:
/// then it wakes another, unless a CAS that clears `WOKEN` finds `LOCKED` (2).
///
/// Ordering: taking is Acquire, releasing is Release; all others are Relaxed read-modify-writes, which
/// continue the release sequence of the last release. A hand-over synchronises through the node's state.
struct Word(AtomicU32);

/// What is left to do after a release.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
enum Released {
    /// Nothing.
    Quietly,
    /// Wake a waiter.
    WakeOne,
    /// It was not released: hand it over.
    HandOver,
}

/// What became of somebody who asked under the list's lock.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
enum Entered {
    /// The lock was free after all and is now theirs.
    Taken,
    /// They must put their node into the list.
    Queue,
}

impl Word {
    /// free -> held, for a newcomer. Also past waiters; never while starving, because then it is not free.
    #[inline]
    fn try_take(&self) -> bool {
        let mut word = 0;
        loop {
            match self.0.compare_exchange_weak(word, word | LOCKED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) if now & LOCKED != 0 => return false,
                Err(now) => word = now,
            }
        }
    }

    /// free -> held, for the waiter on its way.
    fn try_take_woken(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while word & LOCKED == 0 {
            let new = (word | LOCKED) & !WOKEN;
            match self.0.compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// The same with some looks more, if a newcomer was faster: queueing again costs more than that, here and for the
    /// holder, who must then wake one again.
    fn try_take_woken_patiently(&self) -> bool {
        (0..WOKEN_LOOKS).any(|look| {
            (0..if look > 0 { 4 } else { 0 }).for_each(|_| spin_hint());
            self.try_take_woken()
        })
    }

    /// Under the list's lock: free -> held, or held -> held with somebody waiting.
    fn take_or_queue(&self, woken: bool, starving: bool) -> Entered {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let base = if woken { word & !WOKEN } else { word };
            let (new, entered) = match word & LOCKED {
                0 => (base | LOCKED, Entered::Taken),
                _ if starving => (base | PARKED | STARVING, Entered::Queue),
                _ => (base | PARKED, Entered::Queue),
            };
            match self.0.compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return entered,
                Err(now) => word = now,
            }
        }
    }

    /// held -> free if nobody waits.
    #[inline]
    fn try_release(&self) -> bool {
        // Looked at first: a compare-and-swap that fails costs as much as the one that must follow it.
        self.0.load(Ordering::Relaxed) == LOCKED
            && self.0.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// held -> free, unless it must be handed over.
    fn release(&self) -> Released {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & STARVING != 0 {
                return Released::HandOver;
            }
            match self.0.compare_exchange_weak(word, word & !LOCKED, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if word & (PARKED | WOKEN) == PARKED => return Released::WakeOne,
                Ok(_) => return Released::Quietly,
                Err(now) => word = now,
            }
        }
    }

    /// Under the list's lock, held, with nobody to hand it to: -> free, starvation over.
    fn release_unwanted(&self) {
        self.0.fetch_and(!(LOCKED | STARVING), Ordering::Release);
    }

    /// Under the list's lock: whether a waiter should be woken (nobody has the lock or is on the way to it).
    fn wants_waking(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (LOCKED | WOKEN) == 0
    }

    /// Under the list's lock: `WOKEN`, and `PARKED` no more if it was the last. Before the waiter is told:
    /// polled by chance at once, it must find the bit that it clears.
    fn begin_wake(&self, last: bool) {
        self.0.fetch_or(WOKEN, Ordering::Relaxed);
        if last {
            self.list_emptied();
        }
    }

    /// Under the list's lock.
    fn list_emptied(&self) {
        self.0.fetch_and(!PARKED, Ordering::Relaxed);
    }

    /// The waiter on its way has been dropped: `WOKEN` -> none, if there is a holder to see to the rest.
    fn forget_woken_if_held(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while word & LOCKED != 0 {
            match self.0.compare_exchange_weak(word, word & !WOKEN, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// The same when nobody else waits.
    fn forget_woken(&self) {
        self.0.fetch_and(!WOKEN, Ordering::Relaxed);
    }

    /// By a holder that was handed the lock.
    fn end_starvation(&self) {
        self.0.fetch_and(!STARVING, Ordering::Relaxed);
    }

    fn is_parked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PARKED != 0
    }

    fn is_starving(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STARVING != 0
    }

    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LOCKED != 0
    }
}

/// The lock of a [`Mutex`](super::Mutex), without data: one word, and the list of those who wait.
///
/// It is public because `lock_api`'s types name it; use it through [`Mutex`](super::Mutex).
///
/// ```
/// use gosched::sync::{Mutex, RawMutex};
///
/// // A mutex is its lock and its data.
/// assert_eq!(size_of::<Mutex<()>>(), size_of::<RawMutex>());
/// ```
pub struct RawMutex {
    word: Word,
    /// How many looks the next blocking lock takes. Lies where there would be padding.
    #[cfg(not(loom))]
    patience: AtomicU8,
    list: Spin<NodeList>,
}

impl RawMutex {
    #[cfg(not(loom))]
    pub(crate) const fn unlocked() -> Self {
        Self {
            word: Word(AtomicU32::new(0)),
            patience: AtomicU8::new(*PATIENCE.end()),
            list: Spin::new(NodeList::new()),
        }
    }

    #[cfg(loom)]
    pub(crate) fn unlocked() -> Self {
        Self { word: Word(AtomicU32::new(0)), list: Spin::new(NodeList::new()) }
    }

    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        self.word.try_take()
    }

    /// Looks a few times more. Not if the lock is handed over: then newcomers stand in line.
    #[cfg(not(loom))]
    pub(crate) fn spin(&self) -> bool {
        // Relaxed, and an update that is lost does no harm: a rule of thumb.
        let patience = self.patience.load(Ordering::Relaxed);
        for round in 0..patience {
            if self.word.is_starving() {
                return false;
            }
            for _ in 0..(4 << round).min(LONGEST_PAUSE) {
                spin_hint();
            }
            if !self.word.is_locked() && self.word.try_take() {
                self.patience.store((patience + 1).min(*PATIENCE.end()), Ordering::Relaxed);
                return true;
            }
        }
        self.patience.store((patience / 2).max(*PATIENCE.start()), Ordering::Relaxed);
        false
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.word.is_locked()
    }

    /// A future that takes the lock.
    pub(crate) fn acquire(&self) -> Acquire<'_> {
        Acquire { mutex: self, node: WaitNode::new(), since: Since::default() }
    }

    /// Gives the lock back.
    ///
    /// # Safety
    ///
    /// The caller holds it.
    #[inline]
    pub(crate) unsafe fn release(&self) {
        circles::unlocking(self);
        if !self.word.try_release() {
            self.release_slow();
        }
    }

    #[cold]
    fn release_slow(&self) {
        match self.word.release() {
            Released::Quietly => {}
            Released::WakeOne => self.wake_one(),
            Released::HandOver => self.hand_over(),
        }
    }

    /// Gives the lock to the first waiter, if there is one.
    ///
    /// # Safety
    ///
    /// The caller holds it.
    pub(crate) unsafe fn release_fair(&self) {
        circles::unlocking(self);
        if !self.word.try_release() {
            self.hand_over();
        }
    }

    /// After a release that saw waiters.
    fn wake_one(&self) {
        let mut list = self.list.lock();
        // Somebody took the lock or was woken meanwhile: they see to the waiters.
        if !self.word.wants_waking() {
            return;
        }
        let waker = self.tell_first(&mut list);
        drop(list);
        wake_quietly(waker);
    }

    /// Under the list's lock: takes the first waiter out and tells it to compete.
    fn tell_first(&self, list: &mut SpinGuard<'_, NodeList>) -> Option<Waker> {
        let popped = list.pop_front()?;
        self.word.begin_wake(popped.was_last());
        popped.signal(Signal::One)
    }

    /// By the holder: the lock stays locked and changes hands.
    fn hand_over(&self) {
        let mut list = self.list.lock();
        let waker = match list.pop_front() {
            None => {
                // All waiters have given up. None can queue meanwhile, since that takes the list's lock.
                self.word.release_unwanted();
                None
            }
            Some(popped) => {
                if popped.was_last() {
                    self.word.list_emptied();
                }
                popped.signal(Signal::Handed)
            }
        };
        drop(list);
        wake_quietly(waker);
    }

    /// The waiter that was on its way is dropped: another must go, unless a holder will see to it.
    fn pass_on(&self) {
        let mut list = self.list.lock();
        if self.word.forget_woken_if_held() {
            return;
        }
        // Free. WOKEN stays set and passes to the next, or is cleared if there is none. A newcomer that
        // takes the lock at this moment leaves WOKEN alone, and its unlock counts on the next one.
        let waker = match list.is_empty() {
            true => {
                self.word.forget_woken();
                None
            }
            false => self.tell_first(&mut list),
        };
        drop(list);
        wake_quietly(waker);
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").field("locked", &self.is_taken()).finish()
    }
}

/// When a waiter queued for the first time.
#[derive(Debug, Default)]
pub(super) struct Since {
    #[cfg(not(loom))]
    at: Option<std::time::Instant>,
    /// A model has no clock: whoever lost once starves.
    #[cfg(loom)]
    lost: bool,
}

#[cfg(not(loom))]
impl Since {
    pub(super) fn mark(&mut self) {
        self.at.get_or_insert_with(std::time::Instant::now);
    }

    pub(super) fn is_long_ago(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() > STARVING_AFTER)
    }
}

#[cfg(loom)]
impl Since {
    pub(super) fn mark(&mut self) {
        self.lost = true;
    }

    pub(super) fn is_long_ago(&self) -> bool {
        self.lost
    }
}

/// Takes a [`RawMutex`]. Ready once: then the lock is the caller's to release.
///
/// Dropped earlier it leaves no trace: out of the list, a wake-up passed on, a lock handed to it released.
#[derive(Debug)]
pub(crate) struct Acquire<'a> {
    mutex: &'a RawMutex,
    node: WaitNode,
    since: Since,
}

impl Acquire<'_> {
    /// Queues, as a newcomer at the end, as a loser at the front.
    fn queue(&mut self, woken: bool, waker: &Waker) -> Poll<()> {
        // Cloned before anything changes: should it panic, `Drop` finds the state it knows. Declared before
        // the guard, so dropped after it.
        let waker = waker.clone();
        let starving = woken && self.since.is_long_ago();
        self.since.mark();
        let mut list = self.mutex.list.lock();
        match self.mutex.word.take_or_queue(woken, starving) {
            Entered::Taken => {
                drop(list);
                self.node.reset();
                drop_quietly(Some(waker));
                Poll::Ready(())
            }
            Entered::Queue => {
                // SAFETY: `self` is pinned (only `poll` calls this).
                let node = unsafe { Pin::new_unchecked(&self.node) };
                // SAFETY: the node is ours and in no list: it is idle, or was popped and signalled. `Drop`
                // takes it out, under the one lock this list has, which is held.
                unsafe {
                    match woken {
                        true => list.push_front(node, waker),
                        false => list.push_back(node, 0, waker),
                    }
                }
                Poll::Pending
            }
        }
    }

    /// Stops waiting. True if the lock had come meanwhile: it is the caller's.
    pub(crate) fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: nothing is moved.
        unsafe { self.get_unchecked_mut() }.leave()
    }

    fn leave(&mut self) -> bool {
        let mut waker = None;
        let state = match self.node.state() {
            NodeState::Waiting => {
                let mut list = self.mutex.list.lock();
                let state = self.node.state();
                if state == NodeState::Waiting {
                    // SAFETY: it is pinned, because it was queued, and WAITING under the lock means: it is
                    // in this list.
                    unsafe { waker = list.remove(Pin::new_unchecked(&self.node)) };
                    if list.is_empty() {
                        self.mutex.word.list_emptied();
                    }
                    NodeState::Idle
                } else {
                    state
                }
            }
            state => state,
        };
        drop_quietly(waker);
        self.node.reset();
        match state {
            NodeState::Signalled(Signal::Handed) => true,
            NodeState::Signalled(_) => {
                self.mutex.pass_on();
                false
            }
            _ => false,
        }
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of it; the node stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        let word = &this.mutex.word;
        let state = match this.node.state() {
            NodeState::Waiting => this.node.refresh_waker(&this.mutex.list, cx.waker()),
            state => state,
        };
        let woken = match state {
            NodeState::Waiting => return Poll::Pending,
            NodeState::Idle => {
                if word.try_take() {
                    return Poll::Ready(());
                }
                false
            }
            NodeState::Signalled(Signal::Handed) => {
                this.node.reset();
                if !word.is_parked() || !this.since.is_long_ago() {
                    word.end_starvation();
                }
                return Poll::Ready(());
            }
            NodeState::Signalled(_) => {
                if word.try_take_woken_patiently() {
                    this.node.reset();
                    return Poll::Ready(());
                }
                true
            }
        };
        this.queue(woken, cx.waker())
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if self.leave() {
            // SAFETY: the lock was handed to us and nobody else knows.
            unsafe { self.mutex.release() };
        }
    }
}

#[cfg(all(test, loom))]
#[path = "raw_mutex_model.rs"]
mod model;
