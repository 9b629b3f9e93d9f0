//! What a pool's workers and its owner have in common: the counts, and the life of a worker.

use crate::chan::{Receiver, RecvTimeoutError};
use crate::clock::now;
use crate::context::{Canceller, Context};
use crate::spawn::go;
use crate::sync::WaitGroup;
use crate::sys::global::{Mutex, lock};
use crate::sys::threads::discard_payload;
use crate::task::panics::catch_uncaught;
use crate::task::report::untold_panic;
use crate::wait::{WaitReason, wait_deadline, wait_for};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The numbers of a [`WorkerPool`](super::WorkerPool) at one moment.
///
/// ```
/// let pool = gosched::pipeline::WorkerPool::new(2);
/// pool.submit(|| ()).join().unwrap();
/// pool.wait();
/// let stats = pool.stats();
/// assert_eq!((stats.done, stats.queued, stats.panicked), (1, 0, 0));
/// ```
///
/// In Go: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Jobs that no worker has taken up yet, those of submitters included who wait for a place in the queue.
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that have returned, other than with an error of [`submit_try`](super::WorkerPool::submit_try).
    pub done: usize,
    /// Jobs of [`submit_try`](super::WorkerPool::submit_try) that have returned an error.
    pub failed: usize,
    /// Jobs that have panicked.
    pub panicked: usize,
    /// Jobs that were dropped before they ran.
    pub canceled: usize,
    /// Workers that there are.
    pub workers: usize,
    /// The most that there have been at a time.
    pub most_workers: usize,
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Failed,
    Panicked,
}

pub(in crate::pipeline) struct Shared {
    pub(super) ctx: Context,
    pub(super) canceller: Canceller,
    pub(super) jobs: Receiver<Task>,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) idle_limit: Duration,
    /// Counts the jobs that have not ended.
    pub(super) open: WaitGroup,
    counts: Mutex<Counts>,
    /// The first panic that no handle was there to take.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// All under one lock, so that the decisions about workers are made on one state of things.
///
/// A worker that is idle may go only while no job is `queued`, and a job is queued only after it was counted
/// here: so one who sees an idle worker for his job finds it there.
#[derive(Default)]
struct Counts {
    stats: Stats,
    idle: usize,
}

type Run = Box<dyn FnOnce(&Shared) -> Ended + Send>;

/// A job on its way to a worker.
pub(super) struct Task {
    // In this order: when `open` is counted down, the job and all it held has gone.
    run: Option<Run>,
    account: Account,
}

/// What a task is counted as; it is counted out when dropped.
struct Account {
    shared: Arc<Shared>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Queued,
    Running,
    Ended(Ended),
    Withdrawn,
}

impl Task {
    pub(super) fn new(shared: &Arc<Shared>, run: impl FnOnce(&Shared) -> Ended + Send + 'static) -> Self {
        shared.open.add(1);
        Task { run: Some(Box::new(run)), account: Account { shared: shared.clone(), stage: Stage::New } }
    }

    /// Takes it back: it is not counted as canceled, as if it had never been submitted.
    pub(super) fn withdraw(mut self) {
        self.account.set(Stage::Withdrawn);
    }

    fn run(mut self) {
        self.account.set(Stage::Running);
        let shared = self.account.shared.clone();
        // A job that is not wanted any more, or a result that nobody wants, is dropped here: users' destructors.
        let ran = catch_uncaught(|| {
            let run = self.run.take().expect("a task runs once");
            if shared.ctx.err().is_none() { Some(run(&shared)) } else { None }
        });
        match ran {
            Ok(Some(ended)) => self.account.set(Stage::Ended(ended)),
            Ok(None) => self.account.set(Stage::New),
            Err(payload) => {
                shared.keep_panic(payload);
                self.account.set(Stage::Ended(Ended::Panicked));
            }
        }
    }
}

impl Account {
    fn set(&mut self, next: Stage) {
        let stats = &mut lock(&self.shared.counts).stats;
        match self.stage {
            Stage::Queued => stats.queued -= 1,
            Stage::Running => stats.running -= 1,
            Stage::New | Stage::Ended(_) | Stage::Withdrawn => {}
        }
        match next {
            Stage::New | Stage::Withdrawn => {}
            Stage::Queued => stats.queued += 1,
            Stage::Running => stats.running += 1,
            Stage::Ended(Ended::Done) => stats.done += 1,
            Stage::Ended(Ended::Failed) => stats.failed += 1,
            Stage::Ended(Ended::Panicked) => stats.panicked += 1,
        }
        self.stage = next;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Ended(_) | Stage::Withdrawn) {
            self.set(Stage::New);
            lock(&self.shared.counts).stats.canceled += 1;
        }
        // Wakers are called here, which may be foreign: one that panics must not cost the pool a worker.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.shared.open.done())) {
            discard_payload(payload);
        }
    }
}

impl Shared {
    pub(super) fn new(
        ctx: Context,
        canceller: Canceller,
        jobs: Receiver<Task>,
        workers: (usize, usize),
        idle_limit: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            ctx,
            canceller,
            jobs,
            min: workers.0,
            max: workers.1,
            idle_limit,
            open: WaitGroup::new(),
            counts: Mutex::default(),
            panic: Mutex::new(None),
        })
    }

    pub(super) fn stats(&self) -> Stats {
        lock(&self.counts).stats
    }

    /// Waits for a job as long as a worker has to; `Timeout` if he is to think about going.
    fn receive(&self) -> Result<Task, RecvTimeoutError> {
        if let Ok(task) = self.jobs.try_recv() {
            return Ok(task);
        }
        if self.ctx.err().is_some() {
            if lock(&self.counts).stats.queued == 0 {
                // To go at once: a clock that is moved by hand may stand still for ever.
                return Err(RecvTimeoutError::Timeout);
            }
            // What is queued is dropped; and somebody may be just about to queue something, or to give that up.
            return self.jobs.recv_timeout(Duration::from_millis(1));
        }
        // Fewer than the least stay for ever; and so does one who becomes one of them while he waits.
        let may_retire = lock(&self.counts).stats.workers > self.min;
        let deadline = may_retire.then(|| now().checked_add(self.idle_limit)).flatten();
        let job = pin!(self.ctx.wait_async(self.jobs.recv_async()));
        let received = match deadline {
            Some(deadline) => wait_deadline(WaitReason::ChanReceive, job, deadline),
            None => Some(wait_for(WaitReason::ChanReceive, job)),
        };
        match received {
            Some(Ok(result)) => result.map_err(RecvTimeoutError::from),
            // The context is done, or the time is up.
            Some(Err(_)) | None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Drops what is queued, if the context is done: the workers may be busy for long, or have gone with their runtime.
    pub(super) fn drop_queued(&self) {
        while self.ctx.err().is_some()
            && let Ok(task) = self.jobs.try_recv()
        {
            // It is not run, since the context is done.
            task.run();
        }
    }

    /// Keeps a panic for `wait`.
    pub(super) fn keep_panic(&self, payload: Box<dyn Any + Send>) {
        let mut first = lock(&self.panic);
        let late = if first.is_some() { Some(payload) } else { first.replace(payload) };
        drop(first);
        if let Some(late) = late {
            discard_payload(late);
        }
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panic).take()
    }

    /// Finds a place for a new job: with a new worker if none is idle and there may be more, else in the queue, which is
    /// the caller's to do: then the task comes back.
    #[track_caller]
    pub(super) fn place(self: &Arc<Self>, mut task: Task) -> Option<Task> {
        let mut counts = lock(&self.counts);
        let has_idle = counts.stats.queued < counts.idle;
        // Counted in the same breath: from here on no worker retires before it has looked for this job.
        counts.stats.queued += 1;
        task.account.stage = Stage::Queued;
        if has_idle || counts.stats.workers == self.max {
            return Some(task);
        }
        counts.stats.workers += 1;
        counts.stats.most_workers = counts.stats.most_workers.max(counts.stats.workers);
        drop(counts);
        // If no goroutine can be started the seat and the task count themselves out.
        let seat = Seat { shared: self.clone(), taken: true };
        go(move || seat.work(task));
        None
    }
}

/// One worker's being there.
struct Seat {
    shared: Arc<Shared>,
    taken: bool,
}

impl Seat {
    /// The life of a worker.
    fn work(mut self, first: Task) {
        first.run();
        while let Some(task) = self.next() {
            task.run();
        }
    }

    /// The next job; `None` if the worker is to go.
    fn next(&mut self) -> Option<Task> {
        let shared = self.shared.clone();
        lock(&shared.counts).idle += 1;
        loop {
            let received = shared.receive();
            let mut counts = lock(&shared.counts);
            let may_go =
                counts.stats.queued == 0 && (counts.stats.workers > shared.min || shared.ctx.err().is_some());
            match received {
                Ok(task) => {
                    counts.idle -= 1;
                    return Some(task);
                }
                Err(RecvTimeoutError::Timeout) if !may_go => {}
                Err(_) => {
                    counts.idle -= 1;
                    counts.stats.workers -= 1;
                    self.taken = false;
                    return None;
                }
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.taken {
            lock(&self.shared.counts).stats.workers -= 1;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(payload) = self.take_panic() {
            untold_panic("a job of a WorkerPool panicked and nobody waited for it", payload);
        }
    }
}
