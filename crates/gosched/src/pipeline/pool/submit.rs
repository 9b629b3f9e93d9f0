//! What a pool's methods return: the futures of submitting and waiting, and why a job was not taken.

use super::Job;
#[cfg(doc)]
use super::WorkerPool;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// Why [`WorkerPool::try_submit`] did not take a job, and the job.
///
/// ```
/// use gosched::pipeline::{TrySubmitError, WorkerPool};
///
/// let pool = WorkerPool::new(1);
/// pool.close();
/// let refused: TrySubmitError<_> = pool.try_submit(|| 7).unwrap_err();
/// assert!(matches!(refused, TrySubmitError::Closed(_)));
/// let job = refused.into_inner();
/// assert_eq!(job(), 7);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySubmitError<F> {
    /// All workers are busy and the queue is full.
    Full(F),
    /// The pool was closed, or its context is done.
    Closed(F),
}

impl<F> TrySubmitError<F> {
    /// The job.
    pub fn into_inner(self) -> F {
        match self {
            TrySubmitError::Full(f) | TrySubmitError::Closed(f) => f,
        }
    }
}

impl<F> fmt::Debug for TrySubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if matches!(self, TrySubmitError::Full(_)) { "Full(..)" } else { "Closed(..)" })
    }
}

impl<F> fmt::Display for TrySubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TrySubmitError::Full(_) => "the pool is busy and its queue full",
            TrySubmitError::Closed(_) => "the pool takes no more jobs",
        })
    }
}

impl<F> Error for TrySubmitError<F> {}

/// Hands a job to a pool; from [`WorkerPool::submit_async`].
///
/// # Cancellation
///
/// Dropping it before it is ready drops the job, which has not run then, unless it was being taken up in that very
/// moment.
///
/// # Example
///
/// ```
/// use gosched::{chan, pipeline::WorkerPool, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let pool = WorkerPool::builder().workers(1).queue(0).build();
/// let (release, hold) = chan::bounded::<()>(0);
/// let busy = pool.submit(move || drop(hold.recv()));
/// let late = pool.submit_async(|| unreachable!("it was given up"));
/// assert!(matches!(timeout(Duration::from_millis(1), late), Err(Elapsed)));
/// drop(release);
/// busy.join().unwrap();
/// pool.wait();
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct SubmitFuture<'a, T>(pub(super) Pin<Box<dyn Future<Output = Job<T>> + Send + 'a>>);

impl<T> Future for SubmitFuture<'_, T> {
    type Output = Job<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Job<T>> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for SubmitFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SubmitFuture { .. }")
    }
}

/// Waits for the jobs of a pool; from [`WorkerPool::wait_async`].
///
/// # Cancellation
///
/// Dropping it loses nothing: a panic is kept for the next wait.
///
/// # Example
///
/// ```
/// use gosched::{chan, pipeline::WorkerPool, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let pool = WorkerPool::new(1);
/// let (release, hold) = chan::bounded::<()>(0);
/// drop(pool.submit(move || drop(hold.recv())));
/// assert_eq!(timeout(Duration::from_millis(1), pool.wait_async()), Err(Elapsed));
/// drop(release);
/// gosched::wait(pool.wait_async());
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct PoolWait<'a>(pub(super) Pin<Box<dyn Future<Output = ()> + Send + 'a>>);

impl Future for PoolWait<'_> {
    type Output = ();

    /// # Panics
    ///
    /// As [`WorkerPool::wait`].
    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for PoolWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("PoolWait { .. }")
    }
}
