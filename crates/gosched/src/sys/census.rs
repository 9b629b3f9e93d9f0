//! Which threads of the process are the library's, and which of the others sleep until somebody wakes them: what is to be
//! known before a deadlock is declared.
//!
//! * Threads of the cache ([`super::threads`]) say themselves whether they have a job.
//! * Threads that wake nobody of their own accord are entered here ([`Harmless`]): those of timers and signals, those
//!   that goroutines are in thread-backed mode, and those that the user has declared to be so.
//! * Whoever blocks a thread in `wait` is entered as a [`Sleeper`].
//!
//! All others are somebody else's, and may do anything.
//!
//! # Who is told
//!
//! The monitor sleeps when all workers do. What it has found may change without any worker waking: a thread goes to sleep
//! here, or comes to the end of its job. Those call [`moved`], which is one load unless the monitor wants to know. It says
//! so *before* it looks ([`want`]), and they change first and call then, all sequentially consistent: so either it sees the
//! change, or it is told.

use super::global::{AtomicBool, AtomicUsize, Mutex, OnceLock, Ordering, lock};
use super::threads::os_id;
use std::cell::Cell;
use std::sync::Weak;
use std::thread::Thread;

/// How a thread sleeps, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// It does not.
    Awake,
    /// It wakes by itself.
    ForAWhile,
    UntilWoken {
        /// How many times it has gone to sleep.
        times: usize,
        /// Whether a goroutine runs there, which keeps this worker: a runtime's address, and the worker's number.
        keeps: Option<(usize, u32)>,
    },
}

/// A thread that sleeps now and then.
pub(crate) trait Sleeper: Send + Sync {
    /// Its number, as the system knows it.
    fn thread(&self) -> u32;

    fn sleep(&self) -> Sleep;
}

static SLEEPERS: Mutex<Vec<Weak<dyn Sleeper>>> = Mutex::new(Vec::new());
static HARMLESS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A thread sleeps here now and then, from now on until nobody refers to it any more.
pub(crate) fn enter_sleeper(sleeper: Weak<dyn Sleeper>) {
    let mut sleepers = lock(&SLEEPERS);
    // When there are twice as many as were left the last time.
    if sleepers.len() == sleepers.capacity() {
        sleepers.retain(|sleeper| sleeper.strong_count() > 0);
        let left = sleepers.len();
        sleepers.reserve(left.max(16));
    }
    sleepers.push(sleeper);
}

/// All who sleep, with the numbers of their threads.
pub(crate) fn sleepers() -> Vec<(u32, Sleep)> {
    let all: Vec<_> = lock(&SLEEPERS).iter().filter_map(Weak::upgrade).collect();
    let mut asleep: Vec<_> = all.iter().map(|sleeper| (sleeper.thread(), sleeper.sleep())).collect();
    asleep.retain(|(_, sleep)| *sleep != Sleep::Awake);
    asleep
}

/// While it is there, its thread counts as one that wakes nobody of its own accord.
#[derive(Debug)]
pub(crate) struct Harmless(u32);

impl Harmless {
    /// This thread.
    pub(crate) fn here() -> Self {
        let thread = os_id();
        lock(&HARMLESS).push(thread);
        moved();
        Self(thread)
    }
}

impl Drop for Harmless {
    fn drop(&mut self) {
        let mut all = lock(&HARMLESS);
        if let Some(at) = all.iter().position(|thread| *thread == self.0) {
            all.swap_remove(at);
        }
    }
}

/// This thread is harmless until it ends.
pub(crate) fn ignore_this_thread() {
    thread_local! {
        static IGNORED: Cell<Option<Harmless>> = const { Cell::new(None) };
    }
    // At its very end there is nothing left to ignore.
    let _ = IGNORED.try_with(|ignored| ignored.replace(Some(Harmless::here())));
}

/// The harmless ones.
pub(crate) fn harmless() -> Vec<u32> {
    lock(&HARMLESS).clone()
}

/// The numbers of all threads of the process. `None` if that cannot be known, or is changing just now.
pub(crate) fn all_threads() -> Option<Vec<u32>> {
    let number = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let threads: Vec<u32> = std::fs::read_dir("/proc/self/task").ok()?.map(number).collect::<Option<_>>()?;
    // A list that is read while threads come and go may miss one that another has started before its own end. The count
    // does not: the new thread is counted before the old one is not.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // "number (name) state ...", and the name may hold anything. The count is the 18th word after it.
    let count = stat.rsplit_once(')')?.1.split_whitespace().nth(17)?;
    (count.parse() == Ok(threads.len())).then_some(threads)
}

static WANTED: AtomicBool = AtomicBool::new(false);
static MOVES: AtomicUsize = AtomicUsize::new(0);
static WATCHER: OnceLock<Thread> = OnceLock::new();

/// The thread that is to be told, once.
pub(crate) fn set_watcher(thread: Thread) {
    let _ = WATCHER.set(thread);
}

/// From now on whoever changes anything tells, once.
pub(crate) fn want() {
    WANTED.store(true, Ordering::SeqCst);
}

/// How many times somebody has told.
pub(crate) fn moves() -> usize {
    MOVES.load(Ordering::SeqCst)
}

/// Something has changed that may leave nobody to wake others.
#[inline]
pub(crate) fn moved() {
    if WANTED.load(Ordering::SeqCst) {
        tell();
    }
}

#[cold]
fn tell() {
    if WANTED.swap(false, Ordering::SeqCst) {
        MOVES.fetch_add(1, Ordering::SeqCst);
        if let Some(watcher) = WATCHER.get() {
            watcher.unpark();
        }
    }
}

/// Whether the search for deadlocks was not switched off.
pub(crate) fn is_on() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| std::env::var_os("GOSCHED_DEADLOCK_CHECK").is_none_or(|value| value != "0"))
}

static PROBES: Mutex<Vec<fn() -> bool>> = Mutex::new(Vec::new());

/// `probe` tells whether somebody waits for something from outside of the process: a signal, say.
pub(crate) fn enter_probe(probe: fn() -> bool) {
    lock(&PROBES).push(probe);
}

/// What has come from outside, and for whom it has come has not been woken yet.
static DELIVERIES: AtomicUsize = AtomicUsize::new(0);

/// So many are about to be woken, and are not waiting any more for what a probe tells of.
pub(crate) fn begin_deliveries(count: usize) {
    DELIVERIES.fetch_add(count, Ordering::SeqCst);
}

/// So many have been woken.
pub(crate) fn end_deliveries(count: usize) {
    DELIVERIES.fetch_sub(count, Ordering::SeqCst);
}

/// Whether somebody waits for something from outside of the process, or it is on its way to somebody.
pub(crate) fn awaits_outside() -> bool {
    let probes = lock(&PROBES).clone();
    // In this order: what is delivered meanwhile is counted before it is awaited no more.
    probes.iter().any(|probe| probe()) || DELIVERIES.load(Ordering::SeqCst) > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn all_threads_are_found_and_harmless_ones_known() {
        let (tell, told) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            ignore_this_thread();
            // Twice is once.
            ignore_this_thread();
            tell.send(os_id()).unwrap();
            let _ = ends.recv();
        });
        let other = told.recv().unwrap();
        if cfg!(target_os = "linux") {
            // Tests beside this one start and end threads.
            let all = (0..1000).find_map(|_| all_threads()).expect("a moment without that");
            assert!(all.contains(&other) && all.contains(&os_id()), "{all:?}");
        }
        assert_eq!(harmless().iter().filter(|thread| **thread == other).count(), 1);
        assert!(!harmless().contains(&os_id()));
        drop(end);
        thread.join().unwrap();
        assert!(!harmless().contains(&other));
    }
}
