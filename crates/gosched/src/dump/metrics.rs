//! Counters of runtimes and of the process.

use super::runtimes;
use crate::fiber::stack;
use crate::sys::threads;
use crate::task::Schedule;
use crate::task::counters::{BUCKETS, Counters};
use crate::task::pool;
use crate::task::reason::{GoroutineState, WaitReason};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What the process has done and does: a snapshot. Made by [`debug::metrics`](crate::debug::metrics).
///
/// Its numbers may be a moment apart. Counters only grow.
///
/// ```
/// use gosched::debug::{self, Metrics};
///
/// gosched::run(|| {
///     gosched::go(|| ()).join().unwrap();
///     let metrics: Metrics = debug::metrics();
///     assert!(metrics.total.created >= 2);
///     assert!(metrics.stack_bytes_resident <= metrics.stack_bytes_reserved);
/// });
/// ```
///
/// In Go: `runtime/metrics`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// All runtimes together. Its counters have what runtimes counted that are gone, too.
    pub total: RuntimeMetrics,
    /// The runtimes that there are, in the order in which they were built.
    pub runtimes: Vec<RuntimeMetrics>,
    /// Calls of [`blocking`](crate::blocking) and [`blocking_async`](crate::blocking_async) that are being made.
    pub blocking_calls: usize,
    /// Threads of the library: workers, those of blocking calls, the monitor, and those that wait for their next use. Not
    /// those of goroutines that are threads.
    pub threads: usize,
    /// Address space for goroutines' stacks, with their guards. It is never given back.
    pub stack_bytes_reserved: usize,
    /// How much of that is in memory, as far as the system tells.
    pub stack_bytes_resident: usize,
}

/// What a runtime has done and does: a snapshot. Made by [`Handle::metrics`](crate::runtime::Handle::metrics), and a part
/// of [`Metrics`].
///
/// ```
/// use gosched::WaitReason;
/// use gosched::debug::RuntimeMetrics;
/// use std::time::Duration;
///
/// gosched::run(|| {
///     gosched::go_async(gosched::time::sleep_async(Duration::from_secs(3600)));
///     gosched::yield_now();
///     let metrics: RuntimeMetrics = gosched::runtime::Handle::current().metrics();
///     assert_eq!((metrics.created, metrics.finished), (2, 0));
///     assert_eq!(metrics.running + metrics.runnable + metrics.waiting_total(), 2);
///     println!("{} sleep", metrics.waiting_for(WaitReason::Sleep));
/// });
/// ```
///
/// In Go: `/sched/goroutines:goroutines` and its like in `runtime/metrics`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuntimeMetrics {
    /// The runtime's name. That of all together is empty.
    pub name: Arc<str>,
    /// Goroutines made so far.
    pub created: u64,
    /// Goroutines that have ended so far, those among them that were dropped or abandoned with their runtime. One that
    /// was running then and ends later may not be counted.
    pub finished: u64,
    /// Goroutines that a worker runs.
    pub running: usize,
    /// Goroutines that would run if a worker were free.
    pub runnable: usize,
    /// Goroutines that wait, by what they wait for: the most frequent first, and nothing for which nobody waits. Those in
    /// calls of [`blocking`](crate::blocking) wait for [`WaitReason::Blocking`].
    pub waiting: Vec<(WaitReason, usize)>,
    /// Threads that run goroutines, or did while others were stuck and will again.
    pub workers: usize,
    /// Workers that do not come back from the goroutine they run, and are stood in for.
    pub stuck: usize,
    /// How often a worker took goroutines from another one's queue.
    pub steals: u64,
    /// How often another thread began to stand in for a worker that was stuck.
    pub stand_ins: u64,
    /// How long goroutines waited for their turn, from when they could run until they did. One of 127 is timed.
    pub latencies: Histogram,
}

impl RuntimeMetrics {
    /// How many goroutines wait for this.
    pub fn waiting_for(&self, reason: WaitReason) -> usize {
        self.waiting.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
    }

    /// How many goroutines wait.
    pub fn waiting_total(&self) -> usize {
        self.waiting.iter().map(|(_, count)| count).sum()
    }

    fn new(name: Arc<str>, counters: &Counters, states: States) -> Self {
        let mut waiting: Vec<_> = states.waiting.into_iter().collect();
        waiting.sort_unstable_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason as u8));
        Self {
            name,
            created: counters.created,
            finished: counters.finished,
            running: states.running,
            runnable: states.runnable,
            waiting,
            workers: counters.workers,
            stuck: counters.stuck,
            steals: counters.steals,
            stand_ins: counters.stand_ins,
            latencies: Histogram(counters.latencies),
        }
    }
}

/// How often times of each length were seen. Found in [`RuntimeMetrics::latencies`].
///
/// ```
/// use gosched::debug::Histogram;
///
/// gosched::run(|| {
///     let latencies: Histogram = gosched::debug::metrics().total.latencies;
///     if let Some(most) = latencies.quantile(0.99) {
///         println!("99 of 100 goroutines waited for less than {most:?}");
///     }
///     let sum: u64 = latencies.buckets().map(|(_, count)| count).sum();
///     assert_eq!(sum, latencies.count());
/// });
/// ```
///
/// In Go: `metrics.Float64Histogram`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram([u64; BUCKETS]);

impl Histogram {
    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many times lie below each bound and not below the one before: 2 ns, 4 ns, 8 ns and so on. The last one counts
    /// all that are longer, too.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.0.iter().enumerate().map(|(at, count)| (Duration::from_nanos(2 << at), *count))
    }

    /// A bound that this part of the times lie below: `0.5` for half of them. At most twice of what would be exact. `None`
    /// if there are no times.
    ///
    /// # Panics
    ///
    /// When `part` is not between 0 and 1.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        assert!((0.0..=1.0).contains(&part), "a part of the times is a number from 0 to 1, not {part}");
        let wanted = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut below = 0;
        self.buckets().find_map(|(bound, count)| {
            below += count;
            (below >= wanted).then_some(bound)
        })
    }
}

/// What goroutines do, counted.
#[derive(Clone, Default)]
struct States {
    running: usize,
    runnable: usize,
    waiting: HashMap<WaitReason, usize>,
}

impl States {
    fn add(&mut self, state: GoroutineState) {
        match state {
            GoroutineState::Running => self.running += 1,
            GoroutineState::Runnable => self.runnable += 1,
            GoroutineState::Waiting(reason) => *self.waiting.entry(reason).or_default() += 1,
        }
    }
}

/// Calls `f` for each goroutine of the process, with its runtime.
fn each_state(mut f: impl FnMut(usize, GoroutineState)) {
    pool::for_each(|task| {
        if let Some(peek) = task.peek() {
            f(peek.runtime, peek.state);
        }
    });
}

/// All runtimes of the process, and what they have in common.
pub(crate) fn metrics() -> Metrics {
    let mut by_runtime: HashMap<usize, States> = HashMap::new();
    let mut all = States::default();
    each_state(|runtime, state| {
        by_runtime.entry(runtime).or_default().add(state);
        all.add(state);
    });
    let (live, past) = runtimes::counted();
    let mut total = past;
    let mut each = Vec::new();
    for (address, name, counters) in live {
        total.add(&counters);
        each.push(RuntimeMetrics::new(name, &counters, by_runtime.remove(&address).unwrap_or_default()));
    }
    Metrics {
        total: RuntimeMetrics::new("".into(), &total, all),
        runtimes: each,
        blocking_calls: threads::blocking_calls(),
        threads: threads::live(),
        stack_bytes_reserved: stack::stats().reserved,
        stack_bytes_resident: stack::resident(),
    }
}

/// The same of one runtime.
pub(crate) fn of_runtime(scheduler: &dyn Schedule) -> RuntimeMetrics {
    let address = scheduler.anchor().addr();
    let mut states = States::default();
    each_state(|runtime, state| {
        if runtime == address {
            states.add(state);
        }
    });
    let name = runtimes::Names::now().of(address).unwrap_or_else(|| "".into());
    RuntimeMetrics::new(name, &scheduler.counters(), states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_bound_that_so_many_lie_below() {
        let mut counts = [0; BUCKETS];
        assert_eq!(Histogram(counts).quantile(0.5), None);
        // 10 of 1 to 2 us, 89 of 4 to 8 us, one of a second.
        (counts[10], counts[12], counts[29]) = (10, 89, 1);
        let times = Histogram(counts);
        assert_eq!(times.count(), 100);
        for (part, bound) in [(0.0, 11), (0.1, 11), (0.11, 13), (0.5, 13), (0.99, 13), (0.991, 30), (1.0, 30)]
        {
            assert_eq!(times.quantile(part), Some(Duration::from_nanos(1 << bound)), "{part}");
        }
    }
}
