//! What workers count, and how long goroutines wait for their turn.
//!
//! A look at the clock at each switch would cost a third of the switch, so one of [`EVERY`] goroutines that become
//! runnable is timed (Go: one of 8): each worker counts down by itself. The task is marked in its state word, which
//! whoever takes it up reads anyway; so a task that is not timed costs a decrement, and one that is stolen is timed to
//! its end, whoever takes it. Goroutines that yield are not timed: they were running a moment ago.
//!
//! When it was marked is noted in a table, by the task's address. Two tasks in one place of it lose the first one's
//! time: there are as many places as tasks that are made runnable in some microseconds.

use super::shared::{Shared, bump};
use super::worker::Worker;
use crate::clock::{real_now, to_nanos};
use crate::task::counters::{BUCKETS, Counters};
use crate::task::{Task, TaskRef};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A prime, so that goroutines which take turns are not always timed, or never.
pub(super) const EVERY: u32 = 127;
const PLACES: usize = 64;
/// Bits of a place that hold the time: 78 hours in nanoseconds. The others tell whose it is.
const TIME: u64 = (1 << 48) - 1;

/// When tasks were made runnable that are being timed.
pub(super) struct Stopwatches {
    places: [AtomicU64; PLACES],
    /// Counts goroutines that are made runnable by threads that are no workers.
    injected: AtomicU32,
}

impl Stopwatches {
    pub(super) fn new() -> Self {
        Self { places: [const { AtomicU64::new(0) }; PLACES], injected: AtomicU32::new(0) }
    }

    /// The place of a task, and what distinguishes it from others in that place.
    fn place(&self, task: TaskRef) -> (&AtomicU64, u64) {
        let number = task.as_ptr().addr() / size_of::<Task>();
        (&self.places[number % PLACES], ((number / PLACES) as u64) << 48)
    }

    /// Begins to time a task that its owner, the caller, is about to queue.
    fn start(&self, task: TaskRef) {
        let (place, tag) = self.place(task);
        // Relaxed: whoever takes the task up has got it through a queue from here.
        place.store(tag | (to_nanos(real_now()) & TIME), Ordering::Relaxed);
        task.state.set_timed();
    }

    /// How long that was ago. `None` if another one took the place meanwhile.
    fn stop(&self, task: TaskRef) -> Option<u64> {
        let (place, tag) = self.place(task);
        time_since(place.load(Ordering::Relaxed), tag)
    }

    /// A thread that is no worker is about to queue a task.
    pub(super) fn start_some_injected(&self, task: TaskRef) {
        if self.injected.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY) {
            self.start(task);
        }
    }
}

/// How long ago the time was that is noted in a place, if it is that of the task with this tag.
fn time_since(noted: u64, tag: u64) -> Option<u64> {
    // A place that nobody took yet is 0 as a whole: not the time of a task whose tag happens to be 0.
    (noted != 0 && noted & !TIME == tag).then(|| to_nanos(real_now()).wrapping_sub(noted) & TIME)
}

/// A worker's counters. Written by the worker alone, but for `lent`.
pub(crate) struct Counts {
    /// How often it took from others.
    pub(super) steals: AtomicU64,
    /// How often somebody stood in for it. Written under the lock of the crew.
    pub(super) lent: AtomicU64,
    latencies: [AtomicU64; BUCKETS],
}

impl Counts {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { steals: zero(), lent: zero(), latencies: std::array::from_fn(|_| zero()) }
    }

    pub(super) fn add_latencies(&self, sums: &mut [u64; BUCKETS]) {
        for (sum, count) in sums.iter_mut().zip(&self.latencies) {
            *sum += count.load(Ordering::Relaxed);
        }
    }
}

impl Worker {
    /// A goroutine has become runnable: times it, if it is its turn.
    #[inline]
    pub(super) fn time_some(&self, task: TaskRef) {
        match self.untimed.get() {
            0 => self.time(task),
            left => self.untimed.set(left - 1),
        }
    }

    #[cold]
    fn time(&self, task: TaskRef) {
        self.untimed.set(EVERY - 1);
        self.shared.stopwatches.start(task);
    }

    /// A goroutine that was timed is taken up.
    #[cold]
    pub(super) fn note_latency(&self, task: TaskRef) {
        if let Some(nanos) = self.shared.stopwatches.stop(task) {
            let bucket = (nanos.max(1).ilog2() as usize).min(BUCKETS - 1);
            bump(&self.remote().counts.latencies[bucket]);
        }
    }
}

impl Shared {
    /// What was counted so far.
    pub(super) fn count_up(&self) -> Counters {
        let mut counters = Counters::NONE;
        (counters.created, counters.finished) = self.made_and_ended();
        for remote in self.remotes.iter() {
            counters.workers += 1;
            counters.stuck += usize::from(remote.is_lent());
            counters.steals += remote.counts.steals.load(Ordering::Relaxed);
            counters.stand_ins += remote.counts.lent.load(Ordering::Relaxed);
            remote.counts.add_latencies(&mut counters.latencies);
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::pool;

    #[test]
    fn a_time_is_found_by_its_task_alone() {
        let watches = Stopwatches::new();
        // Headers are for ever, and these serve nobody meanwhile.
        let tasks: Vec<TaskRef> = (0..PLACES + 1).map(|_| pool::allocate(None)).collect();
        let task = tasks[0];
        assert_eq!(watches.stop(task), None);
        watches.start(task);
        assert!(watches.stop(task).is_some_and(|nanos| nanos < 60_000_000_000));
        assert!(task.state.begin(), "it was marked");
        assert!(!task.state.begin(), "and is not any more");
        // Those in the same place, if there are any, have another mark.
        let (place, tag) = watches.place(task);
        for other in &tasks[1..] {
            let (other_place, other_tag) = watches.place(*other);
            assert!(!std::ptr::eq(place, other_place) || tag != other_tag);
            assert!(watches.stop(*other).is_none());
        }
    }

    #[test]
    fn a_place_that_was_never_taken_is_no_time_of_a_task_with_a_tag_of_nought() {
        assert_eq!(time_since(0, 0), None);
        assert!(time_since(1, 0).is_some());
    }
}
