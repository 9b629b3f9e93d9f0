//! Whether all goroutines wait for each other: looked for by the monitor, when nothing has moved for a moment.
//!
//! # When that is so
//!
//! Every goroutine waits for something that only a goroutine or a thread could bring about; no timer is set; and every
//! thread of the process is one that will not do it: a worker that sleeps, one of the library's helpers, one that sleeps
//! in a blocking call of the library, or one that its owner has declared harmless ([`crate::sys::census`]). What could
//! still do it makes the difference:
//!
//! | what | then |
//! |---|---|
//! | a timer, of a runtime or of the process; a thread that sleeps for a limited time | no deadlock |
//! | a worker that runs something, a call of `blocking` | no deadlock |
//! | somebody waits for a signal, a socket, or what else comes from outside of the process | no deadlock |
//! | a goroutine that waits for a future of another library | a warning, if it stays so; none where tokio's reactor runs in the background |
//! | a thread of somebody else | a warning, if it stays so and the main goroutine waits |
//!
//! A clock that is moved by hand is moved by somebody, so its timers count for nothing.
//!
//! # No false alarm
//!
//! The look takes a while, and a goroutine may be woken behind its back. So it is framed by two *epochs*: of every worker,
//! how many goroutines it has taken up and whether it sleeps; of every thread that sleeps in the library, how many times
//! it has gone to sleep; of the timer thread, how many times it has looked for what is due. If both are equal, and in both
//! everybody sleeps, then nobody of these did anything in between: a worker that wakes takes up something, or looks for it
//! (which counts as well) before it sleeps again, and whoever wakes a sleeper, be it a worker or a thread, marks it as awake
//! itself, long before that one's thread has got the processor. There remains somebody else's thread that has woken
//! somebody and ended. The threads are listed before the second epoch is taken, so either it is in the list, or the one it
//! has woken is seen to be awake. And all is done twice, some time apart, with the same epoch.
//!
//! # What it costs
//!
//! Nothing, while anything moves: the monitor adds up counts that it reads anyway. When nothing has moved for a moment,
//! there are the cheap questions first; all goroutines are looked at only where they alone are left to ask, and at most for
//! some percent of the time. What the monitor has found stays so until something moves, or ends without a trace, like a
//! thread: so it looks again, less and less often.

use super::monitor;
use super::shared::Shared;
use crate::clock::driver::fallback;
use crate::clock::{NEVER, real_now, to_instant};
use crate::dump::Deadlock;
use crate::sys::background;
use crate::sys::census::{self, Sleep, is_on};
use crate::sys::global::{Mutex, lock};
use crate::sys::threads;
use crate::task::reason::{GoroutineState, WaitReason};
use crate::task::{Schedule, pool};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long nothing must have moved before anybody looks, and from the first look to the second.
const SETTLED: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(10);
/// How long nothing must have moved before there is a warning.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bounds on how soon somebody looks again for what leaves no trace.
const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(16);
/// Looking at all goroutines may take one in so many parts of the time.
const SHARE: u32 = 50;

/// How many `run`s there are whose main goroutine is awaited.
static RUNS: AtomicUsize = AtomicUsize::new(0);
/// Who wants to know.
static EXPECTING: Mutex<Vec<Arc<Verdict>>> = Mutex::new(Vec::new());
static WARNED: AtomicBool = AtomicBool::new(false);

/// While it is there, somebody waits for a main goroutine.
#[derive(Debug)]
pub(crate) struct Run(());

impl Run {
    pub(crate) fn begin() -> Self {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        RUNS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A deadlock, for one who waits to be told of it.
#[derive(Default)]
struct Verdict {
    found: Mutex<(Option<Deadlock>, Option<Waker>)>,
}

/// The right to be told of a deadlock, instead of which the process would end.
pub(crate) struct Expecting(Arc<Verdict>);

impl Expecting {
    pub(crate) fn begin() -> Self {
        let verdict = Arc::new(Verdict::default());
        lock(&EXPECTING).push(verdict.clone());
        Self(verdict)
    }

    /// Ready with the deadlock, once there is one.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Deadlock> {
        let waker = cx.waker().clone();
        let mut found = lock(&self.0.found);
        if let Some(deadlock) = found.0.take() {
            return Poll::Ready(deadlock);
        }
        let old = found.1.replace(waker);
        drop(found);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Expecting {
    fn drop(&mut self) {
        lock(&EXPECTING).retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

/// Tells everybody who wants to know; if nobody does, ends the process.
fn declare(deadlock: &Deadlock) {
    let expecting = lock(&EXPECTING).clone();
    if expecting.is_empty() {
        end_process(deadlock);
    }
    for verdict in expecting {
        let mut found = lock(&verdict.found);
        found.0 = Some(deadlock.clone());
        let waker = found.1.take();
        drop(found);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// As Go does: no destructors, code 2.
pub(crate) fn end_process(deadlock: &Deadlock) -> ! {
    // In one piece; and whether or not it can be written, the process ends.
    let _ = io::stderr().write_all(format!("{deadlock}\n").as_bytes());
    std::process::exit(2)
}

/// Whether nothing in the process but the calling thread could go on: no goroutine, nobody's thread.
pub(crate) fn is_alone() -> bool {
    let runtimes = monitor::runtimes();
    let nobody = runtimes.iter().all(|shared| shared.live() == 0);
    nobody
        && is_on()
        && matches!(look_at_threads(&Epoch::now(&runtimes)), Threads::Asleep { others: Some(0) })
}

/// What may have moved.
#[derive(Debug, PartialEq, Eq)]
struct Epoch {
    /// Of each worker: its runtime, number and thread, what it has taken up, whether it sleeps.
    workers: Vec<Post>,
    sleepers: Vec<(u32, Sleep)>,
    /// When the earliest of the process's timers is due, and how many times their thread has looked. `None` if it does.
    timers: Option<(u64, usize)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Post {
    runtime: usize,
    index: u32,
    /// `None` before it has started.
    thread: Option<u32>,
    tick: u32,
    asleep: bool,
}

impl Epoch {
    fn now(runtimes: &[Arc<Shared>]) -> Self {
        let posts = runtimes.iter().flat_map(|shared| {
            shared.remotes.iter().enumerate().map(|(index, remote)| Post {
                runtime: shared.anchor().addr(),
                index: index as u32,
                thread: remote.os_thread(),
                tick: remote.tick.load(Ordering::SeqCst),
                asleep: shared.idle.is_parked(index as u32),
            })
        });
        Self { workers: posts.collect(), sleepers: census::sleepers(), timers: fallback().at_rest() }
    }
}

/// What the threads do.
enum Threads {
    /// One of ours is at work, or will wake up by itself.
    Busy,
    /// All of ours sleep. `others` are somebody else's; `None` if they cannot be counted.
    Asleep { others: Option<usize> },
}

fn look_at_threads(epoch: &Epoch) -> Threads {
    let keeps = |runtime: usize, index: u32| {
        let kept = |sleep: &Sleep| matches!(sleep, Sleep::UntilWoken { keeps, .. } if *keeps == Some((runtime, index)));
        epoch.sleepers.iter().any(|(_, sleep)| kept(sleep))
    };
    if !epoch.workers.iter().all(|post| post.asleep || keeps(post.runtime, post.index)) {
        return Threads::Busy;
    }
    if epoch.sleepers.iter().any(|(_, sleep)| *sleep == Sleep::ForAWhile) {
        return Threads::Busy;
    }
    let Some(all) = census::all_threads() else { return Threads::Asleep { others: None } };
    let (ours, resting) = threads::numbers();
    let harmless = census::harmless();
    let me = threads::os_id();
    let mut others = 0;
    for thread in all {
        let asleep = thread == me
            || resting.contains(&thread)
            || harmless.contains(&thread)
            || epoch.sleepers.iter().any(|(sleeper, _)| *sleeper == thread)
            || epoch.workers.iter().any(|post| post.thread == Some(thread));
        match (asleep, ours.contains(&thread)) {
            (true, _) => {}
            // The monitor's own does not count where somebody else asks.
            (false, true) if monitor::is_thread(thread) => {}
            // A call that blocks; or a worker of a runtime that is shut down, still at something.
            (false, true) => return Threads::Busy,
            (false, false) => others += 1,
        }
    }
    Threads::Asleep { others: Some(others) }
}

/// What the goroutines do.
enum Goroutines {
    /// There are none.
    None,
    /// One can run, or waits for something that will come.
    Alive,
    /// All wait; `outside` of them for futures of other libraries.
    Asleep { outside: usize },
}

/// Whether only a goroutine or a thread can end such a wait. (All others, of which there may be more some day, are waits
/// for something from outside.)
fn is_internal(reason: WaitReason) -> bool {
    use WaitReason as R;
    match reason {
        R::ChanSend | R::ChanReceive | R::ChanSendNil | R::ChanReceiveNil | R::ChanClosed => true,
        R::Select | R::SelectNoCases => true,
        R::MutexLock | R::RwLockRead | R::RwLockWrite | R::CondWait | R::WaitGroupWait => true,
        R::OnceWait | R::BarrierWait | R::GroupPlace | R::SemaphoreAcquire | R::SingleFlightWait => true,
        R::Join | R::Scope => true,
        // Of timers and of calls that block we know by now that there are none that will come: what is left is a sleep by a
        // clock that nobody moves, and a call in which the thread sleeps until a goroutine wakes it.
        R::Sleep | R::Blocking => true,
        #[allow(unreachable_patterns, reason = "those that are still to come")]
        _ => false,
    }
}

fn look_at_goroutines(runtimes: &[Arc<Shared>], epoch: &Epoch) -> Goroutines {
    let (mut count, mut outside, mut alive) = (0, 0, false);
    // One that runs does so where a thread sleeps in its name, or somewhere that is not asleep; that has been looked at.
    let may_run = epoch.workers.iter().any(|post| !post.asleep);
    pool::for_each(|task| {
        if alive {
            return;
        }
        let Some(peek) = task.peek() else { return };
        // Those of runtimes that are shut down do not count.
        if !runtimes.iter().any(|shared| shared.anchor().addr() == peek.runtime) {
            return;
        }
        count += 1;
        match peek.state {
            GoroutineState::Running if may_run => {}
            // It may be a socket's or a timer's.
            GoroutineState::Waiting(WaitReason::Future) if background::is_running() => alive = true,
            GoroutineState::Waiting(WaitReason::Future) => outside += 1,
            GoroutineState::Waiting(reason) if is_internal(reason) => {}
            _ => alive = true,
        }
    });
    match (alive, count) {
        (true, _) => Goroutines::Alive,
        (_, 0) => Goroutines::None,
        _ => Goroutines::Asleep { outside },
    }
}

/// What a look has come to.
enum Finding {
    /// Nothing, until something moves.
    Fine,
    /// Nothing before that time, unless something moves.
    Until(Instant),
    /// Nothing, but it may change without a trace.
    Unsure,
    /// All wait for each other, unless one of so many things helps them. `None` if they cannot be counted.
    Stuck { threads: Option<usize>, futures: usize, epoch: Epoch },
}

/// The monitor's eye for deadlocks.
pub(super) struct Lookout {
    /// The sum of what workers have taken up, and the moves of others, at the last look; and since when.
    moves: (u64, usize),
    since: Instant,
    /// When to look next. `None`: when something has moved.
    next: Option<Instant>,
    /// Doubles while nothing changes.
    interval: Duration,
    /// What was found once and must be found again.
    suspicion: Option<Epoch>,
    /// Not before then may all goroutines be looked at.
    walk_after: Instant,
}

impl Lookout {
    pub(super) fn new() -> Self {
        census::set_watcher(std::thread::current());
        let now = real_now();
        Self { moves: (0, 0), since: now, next: None, interval: SOON, suspicion: None, walk_after: now }
    }

    /// Looks, if it is time to. `ticks` is the sum of what all workers have taken up. Returns in what time to look again if
    /// nothing moves; `None` for never.
    pub(super) fn look(&mut self, ticks: u64) -> Option<Duration> {
        if !is_on() {
            return None;
        }
        let now = real_now();
        let moves = (ticks, census::moves());
        if moves != self.moves {
            (self.moves, self.since, self.suspicion) = (moves, now, None);
            (self.next, self.interval) = (Some(now + SETTLED), SOON);
        }
        let next = self.next?;
        if now >= next {
            self.next = self.look_closely(now);
        }
        self.next.map(|next| next.saturating_duration_since(now))
    }

    /// When to look again.
    fn look_closely(&mut self, now: Instant) -> Option<Instant> {
        let runtimes = monitor::runtimes();
        if runtimes.iter().all(|shared| shared.live() == 0) {
            return None;
        }
        // Before all else: see `census`.
        census::want();
        let suspicion = self.suspicion.take();
        match self.find(&runtimes, now) {
            Finding::Fine => None,
            Finding::Until(then) => Some(then.min(self.later(now))),
            Finding::Unsure => Some(self.later(now)),
            Finding::Stuck { epoch, .. } if suspicion.as_ref() != Some(&epoch) => {
                self.suspicion = Some(epoch);
                Some(now + AGAIN)
            }
            Finding::Stuck { threads: Some(0), futures: 0, epoch } => {
                let deadlock = Deadlock::now();
                if Epoch::now(&runtimes) == epoch {
                    declare(&deadlock);
                }
                Some(self.later(now))
            }
            Finding::Stuck { threads, futures, .. } => {
                if !WARNED.swap(true, Ordering::SeqCst) {
                    warn(threads, futures);
                }
                Some(self.later(now))
            }
        }
    }

    fn later(&mut self, now: Instant) -> Instant {
        let then = now + self.interval;
        self.interval = (self.interval * 2).min(LATE);
        then
    }

    fn find(&mut self, runtimes: &[Arc<Shared>], now: Instant) -> Finding {
        let epoch = Epoch::now(runtimes);
        if runtimes.iter().any(|shared| shared.timers.next_nanos() != NEVER) {
            // Whoever serves it takes up something; but it may be cancelled, too.
            return Finding::Unsure;
        }
        match epoch.timers {
            Some((NEVER, _)) => {}
            Some((due, _)) => return Finding::Until(to_instant(due) + SETTLED),
            None => return Finding::Unsure,
        }
        if census::awaits_outside() {
            return Finding::Unsure;
        }
        let Threads::Asleep { others } = look_at_threads(&epoch) else { return Finding::Unsure };
        if others != Some(0) {
            if RUNS.load(Ordering::SeqCst) == 0 || WARNED.load(Ordering::SeqCst) {
                // Without a main goroutine it is the other threads that are the program.
                return Finding::Unsure;
            }
            if now < self.since + PATIENCE {
                return Finding::Until(self.since + PATIENCE);
            }
        }
        if now < self.walk_after {
            return Finding::Until(self.walk_after);
        }
        let goroutines = look_at_goroutines(runtimes, &epoch);
        self.walk_after = now + real_now().saturating_duration_since(now) * SHARE;
        let futures = match goroutines {
            Goroutines::None => return Finding::Fine,
            Goroutines::Alive => return Finding::Unsure,
            Goroutines::Asleep { outside } => outside,
        };
        if futures > 0 && now < self.since + PATIENCE {
            return Finding::Until(self.since + PATIENCE);
        }
        // Once more, as the threads may have changed: after all goroutines, before the epoch.
        let Threads::Asleep { others: still } = look_at_threads(&epoch) else { return Finding::Unsure };
        if still != others || Epoch::now(runtimes) != epoch {
            return Finding::Unsure;
        }
        Finding::Stuck { threads: others, futures, epoch }
    }
}

/// Says that this may be a deadlock.
fn warn(threads: Option<usize>, futures: usize) {
    let several = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let mut who = Vec::new();
    match threads {
        Some(0) => {}
        Some(count) => who.push(several(count, "other thread")),
        None => who.push("other threads".to_owned()),
    }
    if futures > 0 {
        who.push(several(futures, "future") + " of other libraries");
    }
    let text = format!(
        "gosched: all goroutines have been asleep for {PATIENCE:?}; only {} could still wake one. If that will not happen \
         this is a deadlock, and gosched::debug::ignore_thread() makes it known. (This is said once.)\n\n{}\n",
        who.join(", or "),
        Deadlock::now().dump(),
    );
    let _ = io::stderr().write_all(text.as_bytes());
}
