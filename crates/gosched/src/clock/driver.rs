//! Timers for those whom no worker serves: plain threads and tasks of other executors.
//!
//! One thread, "gosched-timer", started with the first timer. It sleeps until the earliest is due, is woken
//! when an earlier one comes, and ends when there has been none for ten seconds; the next timer starts it
//! again.
//!
//! # Why no timer is left alone
//!
//! The thread decides to sleep or to end under the lock `awake`, after it has read the earliest deadline
//! there. Whoever inserts and is the earliest takes the same lock afterwards. Either the thread has read the
//! new deadline, or it sleeps already and the notification reaches it, or it has ended and `running` says
//! so: then the inserter starts another. One who is not the earliest relies on the thread that the earliest
//! found or started; if that start failed, `running` is false and it tries itself.

use super::{TimerKey, Timers, real_now};
#[cfg(not(loom))]
use crate::sys::census::Harmless;
use crate::sys::global::{AtomicBool, AtomicUsize, Condvar, Mutex, OnceLock, Ordering, lock};
use std::sync::PoisonError;
use std::task::Waker;
use std::time::{Duration, Instant};
use std::{io, thread};

/// How long the thread stays without a timer.
const IDLE: Duration = Duration::from_secs(10);

/// The process-wide driver.
pub(crate) fn fallback() -> &'static Driver {
    static FALLBACK: OnceLock<Driver> = OnceLock::new();
    FALLBACK.get_or_init(|| Driver::new(IDLE))
}

/// A timer store with a thread that wakes what is due.
#[derive(Debug)]
pub(crate) struct Driver {
    timers: Timers,
    idle: Duration,
    /// Held to decide about sleeping, ending and starting; see the head of this file.
    awake: Mutex<()>,
    nudge: Condvar,
    /// Whether there is a thread. Written under `awake`.
    running: AtomicBool,
    /// How many times it has looked for what is due; odd while it does, and wakes whom it finds.
    looks: AtomicUsize,
}

impl Driver {
    fn new(idle: Duration) -> Self {
        Self {
            timers: Timers::new(),
            idle,
            awake: Mutex::new(()),
            nudge: Condvar::new(),
            running: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
        }
    }

    /// Wakes `waker` at `at`, unless it is cancelled before.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started; the timer is then not set.
    pub(crate) fn insert(&'static self, at: Instant, waker: Waker) -> io::Result<TimerKey> {
        let (key, first) = self.timers.insert(real_now(), at, waker);
        if (first || !self.running())
            && let Err(error) = self.nudge()
        {
            drop(self.timers.cancel(key));
            return Err(error);
        }
        Ok(key)
    }

    /// As [`Timers::cancel`]. The thread may wake for nothing later.
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        self.timers.cancel(key)
    }

    /// As [`Timers::update`]: false if the timer has expired or was cancelled before.
    pub(crate) fn update(&'static self, key: TimerKey, at: Instant, waker: &Waker) -> bool {
        match self.timers.update(key, at, waker) {
            // A live timer has a thread, or is about to get one from whoever inserted it: a start that fails
            // here is the inserter's to report.
            Some(true) => {
                let _ = self.nudge();
                true
            }
            Some(false) => true,
            None => false,
        }
    }

    /// Whether the thread lives, for those who count the process's threads.
    pub(crate) fn running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// When the earliest timer is due, as [`super::to_nanos`] counts, and how many times the thread has looked for what is
    /// due. `None` while it does.
    #[cfg(not(loom))]
    pub(crate) fn at_rest(&self) -> Option<(u64, usize)> {
        // In this order: a timer that is taken out of the store is taken out during a look.
        let looks = self.looks.load(Ordering::SeqCst);
        let next = self.timers.next_nanos();
        (looks.is_multiple_of(2) && self.looks.load(Ordering::SeqCst) == looks).then_some((next, looks))
    }

    /// Makes the thread look at the earliest deadline again, starting it if there is none.
    fn nudge(&'static self) -> io::Result<()> {
        let awake = lock(&self.awake);
        if self.running() {
            drop(awake);
            self.nudge.notify_one();
            return Ok(());
        }
        thread::Builder::new().name("gosched-timer".into()).spawn(|| self.run())?;
        self.running.store(true, Ordering::Release);
        Ok(())
    }

    fn run(&self) {
        #[cfg(not(loom))]
        let _harmless = Harmless::here();
        let mut due = Vec::new();
        loop {
            self.looks.fetch_add(1, Ordering::SeqCst);
            self.timers.fire(real_now(), &mut due);
            self.looks.fetch_add(1, Ordering::SeqCst);
            let awake = lock(&self.awake);
            let now = real_now();
            let (left, idle) = match self.timers.next() {
                Some(at) => (at.saturating_duration_since(now), false),
                None => (self.idle, true),
            };
            if left.is_zero() && !idle {
                continue;
            }
            let (awake, waited) =
                self.nudge.wait_timeout(awake, left).unwrap_or_else(PoisonError::into_inner);
            if idle && waited.timed_out() && self.timers.next().is_none() {
                // Still under the lock: whoever inserts from now on finds nobody running.
                self.running.store(false, Ordering::Release);
                drop(awake);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
