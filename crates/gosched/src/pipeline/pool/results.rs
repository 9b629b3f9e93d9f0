//! The results of many jobs, as iterators.

use super::job::{Job, JobError, Outlet};
use super::{Shared, WorkerPool};
use crate::chan::{Receiver, Sender, unbounded};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Results in the order of submission; from [`WorkerPool::in_order`].
///
/// # Cancellation
///
/// Each `next` waits and cannot be told to stop, but by the pool's context: what had not begun reports
/// [`JobError::Canceled`] then.
///
/// # Example
///
/// ```
/// let pool = gosched::pipeline::WorkerPool::new(2);
/// let mut squares = pool.in_order((1..=3).map(|n| move || n * n));
/// assert_eq!(squares.next().unwrap().unwrap(), 1);
/// drop(squares); // submits no more
/// ```
#[must_use = "iterators are lazy: no job is submitted before a result is asked for"]
pub struct InOrder<'p, I, T> {
    pool: &'p WorkerPool,
    jobs: I,
    ahead: VecDeque<Job<T>>,
}

impl<'p, I, T> InOrder<'p, I, T> {
    pub(super) fn new(pool: &'p WorkerPool, jobs: I) -> Self {
        Self { pool, jobs, ahead: VecDeque::new() }
    }
}

impl<I, F, T> Iterator for InOrder<'_, I, T>
where
    I: Iterator<Item = F>,
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Item = Result<T, JobError>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead.len() < self.pool.ahead()
            && let Some(f) = self.jobs.next()
        {
            self.ahead.push_back(self.pool.submit(f));
        }
        self.ahead.pop_front().map(Job::join)
    }
}

impl<I, T> fmt::Debug for InOrder<'_, I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrder").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}

/// Results in the order in which they come; from [`WorkerPool::as_completed`].
///
/// # Cancellation
///
/// As [`InOrder`].
///
/// # Example
///
/// ```
/// let pool = gosched::pipeline::WorkerPool::new(2);
/// let mut found = pool.as_completed((1..=3).map(|n| move || n * n)).map(|square| square.unwrap());
/// assert!(found.any(|square| square == 4));
/// ```
#[must_use = "iterators are lazy: no job is submitted before a result is asked for"]
pub struct AsCompleted<'p, I, T> {
    pool: &'p WorkerPool,
    jobs: I,
    ahead: usize,
    come: Come<T>,
}

/// The results that have come. A type of its own, so that its drop does not lengthen the borrow of the pool.
struct Come<T> {
    /// As many results as there are jobs ahead, so it is bounded by that.
    tx: Sender<Result<T, JobError>>,
    rx: Receiver<Result<T, JobError>>,
    shared: Arc<Shared>,
}

impl<'p, I, T> AsCompleted<'p, I, T> {
    pub(super) fn new(pool: &'p WorkerPool, jobs: I) -> Self {
        let (tx, rx) = unbounded();
        Self { pool, jobs, ahead: 0, come: Come { tx, rx, shared: pool.shared.clone() } }
    }
}

impl<I, F, T> Iterator for AsCompleted<'_, I, T>
where
    I: Iterator<Item = F>,
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Item = Result<T, JobError>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead < self.pool.ahead()
            && let Some(f) = self.jobs.next()
        {
            // Counted first: a job that cannot be submitted, which panics here, has a result as well.
            self.ahead += 1;
            self.pool.submit_to(f, Outlet::Channel(self.come.tx.clone()));
        }
        self.ahead = self.ahead.checked_sub(1)?;
        Some(self.come.rx.recv().expect("each job gives one result, or says that it was canceled"))
    }
}

impl<T> Drop for Come<T> {
    fn drop(&mut self) {
        // First, so that what comes later goes back to the pool.
        self.tx.close();
        while let Ok(result) = self.rx.try_recv() {
            // As when a job's handle is dropped: the panic is for who waits for the pool.
            if let Err(JobError::Panicked(payload)) = result {
                self.shared.keep_panic(payload);
            }
        }
    }
}

impl<I, T> fmt::Debug for AsCompleted<'_, I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}
