//! What all workers of a runtime share, and how the rest of the library reaches them.

use super::counts::Stopwatches;
use super::crew::Crew;
use super::idle::Idle;
use super::monitor;
use super::remote::{Remote, Remotes};
use super::shutdown::Left;
use super::watch::Watch;
use super::worker::Worker;
use crate::clock::manual::Manual;
use crate::clock::{Shards, TimerKey};
use crate::dump::stall::OnStall;
use crate::fiber::coro::Backend;
use crate::queue::injector::Injector;
use crate::sys::global::{Mutex, lock};
use crate::task::counters::Counters;
use crate::task::current::context_ptr;
use crate::task::header::{NO_HOME, Refused};
use crate::task::panics::OnPanic;
use crate::task::state::Parked;
use crate::task::{Anchor, Schedule, TaskRef};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Instant;

/// How a runtime was asked to be.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    /// How many threads run goroutines at most, with those that stand in for workers that are stuck.
    pub(crate) max_threads: usize,
    /// A size class.
    pub(crate) stack_size: usize,
    pub(crate) backend: Backend,
    /// Stackful goroutines move at every resume.
    pub(crate) migrate: bool,
    pub(crate) name: Arc<str>,
    pub(crate) on_panic: OnPanic,
    pub(crate) on_stall: OnStall,
    /// What its goroutines take for the time, if not the machine's.
    pub(crate) clock: Option<Arc<Manual>>,
}

/// Adds to a counter that one thread writes and many read.
#[inline]
pub(crate) fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// The shared part of a runtime.
pub(crate) struct Shared {
    /// What tasks and contexts point at.
    pub(crate) anchor: Anchor,
    pub(crate) config: Config,
    pub(crate) remotes: Remotes,
    pub(super) crew: Mutex<Crew>,
    pub(crate) injector: Injector<TaskRef>,
    /// Tasks that could not get a stack, until one is given back.
    pub(crate) starved: Injector<TaskRef>,
    starved_why: Mutex<Option<Arc<str>>>,
    pub(crate) idle: Idle,
    pub(crate) timers: Shards,
    pub(super) watch: Watch,
    pub(super) stopwatches: Stopwatches,
    pub(crate) closing: AtomicBool,
    /// How many threads empty the queues of a closing runtime.
    pub(crate) discarding: AtomicUsize,
    /// Workers whose loop has ended.
    pub(crate) stopped: AtomicUsize,
    /// What the shutdown has ended, if somebody wants to know.
    pub(super) left: Mutex<Option<Left>>,
    /// Goroutines made, and ended, outside of workers.
    created: AtomicU64,
    finished: AtomicU64,
    /// Threads in the middle of queueing a task from outside: see `shutdown`.
    pub(crate) in_flight: AtomicUsize,
    me: Weak<Shared>,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let shared = Arc::new_cyclic(|me| Self {
            anchor: Anchor::new(),
            remotes: Remotes::with_capacity(config.max_threads),
            crew: Mutex::new(Crew::new()),
            injector: Injector::new(),
            starved: Injector::new(),
            starved_why: Mutex::new(None),
            idle: Idle::new(config.workers, config.max_threads),
            timers: Shards::new(config.workers),
            watch: Watch::new(),
            stopwatches: Stopwatches::new(),
            closing: AtomicBool::new(false),
            discarding: AtomicUsize::new(0),
            stopped: AtomicUsize::new(0),
            left: Mutex::new(None),
            created: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            me: me.clone(),
            config,
        });
        // SAFETY: nobody else has seen it yet, and an Arc's content does not move.
        unsafe { shared.anchor.set(&*shared) };
        shared
    }

    /// For those who know that the runtime is alive.
    pub(super) fn strong(&self) -> Arc<Shared> {
        self.me.upgrade().expect("a running goroutine keeps its scheduler alive")
    }

    /// The worker of this runtime that runs on this thread.
    #[inline]
    pub(crate) fn local(&self) -> Option<&Worker> {
        let context = context_ptr();
        // SAFETY: null, or a worker's, which is alive while its thread runs this.
        let scheduler = unsafe { context.as_ref() }?.scheduler;
        if std::ptr::eq(scheduler, &self.anchor) {
            // SAFETY: as above.
            Some(unsafe { Worker::of(context) })
        } else {
            None
        }
    }

    /// Wakes one sleeper to look for work that anybody may take, unless somebody is looking already.
    #[inline]
    pub(crate) fn notify(&self) {
        if self.idle.wants_waking() {
            self.notify_slow();
        }
    }

    #[cold]
    fn notify_slow(&self) {
        if let Some(index) = self.idle.choose() {
            self.remotes[index as usize].unpark();
        }
    }

    /// Wakes a sleeper that is to sleep in the reactor's poll next. False if none sleeps.
    pub(super) fn call_to_poll(&self) -> bool {
        let called = self.idle.choose();
        if let Some(index) = called {
            self.remotes[index as usize].unpark();
        }
        called.is_some()
    }

    /// Whether some queue holds work that anybody may take.
    pub(super) fn has_movable(&self) -> bool {
        // The slot first: a task that is displaced from it goes to the ring.
        let has_work =
            |remote: &Remote| remote.slot_is_full() || remote.ring.len() > 0 || !remote.batch.is_empty();
        self.injector.len() > 0 || self.remotes.iter().any(has_work)
    }

    /// Whether a sleeper looks after the timers, if there are any.
    ///
    /// Asked by every worker that stops searching because it has found something, after it has left the count of
    /// searchers. `notify` does nothing while somebody searches; so whoever leaves it to a searcher (`timer_moved`,
    /// another worker that asks this) relies on that one's asking in its turn, or taking the office itself.
    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_kept(self.timers.next_nanos())
    }

    /// Wakes worker `index` for work of its own, which was made visible before.
    pub(super) fn wake_worker(&self, index: u32) {
        if self.idle.is_parked(index) && self.idle.wake(index) {
            self.remotes[index as usize].unpark();
        }
    }

    /// Sends a task to the worker it is pinned to.
    pub(crate) fn send_home(&self, task: TaskRef, home: u32) {
        let remote = &self.remotes[home as usize];
        remote.inbox.push(task);
        self.wake_worker(home);
        if !remote.is_on_duty() {
            // It may be stuck, and the monitor asleep since nobody waited behind it.
            fence(Ordering::SeqCst);
            monitor::stir();
        }
    }

    /// Counts a new goroutine.
    #[inline]
    pub(crate) fn count_created(&self, worker: Option<&Worker>) {
        match worker {
            Some(worker) => bump(&worker.remote().created),
            None => drop(self.created.fetch_add(1, Ordering::Release)),
        }
    }

    /// Counts an ended goroutine.
    #[inline]
    pub(crate) fn count_finished(&self, worker: Option<&Worker>) {
        match worker {
            Some(worker) => bump(&worker.remote().finished),
            None => drop(self.finished.fetch_add(1, Ordering::Release)),
        }
    }

    /// How many goroutines were made, and how many of them have ended: each may be a moment old.
    pub(super) fn made_and_ended(&self) -> (u64, u64) {
        // Ended first: a goroutine is counted as made before it is counted as ended, so the difference is not
        // negative.
        let ended: u64 =
            self.remotes.iter().map(|remote| remote.finished.load(Ordering::Acquire)).sum::<u64>()
                + self.finished.load(Ordering::Acquire);
        let made: u64 = self.remotes.iter().map(|remote| remote.created.load(Ordering::Acquire)).sum::<u64>()
            + self.created.load(Ordering::Acquire);
        (made, ended)
    }

    /// Notes that a task got no stack. It waits in `starved` until one is given back.
    #[cold]
    pub(crate) fn starve(&self, task: TaskRef, error: &std::io::Error) {
        let mut why = lock(&self.starved_why);
        if why.is_none() {
            // In one piece, so that it does not mix with other threads' lines; and a standard error that is closed
            // must not take the program down.
            let told = format!(
                "gosched: no stack for goroutine {} (created at {}): {error}. Goroutines that have not \
                 started wait until others end; until then spawning returns an error\n",
                task.id.get(),
                task.created.get(),
            );
            let _ = std::io::stderr().write_all(told.as_bytes());
        }
        *why = Some(error.to_string().into());
        self.starved.push(task);
        drop(why);
        // Whoever sleeps on stacks it does not use gives them back (`Worker::relieve`).
        for (index, remote) in self.remotes.iter().enumerate() {
            if self.idle.wake(index as u32) {
                remote.unpark();
            }
        }
    }

    /// A stack was given back: lets one starved task try again.
    #[cold]
    pub(crate) fn feed(&self) {
        if let Some(task) = self.starved.pop() {
            self.injector.push(task);
            self.notify();
        }
        if self.starved.len() == 0 {
            *lock(&self.starved_why) = None;
        }
    }

    /// Gets the stack of a goroutine that wants one of its own size, now: one that cannot be had is an error of
    /// its spawn. In `starved` such a goroutine could wait for ever, as no stack that is given back need fit.
    #[cold]
    fn give_stack(&self, task: TaskRef) -> Result<(), Refused> {
        match self.new_fiber(1 << task.stack_log2.get()) {
            Ok(fiber) => {
                task.fiber.set(Some(fiber));
                Ok(())
            }
            Err(error) => Err(Refused::NoStack(error.to_string().into())),
        }
    }

    #[cold]
    fn refusal(&self) -> Option<Refused> {
        let why = lock(&self.starved_why);
        why.clone().map(Refused::NoStack)
    }

    /// Queues a task from a thread that is none of our workers.
    fn inject(&self, task: TaskRef) {
        // The counter keeps the runtime's memory alive until the last line: see `shutdown`.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        self.stopwatches.start_some_injected(task);
        match task.home.get() {
            NO_HOME => {
                self.injector.push(task);
                self.notify();
            }
            home => self.send_home(task, home),
        }
        if self.closing.load(Ordering::SeqCst) {
            // The workers may have looked for the last time already.
            self.discard_after_close();
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    /// There is a timer that is due before all others: whoever sleeps until the next one must look again.
    #[cold]
    fn timer_moved(&self) {
        // The store behind `timers` was written before; the keeper enters itself before it reads that.
        if let Some(keeper) = self.watch.keeper() {
            self.wake_worker(keeper);
        } else if !self.is_watched() {
            // If somebody sleeps at all it should look after the timers: we may be busy for long.
            self.notify();
        }
    }
}

impl Schedule for Shared {
    #[inline]
    fn schedule(&self, task: TaskRef) {
        match self.local() {
            Some(worker) => worker.ready(task),
            None => self.inject(task),
        }
    }

    fn put_back(&self, task: TaskRef) {
        // Keeps the runtime's memory alive until the last line, as in `inject`.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        match task.state.put_back() {
            Parked::Notified => self.schedule(task),
            Parked::Idle => {
                // A sweep that met the task in our hands has passed it over. Either it sees the task parked, or we
                // see that there is a shutdown: the fences stand between the two words on both sides.
                fence(Ordering::SeqCst);
                if self.closing.load(Ordering::SeqCst) {
                    self.end_all();
                }
            }
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    #[inline]
    fn spawn(&self, task: TaskRef) -> Result<(), Refused> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(Refused::ShutDown);
        }
        if self.starved.len() > 0
            && let Some(refused) = self.refusal()
        {
            return Err(refused);
        }
        if task.stack_log2.get() != 0 && task.is_stackful() {
            self.give_stack(task)?;
        }
        match self.local() {
            Some(worker) => {
                self.count_created(Some(worker));
                worker.time_some(task);
                worker.push_new(task);
            }
            None => {
                self.count_created(None);
                self.inject(task);
            }
        }
        Ok(())
    }

    fn insert_timer(&self, now: Instant, at: Instant, waker: Waker) -> TimerKey {
        let (key, first) = self.timers.insert(self.local().map_or(0, |worker| worker.index), now, at, waker);
        if first {
            self.timer_moved();
        }
        key
    }

    fn update_timer(&self, key: TimerKey, at: Instant, waker: &Waker) -> bool {
        let updated = self.timers.update(key, at, waker);
        if updated == Some(true) {
            self.timer_moved();
        }
        updated.is_some()
    }

    fn cancel_timer(&self, key: TimerKey) -> Option<Waker> {
        self.timers.cancel(key)
    }

    fn live(&self) -> usize {
        let (made, ended) = self.made_and_ended();
        made.saturating_sub(ended) as usize
    }

    fn counters(&self) -> Counters {
        self.count_up()
    }

    fn on_panic(&self) -> &OnPanic {
        &self.config.on_panic
    }

    fn anchor(&self) -> *const Anchor {
        &raw const self.anchor
    }

    fn keep(&self) -> Arc<dyn Schedule> {
        self.strong()
    }
}
