//! The lock under [`RwLock`](super::RwLock): one word, two lists, and Go's fairness.
//!
//! # Fairness
//!
//! - A waiting writer keeps new readers out, from the moment it queues until it has had the lock or given up.
//! - When a writer ends, all readers that wait enter, before any other writer. So neither side can starve the
//!   other: readers wait for one writer, and a writer for those that read when it came.
//! - Among writers newcomers may barge, and whoever lost so for more than a millisecond gets the lock handed:
//!   all as in the mutex (`raw_mutex.rs`), whose terms are used here. Readers that wait never compete; they are
//!   always let in by another, who counts them into the word in one step.
//! - A blocking writer that finds readers let in that have not run yet does not queue at once: see `RawRwLock::give_way`.
//! - When a waiting writer gives up, the readers that came before the next waiting writer enter.
//!
//! Whoever has a guard may unlock; there is no owner in the sense of a thread or goroutine. Unlocking and downgrading
//! never unwind, for the reason that `raw_mutex.rs` gives.

use super::arriving::Arriving;
use super::raw_mutex::Since;
use super::rw_word::{Entered, Released, Turn, Waiting, Word};
use crate::sys::lock::{Spin, SpinGuard};
#[cfg(not(loom))]
use crate::sys::prim::{spin_hint, yield_thread};
use crate::wait::circles;
use crate::wait::node::{NodeList, NodeState, Signal, WaitNode};
use crate::wait::queue::{drop_quietly, wake_in_batches_quietly, wake_quietly};
#[cfg(not(loom))]
use crate::wait::yield_now;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
#[cfg(not(loom))]
use std::time::{Duration, Instant};

/// How often a blocking lock looks again before it queues, with 4, 8, 16 pauses in between.
#[cfg(not(loom))]
const SPIN_ROUNDS: u32 = 3;

/// For how long a writer lets others run before it queues, but for the last turn, where readers have been let in that have
/// not run yet. After some turns it lets other threads run, too: the readers are on other workers.
#[cfg(not(loom))]
const TURNS_GIVEN: u32 = 4;
#[cfg(not(loom))]
const TIME_GIVEN: Duration = Duration::from_micros(100);

/// The lock of a [`RwLock`](super::RwLock), without data: one word, and the lists of those who wait.
///
/// It is public because `lock_api`'s types name it; use it through [`RwLock`](super::RwLock).
///
/// ```
/// use gosched::sync::{RawRwLock, RwLock};
///
/// // A lock is its words and its data.
/// assert_eq!(size_of::<RwLock<()>>(), size_of::<RawRwLock>());
/// ```
pub struct RawRwLock {
    word: Word,
    pub(super) arriving: Arriving,
    waiters: Spin<Waiters>,
}

/// Those who wait. Tickets are drawn by readers and writers from one row.
struct Waiters {
    readers: NodeList,
    reader_count: usize,
    writers: NodeList,
    writer_count: usize,
    /// Readers that are counted in the word and have not been told yet: wakers are called in batches, with
    /// this lock released in between. It holds those below `admitted_below`, `readers` the others.
    admitted: NodeList,
    admitted_below: u64,
    /// From 1: ticket 0 is a writer's that lost its turn and is first again.
    next_ticket: u64,
}

impl Waiters {
    const fn new() -> Self {
        Self {
            readers: NodeList::new(),
            reader_count: 0,
            writers: NodeList::new(),
            writer_count: 0,
            admitted: NodeList::new(),
            admitted_below: 0,
            next_ticket: 1,
        }
    }

    fn draw_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket - 1
    }

    fn count(&self) -> Waiting {
        let early = match (self.readers.front_ticket(), self.writers.front_ticket()) {
            (_, None) => self.reader_count,
            (Some(reader), Some(writer)) if reader < writer => self.readers.count_below(writer),
            _ => 0,
        };
        Waiting { readers: self.reader_count, writers: self.writer_count, early }
    }

    /// The first `count` readers, which the word counts already, move to `admitted`.
    fn admit(&mut self, count: usize) {
        if count == self.reader_count {
            self.admitted.append(&mut self.readers);
            self.admitted_below = self.next_ticket;
        } else {
            // Not all, so a writer waits, and they are those that came before it.
            let below = self.writers.front_ticket().unwrap_or(self.next_ticket);
            let mut early = self.readers.take_below(below);
            self.admitted.append(&mut early);
            self.admitted_below = below;
        }
        self.reader_count -= count;
    }
}

impl RawRwLock {
    #[cfg(not(loom))]
    pub(crate) const fn unlocked() -> Self {
        Self { word: Word::new(), arriving: Arriving::new(), waiters: Spin::new(Waiters::new()) }
    }

    #[cfg(loom)]
    pub(crate) fn unlocked() -> Self {
        Self { word: Word::new(), arriving: Arriving::new(), waiters: Spin::new(Waiters::new()) }
    }

    #[inline]
    pub(crate) fn try_take_read(&self) -> bool {
        self.word.try_read()
    }

    #[inline]
    pub(crate) fn try_take_write(&self) -> bool {
        self.word.try_write()
    }

    /// Looks a few times more, with `attempt`. Not if others wait already.
    #[cfg(not(loom))]
    pub(crate) fn spin(&self, attempt: impl Fn(&Self) -> bool) -> bool {
        for round in 0..SPIN_ROUNDS {
            if self.word.is_queued_for() {
                return false;
            }
            for _ in 0..4 << round {
                spin_hint();
            }
            if attempt(self) {
                return true;
            }
        }
        false
    }

    /// A writer lets those readers run that have the lock and have not run since it came to them. True if it got the lock
    /// so. Not for long: then it queues, and readers that come must wait for it.
    ///
    /// If it queued at once, each of them would read once and queue at its next read, and the writer's end would let them in
    /// together with all others, ahead of the next writer: once in step so, all who share the lock would switch at every
    /// access from then on. Left alone, each reads on for as long as it likes.
    #[cfg(not(loom))]
    pub(crate) fn give_way(&self) -> bool {
        let mut since = None;
        for turn in 0u32.. {
            // Another writer that waits keeps readers out already.
            if !self.arriving.any() || self.word.is_queued_for() {
                break;
            }
            if since.get_or_insert_with(Instant::now).elapsed() > TIME_GIVEN {
                break;
            }
            yield_now();
            if self.word.try_write() {
                return true;
            }
            if turn >= TURNS_GIVEN {
                yield_thread();
            }
        }
        false
    }

    pub(crate) fn is_written(&self) -> bool {
        self.word.is_written()
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.word.is_taken()
    }

    /// A future that takes the lock for reading.
    pub(crate) fn acquire_read(&self) -> AcquireRead<'_> {
        AcquireRead { lock: self, node: WaitNode::new() }
    }

    /// A future that takes the lock for writing.
    pub(crate) fn acquire_write(&self) -> AcquireWrite<'_> {
        AcquireWrite { lock: self, node: WaitNode::new(), since: Since::default() }
    }

    /// Gives a reader's part back.
    ///
    /// # Safety
    ///
    /// The caller has one.
    #[inline]
    pub(crate) unsafe fn release_read(&self) {
        circles::unlocking(self);
        if self.word.release_read() {
            self.decide();
        }
    }

    /// Gives a writer's lock back.
    ///
    /// # Safety
    ///
    /// The caller has it.
    #[inline]
    pub(crate) unsafe fn release_write(&self) {
        circles::unlocking(self);
        if !self.word.try_release_write() {
            self.release_write_slow();
        }
    }

    #[cold]
    fn release_write_slow(&self) {
        match self.word.release_write() {
            Released::Quietly => {}
            Released::Decide => self.decide(),
            Released::PassOn => self.pass_on(Word::pass_on_write),
        }
    }

    /// Gives a reader's part back; if it was the last, the first waiting writer gets the lock.
    ///
    /// # Safety
    ///
    /// The caller has one.
    pub(crate) unsafe fn release_read_fair(&self) {
        circles::unlocking(self);
        self.pass_on(Word::pass_on_read);
    }

    /// Gives a writer's lock to all readers that wait, else to the first writer.
    ///
    /// # Safety
    ///
    /// The caller has it.
    pub(crate) unsafe fn release_write_fair(&self) {
        circles::unlocking(self);
        if !self.word.try_release_write() {
            self.pass_on(Word::pass_on_write);
        }
    }

    /// Makes a reader of the writer, and lets in the readers that wait.
    ///
    /// # Safety
    ///
    /// The caller has the lock for writing; then it has it for reading.
    pub(crate) unsafe fn downgrade_write(&self) {
        circles::downgraded(self);
        if !self.word.try_downgrade() {
            self.pass_on(Word::downgrade);
        }
    }

    /// By a holder: gives its part up in the way that `step` says.
    fn pass_on(&self, step: impl FnOnce(&Word, Waiting) -> Turn) {
        let waiters = self.waiters.lock();
        let turn = step(&self.word, waiters.count());
        self.carry_out(waiters, turn);
    }

    /// After a release that saw waiting writers: who is next?
    #[cold]
    fn decide(&self) {
        self.pass_on(Word::next_turn);
    }

    /// Does what was decided, and releases the lists' lock before anybody is woken.
    fn carry_out(&self, mut waiters: SpinGuard<'_, Waiters>, turn: Turn) {
        let signal = match turn {
            Turn::Nobody => return,
            Turn::Readers(count) => {
                waiters.admit(count);
                self.arriving.add(count);
                let below = waiters.admitted_below;
                drop(waiters);
                return wake_in_batches_quietly(|batch| {
                    batch.tell_below(&mut self.waiters.lock().admitted, below, Signal::Handed);
                });
            }
            Turn::WakeWriter => Signal::One,
            Turn::HandToWriter => Signal::Handed,
        };
        waiters.writer_count -= 1;
        let waker = waiters.writers.pop_front().and_then(|popped| popped.signal(signal));
        drop(waiters);
        wake_quietly(waker);
    }
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (written, readers) = (self.is_written(), self.word.readers());
        f.debug_struct("RawRwLock").field("written", &written).field("readers", &readers).finish()
    }
}

/// Takes a [`RawRwLock`] for reading. Ready once: then one reader's part is the caller's to release.
///
/// Dropped earlier it leaves no trace: out of the list, or its part released if it had been let in.
#[derive(Debug)]
pub(crate) struct AcquireRead<'a> {
    lock: &'a RawRwLock,
    node: WaitNode,
}

impl AcquireRead<'_> {
    fn queue(&mut self, waker: &Waker) -> Poll<()> {
        // Declared before the guard, so dropped after it.
        let waker = waker.clone();
        let mut waiters = self.lock.waiters.lock();
        match self.lock.word.read_or_queue() {
            Entered::Taken => {
                drop(waiters);
                drop_quietly(Some(waker));
                Poll::Ready(())
            }
            Entered::Queue => {
                let ticket = waiters.draw_ticket();
                waiters.reader_count += 1;
                // SAFETY: `self` is pinned (only `poll` calls this), the node is ours and idle, and `Drop`
                // takes it out, under the one lock these lists have, which is held.
                unsafe { waiters.readers.push_back(Pin::new_unchecked(&self.node), ticket, waker) };
                Poll::Pending
            }
        }
    }

    /// Stops waiting. True if it had been let in meanwhile: the part is the caller's.
    pub(crate) fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: nothing is moved.
        unsafe { self.get_unchecked_mut() }.leave()
    }

    fn leave(&mut self) -> bool {
        let mut waker = None;
        let mut let_in = false;
        if self.node.state() == NodeState::Waiting {
            let mut waiters = self.lock.waiters.lock();
            if self.node.state() == NodeState::Waiting {
                // SAFETY: it is pinned, because it was queued. WAITING under the lock means that it is in one
                // of the lists, and its ticket tells in which.
                unsafe {
                    let node = Pin::new_unchecked(&self.node);
                    let_in = node.ticket() < waiters.admitted_below;
                    if let_in {
                        waker = waiters.admitted.remove(node);
                    } else {
                        waker = waiters.readers.remove(node);
                        waiters.reader_count -= 1;
                        if waiters.reader_count == 0 {
                            self.lock.word.no_reader_waits();
                        }
                    }
                }
            }
        }
        drop_quietly(waker);
        let_in |= matches!(self.node.state(), NodeState::Signalled(_));
        self.node.reset();
        if let_in {
            self.lock.arriving.one_came();
        }
        let_in
    }
}

impl Future for AcquireRead<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of it; the node stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        let state = match this.node.state() {
            NodeState::Waiting => this.node.refresh_waker(&this.lock.waiters, cx.waker()),
            state => state,
        };
        match state {
            NodeState::Waiting => Poll::Pending,
            NodeState::Idle if this.lock.word.try_read() => Poll::Ready(()),
            NodeState::Idle => this.queue(cx.waker()),
            // Readers are told only that they are in.
            NodeState::Signalled(_) => {
                this.node.reset();
                this.lock.arriving.one_came();
                Poll::Ready(())
            }
        }
    }
}

impl Drop for AcquireRead<'_> {
    fn drop(&mut self) {
        if self.leave() {
            // SAFETY: we were let in and nobody else knows.
            unsafe { self.lock.release_read() };
        }
    }
}

/// Takes a [`RawRwLock`] for writing. Ready once: then the lock is the caller's to release.
///
/// Dropped earlier it leaves no trace: out of the list, with the readers behind it let in if no other writer
/// keeps them out; a wake-up passed on; a lock handed to it released.
#[derive(Debug)]
pub(crate) struct AcquireWrite<'a> {
    lock: &'a RawRwLock,
    node: WaitNode,
    since: Since,
}

impl AcquireWrite<'_> {
    /// Queues, as a newcomer at the end, as a loser at the front.
    fn queue(&mut self, woken: bool, waker: &Waker) -> Poll<()> {
        // Cloned before anything changes: should it panic, `Drop` finds the state it knows. Declared before
        // the guard, so dropped after it.
        let waker = waker.clone();
        let starving = woken && self.since.is_long_ago();
        self.since.mark();
        let mut waiters = self.lock.waiters.lock();
        match self.lock.word.write_or_queue(woken, starving) {
            Entered::Taken => {
                drop(waiters);
                self.node.reset();
                drop_quietly(Some(waker));
                Poll::Ready(())
            }
            Entered::Queue => {
                // SAFETY: `self` is pinned (only `poll` calls this).
                let node = unsafe { Pin::new_unchecked(&self.node) };
                waiters.writer_count += 1;
                // SAFETY: the node is ours and in no list: it is idle, or was popped and signalled. `Drop`
                // takes it out, under the one lock these lists have, which is held.
                unsafe {
                    match woken {
                        true => waiters.writers.push_front(node, waker),
                        false => {
                            let ticket = waiters.draw_ticket();
                            waiters.writers.push_back(node, ticket, waker);
                        }
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
        let lock = self.lock;
        let mut state = self.node.state();
        if state == NodeState::Waiting {
            let mut waiters = lock.waiters.lock();
            state = self.node.state();
            if state == NodeState::Waiting {
                // SAFETY: it is pinned, because it was queued, and WAITING under the lock means: it is in
                // this list.
                let waker = unsafe { waiters.writers.remove(Pin::new_unchecked(&self.node)) };
                waiters.writer_count -= 1;
                let turn = lock.word.next_turn(waiters.count());
                lock.carry_out(waiters, turn);
                drop(waker);
                return false;
            }
        }
        self.node.reset();
        match state {
            NodeState::Signalled(Signal::Handed) => true,
            NodeState::Signalled(_) => {
                // It was on its way: another must go, unless somebody has the lock, who will see to it.
                let waiters = lock.waiters.lock();
                lock.word.forget_woken();
                let turn = lock.word.next_turn(waiters.count());
                lock.carry_out(waiters, turn);
                false
            }
            _ => false,
        }
    }
}

impl Future for AcquireWrite<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of it; the node stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        let word = &this.lock.word;
        let state = match this.node.state() {
            NodeState::Waiting => this.node.refresh_waker(&this.lock.waiters, cx.waker()),
            state => state,
        };
        let woken = match state {
            NodeState::Waiting => return Poll::Pending,
            NodeState::Idle => {
                if word.try_write() {
                    return Poll::Ready(());
                }
                false
            }
            NodeState::Signalled(Signal::Handed) => {
                this.node.reset();
                if !word.writers_wait() || !this.since.is_long_ago() {
                    word.end_starvation();
                }
                return Poll::Ready(());
            }
            NodeState::Signalled(_) => {
                if word.try_write_woken() {
                    this.node.reset();
                    return Poll::Ready(());
                }
                true
            }
        };
        this.queue(woken, cx.waker())
    }
}

impl Drop for AcquireWrite<'_> {
    fn drop(&mut self) {
        if self.leave() {
            // SAFETY: the lock was handed to us and nobody else knows.
            unsafe { self.lock.release_write() };
        }
    }
}

#[cfg(all(test, loom))]
#[allow(non_snake_case)]
#[path = "raw_rwlock_model.rs"]
mod model;
