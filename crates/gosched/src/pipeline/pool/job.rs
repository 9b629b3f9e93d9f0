//! One job: its handle, and where its result is put.

use super::Shared;
use crate::chan::Sender;
use crate::sys::global::{Mutex, lock};
use crate::wait::queue::wake_quietly;
use crate::wait::{WaitReason, wait_for};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

type Payload = Box<dyn Any + Send>;

/// Why a job has no result.
///
/// ```
/// use gosched::pipeline::{JobError, WorkerPool};
///
/// let pool = WorkerPool::new(1);
/// assert!(matches!(pool.submit(|| panic!("a job's")).join(), Err(JobError::Panicked(_))));
/// pool.close();
/// assert!(matches!(pool.submit(|| ()).join(), Err(JobError::Canceled)));
/// ```
///
/// In Go: nothing; `conc/pool` raises panics in `Wait`, and drops no job.
pub enum JobError {
    /// It panicked; this is the payload.
    Panicked(Box<dyn Any + Send>),
    /// It never ran: the pool was closed, dropped, or its context was done before a worker took the job up.
    Canceled,
}

impl JobError {
    /// Raises the panic again; panics with the text of this error if it is none.
    ///
    /// ```should_panic
    /// let pool = gosched::pipeline::WorkerPool::new(1);
    /// let job = pool.submit(|| panic!("a job's"));
    /// job.join().unwrap_or_else(|error| error.resume())
    /// ```
    pub fn resume(self) -> ! {
        match self {
            JobError::Panicked(payload) => resume_unwind(payload),
            JobError::Canceled => panic!("{self}"),
        }
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&crate::task::report::text(&**payload)).finish()
            }
            JobError::Canceled => f.write_str("Canceled"),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Panicked(payload) => {
                write!(f, "the job panicked: {}", crate::task::report::text(&**payload))
            }
            JobError::Canceled => f.write_str("the job was canceled before it ran"),
        }
    }
}

impl Error for JobError {}

/// Where the result of a job goes.
pub(super) enum Outlet<T> {
    Slot(Arc<Slot<T>>),
    Channel(Sender<Result<T, JobError>>),
}

impl<T> Outlet<T> {
    /// Gives it the result. A panic that nobody will hear of comes back.
    fn give(&self, result: Result<T, JobError>) -> Option<Payload> {
        let rejected = match self {
            Outlet::Slot(slot) => slot.give(result).err(),
            Outlet::Channel(tx) => tx.send(result).err().map(|error| error.0),
        };
        match rejected {
            Some(Err(JobError::Panicked(payload))) => Some(payload),
            _ => None,
        }
    }
}

/// The duty to give an outlet a result. One that is dropped says that the job was canceled.
pub(super) struct Duty<T>(Option<Outlet<T>>);

impl<T> Duty<T> {
    pub(super) fn new(outlet: Outlet<T>) -> Self {
        Self(Some(outlet))
    }

    pub(super) fn give(mut self, result: Result<T, JobError>) -> Option<Payload> {
        self.0.take().and_then(|outlet| outlet.give(result))
    }
}

impl<T> Drop for Duty<T> {
    fn drop(&mut self) {
        if let Some(outlet) = self.0.take() {
            outlet.give(Err(JobError::Canceled));
        }
    }
}

/// The place between a job and its handle.
pub(super) struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    Waiting(Option<Waker>),
    Ready(Result<T, JobError>),
    /// The result was taken, or the handle dropped.
    Over,
}

impl<T> Slot<T> {
    fn give(&self, result: Result<T, JobError>) -> Result<(), Result<T, JobError>> {
        let mut state = lock(&self.0);
        match &mut *state {
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Ready(result);
                drop(state);
                // A foreign waker's panic is not the job's.
                wake_quietly(waker);
                Ok(())
            }
            _ => Err(result),
        }
    }
}

/// A job handed to a [`WorkerPool`](super::WorkerPool): waits for its result, by [`join`](Job::join) or as a future.
///
/// Dropping it does not stop the job. If that panics then, the pool's [`wait`](super::WorkerPool::wait) gets the panic.
///
/// # Cancellation
///
/// Waiting for it by reference (`(&mut job).await`, `ctx.wait(&mut job)`) may be given up at any moment, and taken up
/// again.
///
/// # Example
///
/// ```
/// use gosched::{chan, context::{ContextError, background}, pipeline::WorkerPool};
/// use std::time::Duration;
///
/// let pool = WorkerPool::new(1);
/// let (release, hold) = chan::bounded::<()>(0);
/// let mut job = pool.submit(move || hold.recv().is_err());
/// let ctx = background().with_timeout(Duration::from_millis(1));
/// assert!(matches!(ctx.wait(&mut job), Err(ContextError::DeadlineExceeded)));
/// drop(release);
/// assert!(job.join().unwrap());
/// ```
///
/// In Go: nothing; a channel that the job sends its result on.
#[must_use = "dropping the handle is how to say that nobody wants the result: `drop(pool.submit(f))`"]
pub struct Job<T> {
    slot: Arc<Slot<T>>,
    pool: Arc<Shared>,
}

impl<T> Job<T> {
    pub(super) fn new(pool: Arc<Shared>) -> (Self, Duty<T>) {
        let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
        let duty = Duty::new(Outlet::Slot(slot.clone()));
        (Job { slot, pool }, duty)
    }

    /// Waits for the job to end and returns what it returned.
    ///
    /// # Errors
    ///
    /// [`JobError::Panicked`] with the payload of its panic; [`JobError::Canceled`] if it never ran.
    ///
    /// # Panics
    ///
    /// If the result has been taken already.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(&mut job)` can.
    ///
    /// ```
    /// let pool = gosched::pipeline::WorkerPool::new(2);
    /// assert_eq!(pool.submit(|| 6 * 7).join().unwrap(), 42);
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JobError> {
        wait_for(WaitReason::Join, pin!(self))
    }

    /// Whether the job has ended, or was canceled. `join` returns at once then.
    pub fn is_finished(&self) -> bool {
        !matches!(*lock(&self.slot.0), State::Waiting(_))
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, JobError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before the lock, the old one dropped after it: a waker's methods are foreign code.
        let new = cx.waker().clone();
        let mut state = lock(&self.slot.0);
        match &mut *state {
            State::Waiting(waker) => {
                let old = waker.replace(new);
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Ready(_) => match std::mem::replace(&mut *state, State::Over) {
                State::Ready(result) => Poll::Ready(result),
                _ => unreachable!("it was just seen"),
            },
            State::Over => {
                drop(state);
                panic!("a Job was polled after it had returned its result")
            }
        }
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        let last = std::mem::replace(&mut *lock(&self.slot.0), State::Over);
        if let State::Ready(Err(JobError::Panicked(payload))) = last {
            self.pool.keep_panic(payload);
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("finished", &self.is_finished()).finish()
    }
}
