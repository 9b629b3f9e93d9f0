//! Who is on duty: a runtime's workers, and those who stand in for one that is stuck.
//!
//! A worker is *stuck* while the goroutine it runs does not come back to the scheduler: it computes, or blocks its
//! thread in the system, in a `std` lock or in a C library. The monitor notices, and somebody else takes its place.
//!
//! # Duties of a worker
//!
//! | duty | means | left by |
//! |---|---|---|
//! | ON | looks for work, and is counted; there are as many as the runtime has workers | the monitor, to LENT; for one that stands in: whoever comes back, to OFF |
//! | LENT | stuck, and its place is taken | itself, when it comes back, to ON |
//! | OFF | stood in, and is not needed any more: runs what is pinned to it, looks for nothing else, and sleeps | the monitor, to ON |
//!
//! Duties change under the lock of the crew. A worker glances at its own when its inbox is not empty or when it has
//! nothing to do, so whoever changes another's rings the bell in its inbox, and wakes it if it sleeps. No wake-up is
//! lost, as with any work: the duty is written before the look at the worker's sleep state, and a worker that is about
//! to sleep looks at its duty after it has said so.
//!
//! Threads do not end when they are off duty: the next one that gets stuck needs them, and they may be home to parked
//! goroutines. They end with the runtime.

use super::monitor;
use super::shared::{Shared, bump};
use super::worker::Worker;
use crate::clock::coarse;
use crate::sys::global::lock;
use crate::sys::{background, threads};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) const ON: u8 = 0;
pub(super) const LENT: u8 = 1;
pub(super) const OFF: u8 = 2;

/// What came of a worker's being stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// Somebody takes its place.
    Yes,
    /// Nobody does: no thread can be had.
    NobodyLeft,
    /// It is back already, or is being shut down.
    NotStuck,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct Crew {
    /// How many are ON.
    on: usize,
    /// Who is OFF.
    off: Vec<u32>,
    closed: bool,
    /// Somebody was told that nobody is left to stand in.
    told: bool,
}

impl Crew {
    pub(super) fn new() -> Self {
        Self { on: 0, off: Vec::new(), closed: false, told: false }
    }
}

impl Shared {
    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// The system's, if a thread or a stack cannot be had. Those that were started run.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        background::start()?;
        // Else the first to wait would seem to have done so since the system started.
        coarse::refresh();
        let mut crew = lock(&self.crew);
        while crew.on < self.config.workers {
            self.start_worker(&mut crew)?;
        }
        drop(crew);
        monitor::watch(self);
        Ok(())
    }

    fn start_worker(&self, crew: &mut Crew) -> io::Result<()> {
        let index = self.remotes.prepare();
        self.remotes[index].duty.store(ON, Ordering::SeqCst);
        let worker = Sent(Worker::new(self.strong(), index));
        worker.0.prepare()?;
        let name = format!("{}-{index}", self.config.name);
        let job = Box::new(move || {
            let worker = worker;
            worker.0.serve()
        });
        // Before the worker runs, which counts on being one of them. Nobody sends it anything yet.
        self.remotes.publish(1);
        match threads::spawn(&name, job) {
            Ok(()) => crew.on += 1,
            Err(error) => {
                self.remotes.publish(-1);
                return Err(error);
            }
        }
        Ok(())
    }

    /// By the monitor: worker `index` is stuck, at that tick.
    pub(super) fn replace(&self, index: usize, tick: u32) -> Replaced {
        let remote = &self.remotes[index];
        let mut crew = lock(&self.crew);
        let is_stuck =
            remote.tick.load(Ordering::Relaxed) == tick && remote.duty.load(Ordering::SeqCst) == ON;
        if crew.closed || !is_stuck {
            return Replaced::NotStuck;
        }
        match self.stand_in(&mut crew) {
            Ok(()) => {
                remote.duty.store(LENT, Ordering::SeqCst);
                bump(&remote.counts.lent);
                crew.on -= 1;
                self.ring(index);
                Replaced::Yes
            }
            Err(why) => {
                self.tell_once(&mut crew, &why);
                Replaced::NobodyLeft
            }
        }
    }

    /// One more goes on duty.
    fn stand_in(&self, crew: &mut Crew) -> Result<(), String> {
        if let Some(index) = crew.off.pop() {
            self.remotes[index as usize].duty.store(ON, Ordering::SeqCst);
            crew.on += 1;
            self.ring(index as usize);
            return Ok(());
        }
        if self.remotes.len() == self.remotes.capacity() {
            return Err("that is as many as Builder::max_threads allows".into());
        }
        self.start_worker(crew).map_err(|error| format!("another one cannot be started: {error}"))
    }

    /// A worker's duty has changed.
    fn ring(&self, index: usize) {
        self.remotes[index].inbox.ring_bell();
        self.wake_worker(index as u32);
    }

    #[cold]
    fn tell_once(&self, crew: &mut Crew, why: &str) {
        if !std::mem::replace(&mut crew.told, true) {
            // In one piece, so that it does not mix with other threads' lines; and a standard error that is closed
            // must not take the program down.
            let told = format!(
                "gosched: all {} threads of runtime \"{}\" are busy with goroutines that do not come back to the \
                 scheduler; {why}. Other goroutines wait until one does. Call what blocks a thread through \
                 gosched::blocking, or raise Builder::max_threads\n",
                self.remotes.len(),
                self.config.name,
            );
            let _ = io::stderr().write_all(told.as_bytes());
        }
    }

    /// A worker that was stuck is back. If there are more on duty now than there should be, one that stands in goes off:
    /// best one to which no goroutine is pinned.
    fn come_back(&self, index: usize) {
        let mut crew = lock(&self.crew);
        let remote = &self.remotes[index];
        if remote.duty.load(Ordering::SeqCst) != LENT {
            return;
        }
        remote.duty.store(ON, Ordering::SeqCst);
        crew.on += 1;
        if crew.on <= self.config.workers {
            return;
        }
        let stand_ins = (self.config.workers..self.remotes.len())
            .filter(|index| self.remotes[*index].duty.load(Ordering::SeqCst) == ON);
        let homes = |index: &usize| self.remotes[*index].homes.load(Ordering::Relaxed);
        if let Some(leaver) = stand_ins.min_by_key(homes) {
            self.remotes[leaver].duty.store(OFF, Ordering::SeqCst);
            crew.on -= 1;
            crew.off.push(leaver as u32);
            self.ring(leaver);
        }
    }

    /// Nobody is put on duty any more.
    pub(super) fn dismiss_crew(&self) {
        lock(&self.crew).closed = true;
        monitor::forget(self);
    }
}

impl Worker {
    #[inline]
    pub(super) fn is_on_duty(&self) -> bool {
        self.remote().is_on_duty()
    }

    /// The worker's duty has changed, or it is back.
    #[cold]
    pub(super) fn check_in(&self) {
        match self.remote().duty.load(Ordering::SeqCst) {
            LENT => {
                self.shared.come_back(self.index);
                monitor::stir();
                // It may have been its own place that was too many.
                if !self.is_on_duty() {
                    self.give_away();
                }
            }
            OFF => self.give_away(),
            _ => {}
        }
    }

    /// Leaves to the others what they may take.
    fn give_away(&self) {
        let remote = self.remote();
        let batch = std::iter::successors(remote.batch.take(), |task| task.next());
        let ring = std::iter::from_fn(|| remote.ring.pop());
        for task in remote.swap_slot(None).into_iter().chain(batch).chain(ring) {
            self.shared.injector.push(task);
        }
        if self.shared.injector.len() > 0 {
            self.shared.notify();
        }
    }

    /// Sleeps until there is work of its own, or until it is on duty again. Its queues are empty.
    #[cold]
    pub(super) fn rest(&self) {
        let index = self.index as u32;
        self.shared.idle.enter_nap(index);
        let awake = || {
            self.shared.closing.load(Ordering::SeqCst) || !self.remote().inbox.is_empty() || self.is_on_duty()
        };
        if !awake() {
            self.trim();
            self.park_until(None, index);
        }
        let _ = self.shared.idle.leave(index);
    }
}

/// A worker on its way to its thread.
struct Sent(Box<Worker>);

impl Drop for Sent {
    fn drop(&mut self) {
        // One that never got a thread has a stack all the same; fibers do not end by themselves.
        self.0.drop_fibers();
    }
}

// SAFETY: a worker is made on one thread and used on another one only afterwards.
unsafe impl Send for Sent {}
