//! A pool of workers.

mod job;
mod results;
mod shared;
mod submit;

pub use job::{Job, JobError};
pub use results::{AsCompleted, InOrder};
pub use shared::Stats;
pub use submit::{PoolWait, SubmitFuture, TrySubmitError};

use self::job::{Duty, Outlet};
use self::shared::{Ended, Shared, Task};
use crate::chan::{self, Sender, TrySendError};
use crate::context::{CancelContext, Context, Stop, background};
use crate::sys::global::{Mutex, lock};
use crate::task::panics::catch_uncaught;
use crate::wait::{WaitReason, wait_for};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Goroutines that run the jobs they are given, so many at a time and no more.
///
/// [`submit`](WorkerPool::submit) hands a job to the pool and returns its handle; it waits while all workers are busy
/// and the queue is full. Jobs are begun in the order in which they were submitted. Workers are started when there
/// is work for them, up to the [most](PoolBuilder::workers_between) there may be; those above the least retire when
/// they have had nothing to do for [a while](PoolBuilder::idle).
///
/// Threads and goroutines of any runtime may submit, through a reference or an `Arc`. A job that submits to its own
/// pool and waits for the result may wait for ever, when all workers do the same.
///
/// A worker is a goroutine of the runtime in which the job was submitted that it was started for. When that runtime
/// ends, its workers end with it, also the idle ones, and the pool does not learn of it: use a pool within one runtime,
/// or within the default one.
///
/// # Results
///
/// Each job's handle has its result. For many, [`in_order`](WorkerPool::in_order) is an iterator over the results in
/// the order of submission, and [`as_completed`](WorkerPool::as_completed) in the order in which they come. For jobs
/// that may fail, collect either into a `Result` for the first error, or keep all of them.
///
/// # Panics in jobs
///
/// The panic of a job is the error of its handle. If that had been dropped, the next [`wait`](WorkerPool::wait) raises
/// it again (of several the first); without that it is printed when the pool has gone. The worker goes on with the
/// next job. A job that calls [`goexit`](crate::goexit) counts as one that panicked, with that payload.
///
/// # Its end
///
/// The pool has a [context](WorkerPool::context) of its own, derived from that of the builder. When it is done, jobs that
/// have not begun are dropped, at once, and their handles report [`JobError::Canceled`]; those that run may ask it; workers go.
/// [`cancel`](WorkerPool::cancel) ends it, so does an error of [`submit_try`](WorkerPool::submit_try), and so does
/// *dropping the pool, which cancels and does not wait*. To finish what was begun call [`wait`](WorkerPool::wait) before.
///
/// # Cancellation
///
/// Waiting for a place in the queue, for a job or for the pool may be given up at any moment: a job that has no place
/// then is dropped, one that has runs on, and panics are kept for the next wait.
///
/// ```
/// use gosched::pipeline::WorkerPool;
///
/// gosched::run(|| {
///     let pool = WorkerPool::new(4);
///     let jobs: Vec<_> = (0..10).map(|n| pool.submit(move || n * n)).collect();
///     let squares: Vec<i32> = jobs.into_iter().map(|job| job.join().unwrap()).collect();
///     assert_eq!(squares[9], 81);
///     assert!(pool.stats().most_workers <= 4);
/// });
/// ```
///
/// In Go: `conc/pool`, or a loop of goroutines over a channel.
pub struct WorkerPool {
    shared: Arc<Shared>,
    jobs: Sender<Task>,
    owner: CancelContext,
    queue: usize,
    /// Keeps what is queued from being dropped in a goroutine, when the pool's own drop does it.
    at_end: Stop,
}

/// The longest queue of a pool that was not given a length.
const LONGEST_QUEUE: usize = 1024;

/// The settings of a [`WorkerPool`].
///
/// ```
/// use gosched::pipeline::WorkerPool;
/// use std::time::Duration;
///
/// let pool = WorkerPool::builder()
///     .workers_between(1, 16)
///     .idle(Duration::from_secs(10))
///     .queue(100)
///     .build();
/// assert_eq!(pool.submit(|| 6 * 7).join().unwrap(), 42);
/// ```
///
/// In Go: the `With` methods of `conc`'s pools.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct PoolBuilder {
    min: usize,
    max: usize,
    idle: Duration,
    queue: Option<usize>,
    ctx: Context,
}

impl PoolBuilder {
    /// At most `n` workers, which stay once they are there.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    ///
    /// In Go: `WithMaxGoroutines(n)`.
    #[track_caller]
    pub fn workers(self, n: usize) -> Self {
        self.workers_between(n, n)
    }

    /// As many workers as there is work for: at most `max`; `min` of them stay once they are there.
    ///
    /// # Panics
    ///
    /// If `max` is 0 or less than `min`.
    ///
    /// In Go: nothing; a `conc` pool has no least.
    #[track_caller]
    pub fn workers_between(mut self, min: usize, max: usize) -> Self {
        assert!(max > 0, "gosched::pipeline: a pool needs at least one worker");
        assert!(min <= max, "gosched::pipeline: a pool of at least {min} and at most {max} workers");
        (self.min, self.max) = (min, max);
        self
    }

    /// How long a worker above the least waits for a job before it retires. One second if it is not set.
    ///
    /// ```
    /// use gosched::pipeline::WorkerPool;
    /// use std::time::Duration;
    ///
    /// let pool = WorkerPool::builder().workers_between(0, 4).idle(Duration::from_millis(1)).build();
    /// pool.submit(|| ()).join().unwrap();
    /// while pool.stats().workers > 0 {
    ///     gosched::time::sleep(Duration::from_millis(1));
    /// }
    /// ```
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// How many jobs may wait for a worker; as many as there may be workers, but not more than 1024, if it is not set.
    /// With 0, submitting waits until a worker takes the job.
    pub fn queue(mut self, capacity: usize) -> Self {
        self.queue = Some(capacity);
        self
    }

    /// The context that the pool's own is derived from.
    ///
    /// ```
    /// use gosched::{context::background, pipeline::WorkerPool};
    ///
    /// let ctx = background().with_cancel();
    /// let pool = WorkerPool::builder().context(&ctx).build();
    /// ctx.cancel();
    /// assert!(pool.is_closed());
    /// ```
    ///
    /// In Go: `WithContext(ctx)`.
    pub fn context(mut self, ctx: &Context) -> Self {
        self.ctx = ctx.clone();
        self
    }

    /// Makes the pool. No goroutine is started yet.
    #[track_caller]
    pub fn build(self) -> WorkerPool {
        let queue = self.queue.unwrap_or(self.max.min(LONGEST_QUEUE));
        let (jobs, rx) = chan::bounded(queue);
        let owner = self.ctx.with_cancel();
        let workers = (self.min, self.max);
        let shared = Shared::new(owner.clone(), owner.canceller(), rx, workers, self.idle);
        let at_end = owner.after_func({
            let shared = Arc::downgrade(&shared);
            move || {
                if let Some(shared) = shared.upgrade() {
                    shared.drop_queued();
                }
            }
        });
        WorkerPool { shared, jobs, owner, queue, at_end }
    }
}

impl WorkerPool {
    /// A pool of at most `n` workers, with a [queue](PoolBuilder::queue) as long.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    #[track_caller]
    pub fn new(n: usize) -> Self {
        Self::builder().workers(n).build()
    }

    /// The settings to begin with: as many workers as the machine has processors for us.
    pub fn builder() -> PoolBuilder {
        let n = std::thread::available_parallelism().map_or(1, usize::from);
        PoolBuilder { min: n, max: n, idle: Duration::from_secs(1), queue: None, ctx: background() }
    }

    /// Hands a job to the pool; waits while the queue is full.
    ///
    /// If the pool is closed, or its context done, before the job has a place, the handle reports
    /// [`JobError::Canceled`].
    ///
    /// # Panics
    ///
    /// If a worker is to be started and cannot, as [`go`](crate::go).
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(pool.submit_async(f))` can.
    ///
    /// ```
    /// let pool = gosched::pipeline::WorkerPool::new(2);
    /// let (one, two) = (pool.submit(|| 1), pool.submit(|| 2));
    /// assert_eq!(one.join().unwrap() + two.join().unwrap(), 3);
    /// ```
    ///
    /// In Go: `pool.Go`.
    #[track_caller]
    pub fn submit<T, F>(&self, f: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, duty) = Job::new(self.shared.clone());
        self.put(self.task(f, duty));
        job
    }

    /// The same for a job that may fail, and whose failure makes the others pointless: it is given the pool's context,
    /// and an error, or a panic, cancels that, with the error's text as the [cause](Context::cause). The handle has
    /// the error itself; it is there before the context is cancelled.
    ///
    /// ```
    /// use gosched::pipeline::WorkerPool;
    /// use gosched::time::sleep_async;
    /// use std::time::Duration;
    ///
    /// gosched::run(|| {
    ///     let pool = WorkerPool::new(2);
    ///     let hour = Duration::from_secs(3600);
    ///     let slow = pool.submit_try(move |ctx| ctx.wait(sleep_async(hour)));
    ///     let bad = pool.submit_try(|_| Err::<(), _>("no such file"));
    ///     assert_eq!(bad.join().unwrap(), Err("no such file"));
    ///     // Told while it slept, or canceled before it began.
    ///     assert!(!matches!(slow.join(), Ok(Ok(()))));
    ///     assert_eq!(pool.context().cause().unwrap().to_string(), "no such file");
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// As [`submit`](WorkerPool::submit).
    ///
    /// In Go: a pool `WithContext(ctx).WithCancelOnError()`.
    #[track_caller]
    pub fn submit_try<T, E, F>(&self, f: F) -> Job<Result<T, E>>
    where
        F: FnOnce(&Context) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let (job, duty) = Job::new(self.shared.clone());
        let task = Task::new(&self.shared, move |shared| {
            let result = catch_uncaught(|| f(&shared.ctx));
            let (ended, cause) = match &result {
                Ok(Ok(_)) => (Ended::Done, None),
                // The error's text is made by the user's code.
                Ok(Err(error)) => {
                    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                    (Ended::Failed, Some(text.unwrap_or_else(|_| "a job failed".to_owned())))
                }
                Err(_) => (Ended::Panicked, Some("a job panicked".to_owned())),
            };
            shared.deliver(duty, result);
            if let Some(cause) = cause {
                shared.canceller.cancel_cause(cause);
            }
            ended
        });
        self.put(task);
        job
    }

    /// Hands a job to the pool if there is a place for it now.
    ///
    /// # Errors
    ///
    /// [`TrySubmitError`] with the job, if all workers are busy and the queue is full, or the pool is closed or its
    /// context done.
    ///
    /// # Panics
    ///
    /// As [`submit`](WorkerPool::submit).
    ///
    /// ```
    /// use gosched::{chan, pipeline::{TrySubmitError, WorkerPool}};
    ///
    /// let pool = WorkerPool::builder().workers(1).queue(0).build();
    /// let (release, hold) = chan::bounded::<()>(0);
    /// let busy = pool.submit(move || drop(hold.recv()));
    /// assert!(matches!(pool.try_submit(|| ()), Err(TrySubmitError::Full(_))));
    /// drop(release);
    /// busy.join().unwrap();
    /// ```
    ///
    /// In Go: nothing.
    #[track_caller]
    pub fn try_submit<T, F>(&self, f: F) -> Result<Job<T>, TrySubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.is_closed() {
            return Err(TrySubmitError::Closed(f));
        }
        let (job, duty) = Job::new(self.shared.clone());
        // In a place of its own, to be had back.
        let cell = Arc::new(Mutex::new(Some(f)));
        let task = self.task(
            {
                let cell = cell.clone();
                move || {
                    let f = lock(&cell).take();
                    f.expect("a job runs once")()
                }
            },
            duty,
        );
        let Some(task) = self.shared.place(task) else { return Ok(job) };
        let f = |task: Task| {
            task.withdraw();
            lock(&cell).take().expect("it has not run")
        };
        match self.jobs.try_send(task) {
            Ok(()) => {
                self.shared.drop_queued();
                Ok(job)
            }
            Err(TrySendError::Full(task)) => Err(TrySubmitError::Full(f(task))),
            Err(TrySendError::Disconnected(task)) => Err(TrySubmitError::Closed(f(task))),
        }
    }

    /// The async form of [`submit`](WorkerPool::submit).
    ///
    /// ```
    /// # use gosched::pipeline::WorkerPool;
    /// let pool = WorkerPool::new(1);
    /// let sum = gosched::wait(async { pool.submit_async(|| 1 + 1).await.await });
    /// assert_eq!(sum.unwrap(), 2);
    /// ```
    pub fn submit_async<T, F>(&self, f: F) -> SubmitFuture<'_, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // The handle is meant to be awaited later.
        #[allow(clippy::async_yields_async)]
        SubmitFuture(Box::pin(async move {
            let (job, duty) = Job::new(self.shared.clone());
            if let Some(task) = self.admit(self.task(f, duty)) {
                self.enqueue(task).await;
            }
            job
        }))
    }

    /// Waits until no job is queued or running. The pool may be used on.
    ///
    /// # Panics
    ///
    /// Raises the first panic of a job again that no handle was there to take.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(pool.wait_async())` can.
    ///
    /// ```
    /// let pool = gosched::pipeline::WorkerPool::new(2);
    /// for _ in 0..10 {
    ///     drop(pool.submit(|| ()));
    /// }
    /// pool.wait();
    /// assert_eq!(pool.stats().done, 10);
    /// ```
    ///
    /// In Go: `Wait`, which also closes the pool until the next `Go`.
    #[track_caller]
    pub fn wait(&self) {
        self.shared.open.wait();
        self.shared.raise();
    }

    /// [`wait`](WorkerPool::wait) for at most `timeout`: false if jobs are queued or running still. A timeout too large
    /// for the clock means for ever.
    ///
    /// ```
    /// # use gosched::pipeline::WorkerPool;
    /// use std::time::Duration;
    ///
    /// let pool = WorkerPool::new(1);
    /// drop(pool.submit(|| println!("a job")));
    /// assert!(pool.wait_timeout(Duration::from_secs(60)));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`wait`](WorkerPool::wait); not if the time is over first.
    #[track_caller]
    #[must_use = "jobs may be running still"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let idle = self.shared.open.wait_timeout(timeout);
        if idle {
            self.shared.raise();
        }
        idle
    }

    /// [`wait_timeout`](WorkerPool::wait_timeout) with a point in time.
    ///
    /// # Panics
    ///
    /// As [`wait`](WorkerPool::wait); not if the time is over first.
    #[track_caller]
    #[must_use = "jobs may be running still"]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        let idle = self.shared.open.wait_deadline(deadline);
        if idle {
            self.shared.raise();
        }
        idle
    }

    /// The async form of [`wait`](WorkerPool::wait).
    ///
    /// ```
    /// let pool = gosched::pipeline::WorkerPool::new(2);
    /// drop(pool.submit(|| ()));
    /// gosched::wait(async { pool.wait_async().await });
    /// assert_eq!(pool.stats().done, 1);
    /// ```
    pub fn wait_async(&self) -> PoolWait<'_> {
        PoolWait(Box::pin(async {
            self.shared.open.wait_async().await;
            self.shared.raise();
        }))
    }

    /// Takes no more jobs. Those that are queued still run; then the workers go.
    ///
    /// ```
    /// use gosched::pipeline::{JobError, WorkerPool};
    ///
    /// let pool = WorkerPool::new(1);
    /// let queued = pool.submit(|| 7);
    /// pool.close();
    /// assert_eq!(queued.join().unwrap(), 7);
    /// assert!(matches!(pool.submit(|| 8).join(), Err(JobError::Canceled)));
    /// ```
    ///
    /// In Go: nothing; `Wait` does it.
    pub fn close(&self) {
        self.jobs.close();
    }

    /// Whether new jobs are refused: the pool was closed, or its context is done.
    pub fn is_closed(&self) -> bool {
        self.jobs.is_closed() || self.shared.ctx.err().is_some()
    }

    /// Ends the pool's context: jobs that have not begun are dropped, those that run may ask it.
    ///
    /// ```
    /// use gosched::{context::ContextError, pipeline::WorkerPool};
    ///
    /// let pool = WorkerPool::new(1);
    /// pool.cancel();
    /// assert_eq!(pool.context().err(), Some(ContextError::Canceled));
    /// assert!(pool.submit(|| 7).join().is_err());
    /// ```
    ///
    /// In Go: the cancelling of the context that was given to `WithContext`.
    pub fn cancel(&self) {
        self.owner.cancel();
    }

    /// The pool's context, for jobs to ask.
    pub fn context(&self) -> &Context {
        &self.shared.ctx
    }

    /// The numbers of this moment.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Submits jobs and yields their results in the order of the jobs. Jobs are taken from the iterator while the
    /// results are asked for, as many ahead as the pool has workers and places in its queue.
    ///
    /// Dropping it submits no more; what was submitted runs on.
    ///
    /// ```
    /// use gosched::pipeline::{JobError, WorkerPool};
    ///
    /// gosched::run(|| {
    ///     let pool = WorkerPool::new(3);
    ///     let jobs = (1..=5).map(|n| move || n * n);
    ///     let squares: Result<Vec<i32>, JobError> = pool.in_order(jobs).collect();
    ///     assert_eq!(squares.unwrap(), [1, 4, 9, 16, 25]);
    /// });
    /// ```
    ///
    /// In Go: `pool.NewWithResults`, and `conc/stream`.
    pub fn in_order<I, F, T>(&self, jobs: I) -> InOrder<'_, I::IntoIter, T>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        InOrder::new(self, jobs.into_iter())
    }

    /// The same in the order in which the results come.
    ///
    /// ```
    /// use gosched::pipeline::WorkerPool;
    ///
    /// gosched::run(|| {
    ///     let pool = WorkerPool::new(3);
    ///     let squares = pool.as_completed((1..=5).map(|n| move || n * n));
    ///     assert_eq!(squares.map(|square| square.unwrap()).sum::<i32>(), 55);
    /// });
    /// ```
    ///
    /// In Go: `pool.NewWithResults`, which collects them.
    pub fn as_completed<I, F, T>(&self, jobs: I) -> AsCompleted<'_, I::IntoIter, T>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        AsCompleted::new(self, jobs.into_iter())
    }

    fn ahead(&self) -> usize {
        self.shared.max.saturating_add(self.queue)
    }

    fn submit_to<T, F>(&self, f: F, outlet: Outlet<T>)
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.put(self.task(f, Duty::new(outlet)));
    }

    fn task<T, F>(&self, f: F, duty: Duty<T>) -> Task
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Task::new(&self.shared, move |shared| {
            let result = catch_uncaught(f);
            let ended = if result.is_ok() { Ended::Done } else { Ended::Panicked };
            shared.deliver(duty, result);
            ended
        })
    }

    #[track_caller]
    fn put(&self, task: Task) {
        if let Some(task) = self.admit(task) {
            match self.jobs.try_send(task) {
                // It may have come too late for whoever drops what is queued at the end.
                Ok(()) => self.shared.drop_queued(),
                // Dropped, which tells its handle.
                Err(TrySendError::Disconnected(task)) => drop(task),
                Err(TrySendError::Full(task)) => {
                    let operation = pin!(self.enqueue(task));
                    wait_for(WaitReason::ChanSend, operation);
                }
            }
        }
    }

    /// Drops the task if the pool takes none, and gives it to a new worker if there is to be one.
    #[track_caller]
    fn admit(&self, task: Task) -> Option<Task> {
        if self.is_closed() {
            drop(task);
            return None;
        }
        self.shared.place(task)
    }

    /// Puts a counted task into the queue.
    async fn enqueue(&self, task: Task) {
        // What comes back, or is given up, is dropped, which tells its handle.
        drop(self.shared.ctx.wait_async(self.jobs.send_async(task)).await);
        self.shared.drop_queued();
    }
}

impl Shared {
    /// Gives a job's result to who wants it.
    fn deliver<T>(&self, duty: Duty<T>, result: std::thread::Result<T>) {
        if let Some(payload) = duty.give(result.map_err(JobError::Panicked)) {
            self.keep_panic(payload);
        }
    }

    fn raise(&self) {
        if !std::thread::panicking()
            && let Some(payload) = self.take_panic()
        {
            resume_unwind(payload);
        }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.at_end.stop();
        self.close();
        self.cancel();
        self.shared.drop_queued();
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
