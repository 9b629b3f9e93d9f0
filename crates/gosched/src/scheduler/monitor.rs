//! A thread that looks whether workers come back to the scheduler: one for all runtimes of the process.
//!
//! It compares each worker's count of goroutines taken up (`tick`) at two looks. A worker that is awake and has not moved
//! for [`HOG`], or for one look if its thread waits in the system, is stuck; if no other worker on duty is at rest, who
//! would take what there is to do, somebody stands in for it ([`super::crew`]). Unless its thread
//! has hardly had a processor meanwhile: where more threads want to run than can, one more would be one more to wait.
//!
//! # What it costs
//!
//! A look reads two words of each worker, 200 times a second. When all workers have slept for [`QUIET`] looks the thread
//! sleeps too, until a worker wakes up and stirs it: that is one load whenever a worker has slept. The order is that of
//! every sleeper here: the monitor says that it sleeps, then looks at the workers once more; a worker says that it is
//! awake, then looks at the monitor; all sequentially consistent.

use super::circles::Circles;
use super::crew::Replaced;
use super::deadlock::Lookout;
use super::reactor;
use super::shared::Shared;
use super::stall::{Stalls, Watch};
use crate::fiber::coro::Backend;
use crate::fiber::stack;
use crate::sys::global::{Mutex, Once, OnceLock, lock};
use crate::sys::threads::{self, ThreadFate};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a goroutine may run before its worker is stood in for (Go's time slice).
const HOG: Duration = Duration::from_millis(10);
/// After how long even a worker that had no processor is stood in for.
const STARVED: Duration = Duration::from_millis(200);
/// From one look to the next.
const INTERVAL: Duration = Duration::from_millis(5);
/// The same for a while after somebody had to stand in: they may all be after the same thing.
const SHORT_INTERVAL: Duration = Duration::from_millis(1);
const SHORT_LOOKS: u32 = 20;
/// In so many looks stacks cool that nobody has wanted since.
const COOLING: u32 = 20;
/// How many looks in a row find all workers asleep before the monitor sleeps too.
const QUIET: u32 = 20;

/// The runtimes that are looked after.
static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static ASLEEP: AtomicBool = AtomicBool::new(false);
static THREAD: OnceLock<Thread> = OnceLock::new();
static NUMBER: OnceLock<u32> = OnceLock::new();

struct Watched {
    shared: Weak<Shared>,
    seen: Vec<Seen>,
    stalls: Stalls,
    /// Of the present look: workers that have not moved. Kept, so that a look allocates nothing.
    suspects: Vec<Suspect>,
}

struct Suspect {
    index: usize,
    seen: Seen,
    os_thread: u32,
}

/// A worker at an earlier look: where it was then, and since when.
#[derive(Clone, Copy)]
struct Seen {
    tick: u32,
    since: Instant,
    /// How long it had had a processor when it was first found not to have moved, and when that was.
    worked: Option<(Duration, Instant)>,
}

impl Seen {
    /// Whether it has had no processor for most of the time since. After [`STARVED`] that does not matter any more.
    fn is_starved(&self, os_thread: u32, now: Instant) -> bool {
        let Some((before, since)) = self.worked.filter(|_| now - self.since < STARVED) else { return false };
        threads::processor_time(os_thread)
            .is_some_and(|worked| worked.saturating_sub(before) < (now - since) / 4)
    }
}

/// What a look at a runtime, or at all of them, has found.
#[derive(Clone, Copy, Default)]
struct Look {
    awake: bool,
    replaced: bool,
    /// Somebody is stuck whom nobody can stand in for, and others wait.
    refused: bool,
    /// The sum of the goroutines taken up.
    ticks: u64,
}

/// Looks after a runtime from now on.
pub(super) fn watch(shared: &Arc<Shared>) {
    lock(&WATCHED).push(Watched {
        shared: Arc::downgrade(shared),
        seen: Vec::new(),
        stalls: Stalls::default(),
        suspects: Vec::new(),
    });
    static STARTED: Once = Once::new();
    // Without the thread everything works as long as nobody is stuck: not worth failing for.
    STARTED.call_once(|| drop(threads::spawn("gosched-monitor", Box::new(serve))));
    stir();
}

/// Looks after a runtime no more.
pub(super) fn forget(shared: &Shared) {
    lock(&WATCHED).retain(|watched| !std::ptr::eq(watched.shared.as_ptr(), shared));
}

/// The runtimes that are looked after.
pub(super) fn runtimes() -> Vec<Arc<Shared>> {
    lock(&WATCHED).iter().filter_map(|watched| watched.shared.upgrade()).collect()
}

/// Whether this is the monitor's thread, by the system's number.
pub(super) fn is_thread(number: u32) -> bool {
    NUMBER.get() == Some(&number)
}

/// Whether a runtime is alive.
pub(super) fn has_runtime() -> bool {
    !lock(&WATCHED).is_empty()
}

/// Calls a worker that sleeps, of whatever runtime, to sleep in the reactor's poll. False if there is no runtime; if all
/// workers are awake nobody is called, since they will look by themselves.
pub(super) fn call_to_poll() -> bool {
    let watched = lock(&WATCHED);
    let mut alive = false;
    for shared in watched.iter().filter_map(|watched| watched.shared.upgrade()) {
        alive = true;
        if shared.call_to_poll() {
            break;
        }
    }
    alive
}

/// A worker is awake: so the monitor must be.
#[inline]
pub(super) fn stir() {
    if ASLEEP.load(Ordering::SeqCst) {
        wake();
    }
}

#[cold]
fn wake() {
    if ASLEEP.swap(false, Ordering::SeqCst)
        && let Some(thread) = THREAD.get()
    {
        thread.unpark();
    }
}

fn serve() -> ThreadFate {
    let _ = THREAD.set(std::thread::current());
    let _ = NUMBER.set(threads::os_id());
    let (mut quiet, mut short, mut polls, mut looks) = (0, 0, 0, 0_u32);
    let mut watch = Watch::new();
    let (mut lookout, mut circles) = (Lookout::new(), Circles::new());
    loop {
        let look = look_at_all(&mut watch, false);
        let needed = reactor::supervise(&mut polls);
        quiet = if look.awake || needed { 0 } else { quiet + 1 };
        short = if look.replaced { SHORT_LOOKS } else { short.saturating_sub(1) };
        let _ = (lookout.look(look.ticks), circles.look());
        looks = looks.wrapping_add(1);
        let going = quiet >= QUIET;
        if going || looks.is_multiple_of(COOLING) {
            stack::cool(going);
        }
        if !going {
            std::thread::park_timeout(if short > 0 { SHORT_INTERVAL } else { INTERVAL });
            continue;
        }
        ASLEEP.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if look_at_all(&mut watch, true).awake || reactor::is_neglected() {
            ASLEEP.store(false, Ordering::SeqCst);
        }
        while ASLEEP.load(Ordering::SeqCst) {
            let next = [lookout.look(look.ticks), circles.look()];
            match next.into_iter().flatten().min() {
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
        watch.wake(Instant::now());
        quiet = 0;
    }
}

fn look_at_all(watch: &mut Watch, last: bool) -> Look {
    let mut all = Look::default();
    let now = Instant::now();
    let seen = watch.look(now);
    for watched in lock(&WATCHED).iter_mut() {
        if let Some(shared) = watched.shared.upgrade() {
            let one = watched.look(&shared, now);
            let stays = watched.stalls.look(&shared, seen, last);
            watched.stalls.look_at_crew(&shared, seen, one.refused);
            all.awake |= one.awake | stays;
            all.replaced |= one.replaced;
            all.ticks = all.ticks.wrapping_add(one.ticks);
        }
    }
    all
}

impl Watched {
    fn look(&mut self, shared: &Shared, now: Instant) -> Look {
        let mut look = Look::default();
        let mut resting = false;
        self.suspects.clear();
        for (index, remote) in shared.remotes.iter().enumerate() {
            let tick = remote.tick.load(Ordering::Relaxed);
            look.ticks += u64::from(tick);
            let awake = shared.idle.is_awake(index as u32);
            let here = Seen { tick, since: now, worked: None };
            if self.seen.len() == index {
                self.seen.push(here);
            }
            let seen = &mut self.seen[index];
            let Some(os_thread) = remote.os_thread().filter(|_| remote.is_on_duty()) else {
                // Not started yet, stuck and stood in for, or off duty. One that has yet to start counts as awake: it will
                // not have slept when it takes up its first goroutine, and so not stir us.
                look.awake |= remote.is_on_duty();
                *seen = here;
                continue;
            };
            look.awake |= awake;
            resting |= !awake;
            if !awake || seen.tick != tick {
                *seen = here;
                continue;
            }
            if seen.worked.is_none() {
                seen.worked = threads::processor_time(os_thread).map(|worked| (worked, now));
            }
            self.suspects.push(Suspect { index, seen: *seen, os_thread });
        }
        if resting {
            // Whoever rests takes what may be taken; told once more, in case the last one told is stuck itself.
            if !self.suspects.is_empty() && shared.has_movable() {
                shared.notify();
            }
            return look;
        }
        for suspect in &self.suspects {
            let since = now - suspect.seen.since;
            // With a thread for each goroutine the worker's own waits while they run, and tells nothing.
            let tells = shared.config.backend == Backend::Stacks;
            let is_hog = since >= HOG && !(tells && suspect.seen.is_starved(suspect.os_thread, now));
            if is_hog || (tells && since >= SHORT_INTERVAL && threads::is_blocked(suspect.os_thread)) {
                match shared.replace(suspect.index, suspect.seen.tick) {
                    Replaced::Yes => look.replaced = true,
                    Replaced::NobodyLeft => look.refused = true,
                    Replaced::NotStuck => {}
                }
            }
        }
        look.refused = look.refused && shared.has_movable();
        look
    }
}
