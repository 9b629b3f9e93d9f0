//! The worker: its queues, and which goroutine it runs next.

use super::reactor::{self, Reactor};
use super::remote::Remote;
use super::shared::Shared;
use super::wakes::wake_all;
use crate::clock::{NEVER, coarse, real_now, to_nanos};
use crate::fiber::coro::FiberRef;
use crate::queue::Linked;
use crate::queue::fifo::Fifo;
use crate::queue::ring::CAPACITY;
use crate::task::header::NO_HOME;
use crate::task::{Context, TaskRef};
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;
use std::time::Instant;

/// Every so many ticks a worker looks at timers and the injector first (Go's 61), so that goroutines which
/// keep each other busy starve nobody.
const FAIR_TICK: u32 = 61;
/// For how many nanoseconds another worker may take up no goroutine before a busy one helps itself to those it has.
const STUCK: u64 = 100_000;
/// How many of the injector's a worker takes for its coming fair turns.
const FAIR_BATCH: usize = 32;
/// How many of the injector's a worker takes that has nothing else to do (G24).
const IDLE_SHARE: usize = CAPACITY as usize / 2;
/// How often in a row a wake slot may be served while others wait: a chain of goroutines that wake each other
/// shares this many turns (Go: one time slice).
const SLOT_TURNS: u32 = 61;

/// How many timers due at one look are many.
const MANY_TIMERS: usize = 4;
/// How many nanoseconds after such a look the timers are left alone. Sleeping and being woken costs a worker some 16 us
/// of processor time, so with timers as close as this allows that is a few percent; on average they are 0.14 ms late.
const TIMER_PAUSE: u64 = 220_000;

/// By how many nanoseconds timers are late that another worker should have looked after: it may be in the middle of
/// something long.
const OVERDUE: u64 = 300_000;

/// A worker's own half. Only its thread uses it (whoever holds the baton, with the threads backend), from the
/// loop and, through the context, from the goroutine that is running; so the cells are never used by two
/// callers at once, and no borrow of one outlives a statement.
#[repr(C)]
pub(crate) struct Worker {
    /// First, so that a context can be turned back into its worker.
    pub(super) context: Context,
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    /// `shared.remotes[index]`, without the way there.
    remote: NonNull<Remote>,
    tick: Cell<u32>,
    /// How many goroutines become runnable here before one is timed: see [`super::counts`].
    pub(super) untimed: Cell<u32>,
    /// Ticks until the next fair turn.
    fair_in: Cell<u32>,
    /// Which worker was looked at in the last fair turn, how many goroutines it had taken up, and since when we know that
    /// others wait there while it takes up none (0: that is not so).
    watched: Cell<(usize, u32, u64)>,
    slot_turns: Cell<u32>,
    /// Which of the two queues is looked at first the next time.
    ring_first: Cell<bool>,
    pinned_slot: Cell<Option<TaskRef>>,
    pinned: Fifo<TaskRef>,
    /// A task that a fiber took from the queues but must be resumed by the loop.
    pub(super) stash: Cell<Option<TaskRef>>,
    /// Fibers without a job.
    pub(super) fibers: UnsafeCell<Vec<FiberRef>>,
    /// How many of them, from the bottom, have not been used since they were trimmed.
    pub(super) trimmed: Cell<usize>,
    pub(super) trimmed_at: Cell<Instant>,
    pub(super) random: Cell<u64>,
    /// How long the next search spins, and the next nap lasts.
    pub(super) spin: Cell<u32>,
    pub(super) nap: Cell<u32>,
    /// How many short sleeps are not to be taken for a reason to spin: `ignored` more, `distrust` the last time.
    pub(super) distrust: Cell<u32>,
    pub(super) ignored: Cell<u32>,
    /// Until when a busy worker leaves its timers alone.
    paused: Cell<u64>,
    /// Scratch space for timers that are due.
    due: Cell<Vec<Waker>>,
    /// Whose sockets became ready while the worker slept: to be woken before anything else.
    pub(super) ready: Cell<Vec<Waker>>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Box<Self> {
        Box::new(Self {
            context: Context::new(&raw const shared.anchor, index as u32, shared.config.clock.clone()),
            index,
            remote: NonNull::from(&shared.remotes[index]),
            tick: Cell::new(0),
            untimed: Cell::new(0),
            fair_in: Cell::new(FAIR_TICK),
            watched: Cell::new((0, 0, 0)),
            slot_turns: Cell::new(SLOT_TURNS),
            ring_first: Cell::new(false),
            pinned_slot: Cell::new(None),
            pinned: Fifo::new(),
            stash: Cell::new(None),
            fibers: UnsafeCell::new(Vec::new()),
            trimmed: Cell::new(0),
            trimmed_at: Cell::new(real_now()),
            random: Cell::new(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1) | 1),
            spin: Cell::new(super::search::SPIN_START),
            nap: Cell::new(0),
            distrust: Cell::new(0),
            ignored: Cell::new(0),
            paused: Cell::new(0),
            due: Cell::new(Vec::new()),
            ready: Cell::new(Vec::new()),
            shared,
        })
    }

    /// The worker a context belongs to.
    ///
    /// # Safety
    ///
    /// The pointer was made from a worker's own, as those in the thread-local are, and the worker is alive.
    #[inline]
    pub(crate) unsafe fn of<'a>(context: *const Context) -> &'a Worker {
        // SAFETY: a context is the first field of its `repr(C)` worker; the rest is the caller's promise.
        unsafe { &*context.cast::<Worker>() }
    }

    /// What the thread-local is set to: the context, with the right to reach the worker around it.
    pub(super) fn context_ptr(&self) -> *const Context {
        std::ptr::from_ref(self).cast()
    }

    #[inline]
    pub(crate) fn remote(&self) -> &Remote {
        // SAFETY: it lies in `shared`, which the worker holds.
        unsafe { self.remote.as_ref() }
    }

    /// Queues a task that was woken on this worker: it runs next (Go's `runnext`), and what should have run
    /// next goes to the tail.
    #[inline]
    pub(super) fn ready(&self, task: TaskRef) {
        self.time_some(task);
        match task.home.get() {
            NO_HOME => self.ready_movable(task),
            home if home as usize == self.index => {
                if let Some(displaced) = self.pinned_slot.replace(Some(task)) {
                    self.pinned.push(displaced);
                }
            }
            home => self.shared.send_home(task, home),
        }
    }

    fn ready_movable(&self, task: TaskRef) {
        // The one running may go on for long, so somebody should know (G27). It costs little: a thief that
        // finds us keeping up naps, and is not woken while it does.
        self.push_new(task);
    }

    /// Queues a goroutine that was just made: it runs next, and the one before it goes to the ring (G20).
    #[inline]
    pub(super) fn push_new(&self, task: TaskRef) {
        if let Some(displaced) = self.remote().swap_slot(Some(task)) {
            self.push_ring(displaced);
        }
        self.shared.notify();
    }

    /// Queues a task at the tail of where it belongs.
    pub(super) fn push_back(&self, task: TaskRef) {
        match task.home.get() {
            NO_HOME => self.offer(task),
            home if home as usize == self.index => self.pinned.push(task),
            home => self.shared.send_home(task, home),
        }
    }

    /// Puts a task into the ring and tells a sleeper, with nothing sequentially consistent in between that
    /// would come first: hence the fence (P1 in `idle`; the ring's own store is a release).
    fn offer(&self, task: TaskRef) {
        self.push_ring(task);
        fence(Ordering::SeqCst);
        self.shared.notify();
    }

    #[inline]
    fn push_ring(&self, task: TaskRef) {
        if let Err(task) = self.remote().ring.push(task) {
            self.overflow(task);
        }
    }

    /// The ring is full: its older half goes to the injector, in order, and the newcomer behind the rest. (Go sends
    /// the newcomer along; staying even keeps those together that were made together.)
    #[cold]
    fn overflow(&self, newcomer: TaskRef) {
        let mut chain: Option<(TaskRef, TaskRef)> = None;
        let count = self.remote().ring.take_half(|task: TaskRef| match &mut chain {
            Some((_, last)) => {
                last.set_link(Some(task));
                *last = task;
            }
            None => chain = Some((task, task)),
        });
        if let Some((first, last)) = chain {
            self.shared.injector.push_chain(first, last, count as usize);
        }
        // Thieves only make room, so this is the ring, but for a race that `take_half` lost to them.
        if let Err(task) = self.remote().ring.push(newcomer) {
            self.shared.injector.push(task);
        }
    }

    /// The goroutine to run next, if this worker knows one.
    #[inline]
    pub(super) fn next(&self) -> Option<TaskRef> {
        let tick = self.tick.get().wrapping_add(1);
        self.tick.set(tick);
        self.remote().tick.store(tick, Ordering::Relaxed);
        let fair_in = self.fair_in.get() - 1;
        self.fair_in.set(fair_in);
        if fair_in == 0
            && let Some(task) = self.fair_turn()
        {
            return Some(task);
        }
        if !self.remote().inbox.seems_empty() {
            self.empty_inbox();
        }
        if (self.pinned_slot.get().is_some() || self.remote().slot_is_full())
            && let Some(task) = self.next_slot()
        {
            return Some(task);
        }
        self.next_queued()
    }

    #[cold]
    fn empty_inbox(&self) {
        self.remote().inbox.take(|task| self.pinned.push(task));
        // Somebody may have rung the bell.
        if !self.is_on_duty() {
            self.check_in();
        }
    }

    /// What may not wait for this worker to run out of work: timers, and the injector's head.
    #[cold]
    fn fair_turn(&self) -> Option<TaskRef> {
        self.fair_in.set(FAIR_TICK);
        coarse::refresh();
        self.fire_own_timers();
        if reactor::active().is_some_and(Reactor::is_due) {
            self.glance();
        }
        // One of a batch (Go: one of the queue): goroutines that were made one after the other often talk to each
        // other. Taken one by one by several workers in turn they would all be parted.
        let (shared, batch) = (&self.shared, &self.remote().batch);
        let first = batch.pop().or_else(|| {
            let left = self.left_behind();
            let first = left.or_else(|| shared.injector.take_share(shared.config.workers, FAIR_BATCH))?;
            batch.put(first.next());
            Some(first)
        });
        if !batch.is_empty() {
            shared.notify();
        }
        first
    }

    /// What is left behind by another worker that has taken up nothing between two fair turns of this one. Everybody else
    /// may be busy and steal nothing, and a thread that the system has put off its processor comes back after some
    /// milliseconds only. At once: the batch, and what the monitor does not look after, as the worker was put off duty or
    /// stood in for in the middle of something long. After [`STUCK`]: all that anybody may take.
    fn left_behind(&self) -> Option<TaskRef> {
        let remotes = &self.shared.remotes;
        let tick = |index: usize| remotes[index].tick.load(Ordering::Relaxed);
        let (victim, before, since) = self.watched.get();
        let remote = &remotes[victim];
        let stands = tick(victim) == before;
        let mut left = if stands { remote.batch.take() } else { None };
        if stands && left.is_none() && (remote.ring.len() > 0 || remote.slot_is_full()) {
            let now = to_nanos(real_now());
            let since = if since == 0 { now } else { since };
            if remote.is_on_duty() && now.saturating_sub(since) < STUCK {
                self.watched.set((victim, before, since));
                return None;
            }
            left = self.take_rest(remote);
        }
        let mut next = (victim + 1) % remotes.len();
        if next == self.index {
            next = (next + 1) % remotes.len();
        }
        self.watched.set((next, tick(next), 0));
        left
    }

    /// What anybody may take of another worker: one goroutine, and others into the own ring.
    fn take_rest(&self, remote: &Remote) -> Option<TaskRef> {
        let own = &self.remote().ring;
        if own.len() > CAPACITY / 2 {
            return None;
        }
        let first = remote.ring.steal_all(own).or_else(|| remote.swap_slot(None))?;
        // It is no longer linked to whoever was behind it in some queue.
        first.set_link(None);
        Some(first)
    }

    #[inline]
    fn next_slot(&self) -> Option<TaskRef> {
        let turns = self.slot_turns.get();
        if turns == 0 {
            self.end_slot_turns();
            return None;
        }
        self.slot_turns.set(turns - 1);
        if let Some(task) = self.pinned_slot.take() {
            return Some(task);
        }
        self.remote().swap_slot(None)
    }

    /// The chain has had its share: what is in the slots goes behind the others.
    #[cold]
    fn end_slot_turns(&self) {
        self.slot_turns.set(SLOT_TURNS);
        if let Some(task) = self.pinned_slot.take() {
            self.pinned.push(task);
        }
        if let Some(task) = self.remote().swap_slot(None) {
            self.offer(task);
        }
    }

    /// The queues, in turn, so that neither kind starves the other. In turn among the looks at the queues, not
    /// by the tick: a chain of goroutines that wake each other lets the queues have every 62nd tick, which
    /// would always be the same queue's.
    #[inline]
    fn next_queued(&self) -> Option<TaskRef> {
        self.slot_turns.set(SLOT_TURNS);
        if self.remote().ring.seems_empty() {
            return self.pinned.pop();
        }
        let ring_first = self.ring_first.get();
        self.ring_first.set(!ring_first);
        if ring_first || self.pinned.is_empty() {
            self.remote().ring.pop().or_else(|| self.pinned.pop())
        } else {
            self.pinned.pop()
        }
    }

    /// Takes what is left of the last batch, or a share of the injector (G24): one task to run, the rest into the ring.
    pub(super) fn take_injected(&self) -> Option<TaskRef> {
        let shared = &self.shared;
        if shared.injector.len() == 0 && self.remote().batch.is_empty() {
            return None;
        }
        let share = self.remote().batch.take();
        let first = share.or_else(|| shared.injector.take_share(shared.config.workers, IDLE_SHARE))?;
        self.push_chain(first.next());
        Some(first)
    }

    /// Puts a chain of tasks into the ring, for anybody to take.
    pub(super) fn push_chain(&self, mut next: Option<TaskRef>) {
        while let Some(task) = next {
            next = task.next();
            self.push_ring(task);
        }
        if self.remote().ring.len() > 0 {
            fence(Ordering::SeqCst);
            self.shared.notify();
        }
    }

    /// Wakes whoever's timer is due; true if there was any. For a worker with nothing else to do: looks after all.
    ///
    /// Where many timers follow each other closely nobody looks again for a moment ([`TIMER_PAUSE`]), so that the
    /// workers are not woken for each of them.
    pub(super) fn fire_timers(&self) -> bool {
        let shared = &self.shared;
        let wanted = shared.timers.next_nanos();
        if wanted == NEVER {
            return false;
        }
        let now = real_now();
        if shared.watch.not_before_pause(wanted) > to_nanos(now) {
            return false;
        }
        // The own ones last: whoever else is woken for some of the others has them while we go on.
        let count = (1..=shared.timers.count()).map(|step| self.fire_timers_of(self.index + step, now)).sum();
        self.note_fired(count, now);
        count > 0
    }

    /// The same for a busy worker: its own, and of one other in turn those that its worker should have seen to long since.
    fn fire_own_timers(&self) {
        let timers = &self.shared.timers;
        let other = self.index + 1 + self.tick.get() as usize / FAIR_TICK as usize % timers.count();
        let own = timers.next_nanos_of(self.index).max(self.paused.get());
        let overdue = timers.next_nanos_of(other).saturating_add(OVERDUE);
        if own.min(overdue) == NEVER {
            return;
        }
        let now = real_now();
        let nanos = to_nanos(now);
        if own <= nanos {
            self.note_fired(self.fire_timers_of(self.index, now), now);
        }
        if overdue <= nanos {
            self.fire_timers_of(other, now);
        }
    }

    fn fire_timers_of(&self, shard: usize, now: Instant) -> usize {
        let mut due = self.due.take();
        let count = self.shared.timers.fire_with(shard, now, &mut due, wake_all);
        self.due.set(due);
        count
    }

    fn note_fired(&self, count: usize, now: Instant) {
        if count >= MANY_TIMERS {
            let until = to_nanos(now) + TIMER_PAUSE;
            self.paused.set(until);
            self.shared.watch.pause(until);
        }
    }

    /// Wakes those whose sockets are ready, if nobody else polls; true if there was any.
    #[cold]
    pub(super) fn glance(&self) -> bool {
        let Some(reactor) = reactor::active() else { return false };
        let mut woken = self.due.take();
        reactor.glance(&mut woken);
        let any = reactor::wake_all(&mut woken);
        self.due.set(woken);
        any
    }

    /// Wakes those whose sockets became ready while the worker slept; true if there was any.
    #[inline]
    pub(super) fn wake_ready(&self) -> bool {
        let mut woken = self.ready.take();
        let any = reactor::wake_all(&mut woken);
        self.ready.set(woken);
        any
    }

    /// A pseudo-random number, for the order of victims (xorshift).
    pub(super) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }

    /// Everything that is in this worker's own queues. For the shutdown.
    pub(super) fn drain(&self, mut f: impl FnMut(TaskRef)) {
        self.stash.take().into_iter().for_each(&mut f);
        self.pinned_slot.take().into_iter().for_each(&mut f);
        while let Some(task) = self.pinned.pop() {
            f(task);
        }
        while let Some(task) = self.remote().batch.pop().or_else(|| self.remote().ring.pop()) {
            f(task);
        }
    }
}
