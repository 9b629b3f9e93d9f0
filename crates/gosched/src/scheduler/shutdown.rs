//! Stopping a runtime, and what becomes of goroutines that have not ended.
//!
//! 1. `closing` is raised and every worker woken. Spawning is refused from here on.
//! 2. A worker leaves its loop as soon as no goroutine runs on it, ends what is in its queues, sweeps, and goes
//!    back to the cache of threads. If started goroutines have their home on it, its thread never exits: their
//!    stacks may hold references to its thread-locals (a `thread::scope` child reading one, say).
//! 3. Whoever shuts down waits for the workers, but not long for one that is in the middle of user code, sweeps
//!    once more, and returns.
//!
//! *Ending* a goroutine: one that has not started, or is between two polls, is dropped. One that is parked on a
//! stack is abandoned: closed, so that wakes do nothing ever after, and its stack is never touched again, since
//! wait nodes and pinned futures live on it.
//!
//! # Who keeps `Shared` alive
//!
//! A waker that has just won the right to queue a task (`Woken::Schedule`) holds nothing but the task. It is
//! safe all the same: the runtime's memory goes only when it is *settled*, that is when every goroutine is
//! counted as ended. A task in such a waker's hands is not, since only what is idle or queued is ended; and once
//! it is queued, the waker has raised `in_flight` before, and lowers it with its last touch. The same holds for whoever
//! looks at a parked task ([`TaskRef::inspect`]) and puts it back. A runtime that does
//! not settle in time is never freed.

use super::reactor;
use super::shared::Shared;
use super::worker::Worker;
use crate::clock::real_now;
use crate::dump::GoroutineInfo;
use crate::sys::background;
use crate::sys::global::lock;
use crate::sys::threads::ThreadFate;
use crate::task::body::VTable;
use crate::task::current::set_context;
use crate::task::join::Last;
use crate::task::state::Parked;
use crate::task::{Schedule, TaskRef, pool};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// How long a shutdown waits for goroutines that are running to come back to the scheduler, if nobody says.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What a shutdown has ended, or could not end.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) running: Vec<GoroutineInfo>,
    pub(crate) abandoned: Vec<GoroutineInfo>,
    /// How many were dropped: they had not started, or were futures between two polls.
    pub(crate) dropped: usize,
}

/// A worker that unwinds would leave its goroutines' thread without a context, and them without a worker.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

impl Worker {
    /// The whole life of a worker's thread in one runtime.
    pub(crate) fn serve(&self) -> ThreadFate {
        self.remote().begin(self.context_ptr());
        // Without one an overflow is reported by a plain crash: not worth failing for.
        let _ = crate::fiber::overflow::ensure_alt_stack();
        crate::sys::threads::wake_in_time();
        background::enter_for_good();
        set_context(self.context_ptr());
        let abort = AbortOnUnwind;
        self.run();
        std::mem::forget(abort);
        self.remote().end();
        // Users' thread-local destructors may call `wait`; they must not find this context.
        set_context(std::ptr::null());
        self.drain(|task| self.shared.end_queued(task));
        self.shared.end_all();
        self.drop_fibers();
        self.context.cache.give_back(0);
        let homes = self.remote().homes.load(Ordering::Relaxed);
        self.shared.stopped.fetch_add(1, Ordering::SeqCst);
        if homes > 0 { ThreadFate::Home } else { ThreadFate::Reusable }
    }
}

/// See `Who keeps Shared alive` above.
struct KeepUnlessSettled<'a>(&'a Arc<Shared>);

impl Drop for KeepUnlessSettled<'_> {
    fn drop(&mut self) {
        if !self.0.is_settled() {
            std::mem::forget(self.0.clone());
        }
    }
}

impl Shared {
    /// Stops the runtime, with a list of what has not ended by itself: those abandoned, and those still running.
    pub(crate) fn shut_down_and_tell(self: &Arc<Self>, patience: Duration) -> Left {
        *lock(&self.left) = Some(Left::default());
        self.shut_down(patience);
        let running = GoroutineInfo::of_runtime(&self.anchor, &self.config.name);
        // What comes back later is abandoned without a note.
        let mut left = lock(&self.left).take().unwrap_or_default();
        left.running = running;
        left.abandoned.sort_unstable_by_key(|info| info.id);
        left
    }

    /// Stops the runtime, and waits so long for goroutines that are running to come back to the scheduler. Called once,
    /// from outside its workers or from a goroutine that will not return to it.
    pub(crate) fn shut_down(self: &Arc<Self>, patience: Duration) {
        self.closing.store(true, Ordering::SeqCst);
        // From here on nobody is started any more.
        self.dismiss_crew();
        for (index, remote) in self.remotes.iter().enumerate() {
            let _ = self.idle.wake(index as u32);
            remote.unpark();
        }
        // Unwinding or not (users' destructors run here): memory that is still referred to is never freed.
        let _keep = KeepUnlessSettled(self);
        // A goroutine that drops its own runtime runs on one of the workers: that one stops later.
        let awaited = self.remotes.len() - usize::from(self.local().is_some());
        // None if that is beyond the end of time.
        let deadline = real_now().checked_add(patience);
        for round in 0u32.. {
            let stopped = self.stopped.load(Ordering::SeqCst) >= awaited;
            if stopped {
                self.end_all();
            }
            if (stopped && self.is_settled()) || deadline.is_some_and(|at| real_now() >= at) {
                break;
            }
            match round {
                0..=100 => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(100)),
            }
        }
        self.end_all();
        // One of our workers may have polled for others.
        reactor::ensure_polled();
    }

    /// Nothing refers to this memory but what holds an `Arc`.
    fn is_settled(&self) -> bool {
        self.live() == 0 && self.in_flight.load(Ordering::SeqCst) == 0
    }

    /// Ends everything that is queued or parked. What ends may wake others, so until nothing is left.
    pub(super) fn end_all(&self) {
        // Futures of other libraries are dropped.
        let _entered = background::enter();
        self.discarding.fetch_add(1, Ordering::SeqCst);
        loop {
            let ended = self.discard_queues() + self.sweep();
            if ended == 0 {
                break;
            }
        }
        self.discarding.fetch_sub(1, Ordering::SeqCst);
        // What others left to us between our last look and the line above.
        self.discard_queues();
    }

    /// Ends what the caller has queued on a closing runtime, unless somebody is at it anyway: the destructor that
    /// wakes the next goroutine must not end it inside itself, or a long chain would overflow the stack.
    pub(super) fn discard_after_close(&self) {
        if self.discarding.load(Ordering::SeqCst) == 0 {
            self.end_all();
        }
    }

    /// Ends whatever is in the queues that others than a worker can reach: one that is in the middle of something long
    /// must not keep what it will not run from its end. Returns how many there were.
    fn discard_queues(&self) -> usize {
        let mut count = 0;
        while let Some(task) = self.injector.pop().or_else(|| self.starved.pop()) {
            self.end_queued(task);
            count += 1;
        }
        for remote in self.remotes.iter() {
            let mut sent = Vec::new();
            remote.inbox.take(|task| sent.push(task));
            sent.extend(remote.swap_slot(None));
            sent.extend(std::iter::from_fn(|| remote.ring.take()));
            sent.extend(std::iter::successors(remote.batch.take(), |task| task.next()));
            count += sent.len();
            sent.into_iter().for_each(|task| self.end_queued(task));
        }
        count
    }

    /// Ends every goroutine of this runtime that is parked.
    /// Returns how many there were.
    fn sweep(&self) -> usize {
        if self.live() == 0 {
            return 0;
        }
        let mut count = 0;
        // Between `closing` and the state words: see `put_back`.
        fence(Ordering::SeqCst);
        let ours = |task: TaskRef| std::ptr::eq(task.scheduler.load(Ordering::Relaxed), &self.anchor);
        pool::for_each(|task| {
            if !ours(task) || !task.state.claim_idle() {
                return;
            }
            if ours(task) {
                self.end(task, true);
                count += 1;
            } else if task.state.park() == Parked::Notified {
                // The header began to serve another runtime between the two looks: undo the claim, and pass
                // on a wake that met it.
                task.schedule();
            }
        });
        count
    }

    /// Notes an end for [`Shared::shut_down_and_tell`].
    fn note_end(&self, task: TaskRef, abandoned: bool, waited: bool) {
        let mut left = lock(&self.left);
        match &mut *left {
            None => {}
            Some(left) if abandoned => {
                left.abandoned.extend(GoroutineInfo::of_owned(task, waited, &self.config.name));
            }
            Some(left) => left.dropped += 1,
        }
    }

    /// Ends a goroutine that the caller owns and that will not run any more.
    pub(super) fn end_queued(&self, task: TaskRef) {
        self.end(task, false);
    }

    /// The same of one that was parked, if it `waited`, or queued.
    fn end(&self, task: TaskRef, waited: bool) {
        if let Some(fiber) = task.fiber.get()
            && !fiber.is_busy()
        {
            // A stack of its own size that it has not started on.
            task.fiber.set(None);
            // SAFETY: no job, and the task, which the caller owns, had the only reference.
            unsafe { fiber.destroy() };
        }
        if task.fiber.get().is_none() {
            // Not started, or between polls: nobody is inside, so it can be dropped.
            let cancel = task.vtable.get().cancel;
            // SAFETY: the caller owns the task, and its body is not running.
            unsafe { cancel(task) };
            task.drop_locals();
        }
        let abandoned = task.fiber.get().is_some();
        self.note_end(task, abandoned, waited);
        task.fiber.set(None);
        if abandoned {
            // Its storage may hold a future in the middle of a poll: it stays as it is, and so does the header.
            task.vtable.set(&VTable::ABANDONED);
        }
        task.state.close();
        self.count_finished(None);
        if task.join.finish() == Last::Yes {
            // SAFETY: both sides are done with it.
            unsafe { pool::dispose(task) };
        }
    }
}
