//! Who keeps others waiting: workers that do not come back while goroutines wait that only they could run.
//!
//! The monitor looks ([`Stalls::look`]). A worker that has been awake without moving for a quarter of the time set is
//! looked at more closely, four times: whether goroutines wait that are pinned to it. That counts the goroutines in the pool
//! of headers, so nobody pays for being counted while all is well. Found so at four looks in a row, the stall is told of,
//! once, by a thread of its own: the culprit's thread may be slow to answer, and its names are slow to read.
//!
//! Time is what the monitor has seen pass ([`Watch`]), so that a process that was stopped, by a debugger or SIGSTOP, does not
//! take its pause for a stall.

use super::shared::Shared;
use crate::dump::{GoroutineInfo, Stack, StallCause, StallReport};
use crate::fiber::coro::Backend;
use crate::sys::global::lock;
use crate::sys::threads::{self, ThreadFate};
use crate::task::header::NO_HOME;
use crate::task::pool;
use crate::task::reason::GoroutineState;
use crate::unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How many closer looks there are in the time set.
const LOOKS: u32 = 4;
/// The least time between two of them, and how many times as long as a look takes.
const LEAST: Duration = Duration::from_millis(1);
const PAUSE: u32 = 50;
/// More than this between two looks of the monitor is time in which it was not let run.
const MOST_BETWEEN: Duration = Duration::from_millis(100);

/// The time that has passed before the monitor's eyes.
pub(super) struct Watch {
    seen: Duration,
    last: Instant,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { seen: Duration::ZERO, last: Instant::now() }
    }

    pub(super) fn look(&mut self, now: Instant) -> Duration {
        self.seen += now.saturating_duration_since(self.last).min(MOST_BETWEEN);
        self.last = now;
        self.seen
    }

    /// The monitor has slept because it wanted to: that time counts.
    pub(super) fn wake(&mut self, now: Instant) {
        self.seen += now.saturating_duration_since(self.last);
        self.last = now;
    }
}

/// A worker that has not moved.
struct Stuck {
    tick: u32,
    since: Duration,
    /// When to look more closely.
    next: Duration,
    /// How many closer looks in a row have found that somebody waits.
    found: u32,
    /// It waits in the system and has nobody behind it: nobody will come to wait behind it without our being stirred.
    rests: bool,
    told: bool,
}

/// What is known of a runtime's workers.
#[derive(Default)]
pub(super) struct Stalls {
    workers: Vec<Option<Stuck>>,
    /// Since when no thread can be had though goroutines wait for one, and whether that was told.
    out_of_threads: Option<(Duration, bool)>,
}

impl Stalls {
    /// Looks at all workers. True if the monitor should stay awake for one of them though nobody else is. At its
    /// `last` look before it sleeps it looks closely at each.
    pub(super) fn look(&mut self, shared: &Arc<Shared>, now: Duration, last: bool) -> bool {
        let Some(after) = shared.config.on_stall.after else { return false };
        let mut stay = false;
        for (index, remote) in shared.remotes.iter().enumerate() {
            if self.workers.len() == index {
                self.workers.push(None);
            }
            let place = &mut self.workers[index];
            let tick = remote.tick.load(Ordering::Relaxed);
            let Some(os_thread) = remote.os_thread().filter(|_| shared.idle.is_awake(index as u32)) else {
                *place = None;
                continue;
            };
            let step = (after / LOOKS).max(LEAST);
            if place.as_ref().is_none_or(|stuck| stuck.tick != tick) {
                *place =
                    Some(Stuck { tick, since: now, next: now + step, found: 0, rests: false, told: false });
            }
            let Some(stuck) = place.as_mut().filter(|stuck| !stuck.told) else { continue };
            if last {
                stay |= waiting_for(shared, index as u32) > 0;
                continue;
            }
            if now >= stuck.next {
                let begin = Instant::now();
                let waiting = waiting_for(shared, index as u32);
                stuck.next = now + step.max(begin.elapsed() * PAUSE);
                stuck.found = if waiting > 0 { stuck.found + 1 } else { 0 };
                stuck.rests = waiting == 0 && threads::is_blocked(os_thread);
                if stuck.found >= LOOKS {
                    stuck.told = true;
                    tell(shared, index, stuck, (StallCause::Pinned, waiting, now - stuck.since));
                }
            }
            stay |= !stuck.told && !stuck.rests && !remote.is_on_duty();
        }
        stay
    }

    /// What has come of standing in for those that are stuck: whether somebody could have been stood in for, with
    /// work to do, and there was no thread.
    pub(super) fn look_at_crew(&mut self, shared: &Arc<Shared>, now: Duration, refused: bool) {
        let Some(after) = shared.config.on_stall.after else { return };
        if !refused {
            self.out_of_threads = None;
            return;
        }
        let (since, told) = self.out_of_threads.get_or_insert((now, false));
        if *told || now < *since + after {
            return;
        }
        let stuck = self.workers.iter().enumerate();
        let longest = stuck.filter_map(|(i, stuck)| Some((i, stuck.as_ref()?))).min_by_key(|(_, s)| s.since);
        if let Some((index, stuck)) = longest {
            *told = true;
            let waiting = waiting_for(shared, NO_HOME);
            tell(shared, index, stuck, (StallCause::OutOfThreads, waiting, now - stuck.since));
        }
    }
}

/// How many goroutines of the runtime could run and do not, of those with that home.
fn waiting_for(shared: &Shared, home: u32) -> usize {
    let runtime = (&raw const shared.anchor).addr();
    let mut waiting = 0;
    pool::for_each(|task| {
        let waits = task.home.get() == home
            && task
                .peek()
                .is_some_and(|peek| peek.runtime == runtime && peek.state == GoroutineState::Runnable);
        waiting += usize::from(waits);
    });
    waiting
}

fn tell(shared: &Arc<Shared>, index: usize, stuck: &Stuck, what: (StallCause, usize, Duration)) {
    let (shared, tick) = (shared.clone(), stuck.tick);
    // Without a thread nobody is told: there are worse problems then.
    let _ = threads::spawn(
        "gosched-stall",
        Box::new(move || {
            let on_stall = shared.config.on_stall.clone();
            let looked = shared.look_at_culprit(index, tick);
            // The runtime may end while its hook runs.
            drop(shared);
            if let Some((culprit, interrupted)) = looked {
                let stack = interrupted.map(|interrupted| Stack::of_running(interrupted.trace()));
                on_stall.tell(&StallReport::new(GoroutineInfo { stack, ..culprit }, what));
            }
            ThreadFate::Reusable
        }),
    );
}

impl Shared {
    /// The goroutine that the worker has been running since it was at that tick, and where it is. `None` if the worker
    /// has come back meanwhile.
    fn look_at_culprit(
        &self,
        index: usize,
        tick: u32,
    ) -> Option<(GoroutineInfo, Option<unwind::Interrupted>)> {
        let remote = &self.remotes[index];
        let serving = lock(&remote.serving);
        let worker = (*serving)?;
        // SAFETY: the context is there while we hold the lock, and of it we read what is shown.
        let task = unsafe { (*worker.context).task.get() }?;
        let peek = task.peek()?;
        let culprit = GoroutineInfo::of_running(peek, &self.config.name)?;
        // With a thread for each goroutine the worker's own only waits.
        let asked = (self.config.backend == Backend::Stacks).then_some(worker);
        // SAFETY: the worker serves until we let go of the lock: its thread does not end, and the rest is its own.
        let interrupted = asked
            .and_then(|asked| unsafe { unwind::interrupt(asked.os_thread, asked.context, &remote.tick) });
        let interrupted = interrupted.filter(|at| at.task == task && at.tick == tick);
        drop(serving);
        // If it was interrupted at that tick, it was running before that; it may be back by now.
        let is_same = interrupted.is_some()
            || (peek.state == GoroutineState::Running && remote.tick.load(Ordering::Relaxed) == tick);
        is_same.then_some((culprit, interrupted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_between_two_looks_is_no_time_that_was_seen() {
        let begin = Instant::now();
        let mut watch = Watch { seen: Duration::ZERO, last: begin };
        let ms = Duration::from_millis;
        assert_eq!(watch.look(begin + ms(5)), ms(5));
        // The process was stopped.
        let stopped = begin + ms(60_005);
        assert_eq!(watch.look(stopped), ms(5) + MOST_BETWEEN);
        assert_eq!(watch.look(stopped + ms(5)), ms(10) + MOST_BETWEEN);
        // The monitor has slept by itself.
        watch.wake(stopped + ms(1005));
        assert_eq!(watch.look(stopped + ms(1005)), ms(1010) + MOST_BETWEEN);
    }
}
