//! The results of many jobs, as iterators.

use super::WorkerPool;
use super::job::{Job, JobError, Outlet};
use crate::chan::{Receiver, Sender, unbounded};
use std::collections::VecDeque;
use std::fmt;

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
    /// As many results as there are jobs ahead, so it is bounded by that.
    tx: Sender<Result<T, JobError>>,
    rx: Receiver<Result<T, JobError>>,
}

impl<'p, I, T> AsCompleted<'p, I, T> {
    pub(super) fn new(pool: &'p WorkerPool, jobs: I) -> Self {
        let (tx, rx) = unbounded();
        Self { pool, jobs, ahead: 0, tx, rx }
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
            self.pool.submit_to(f, Outlet::Channel(self.tx.clone()));
            self.ahead += 1;
        }
        self.ahead = self.ahead.checked_sub(1)?;
        Some(self.rx.recv().expect("each job gives one result, or says that it was canceled"))
    }
}

impl<I, T> fmt::Debug for AsCompleted<'_, I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}
