//! A process-wide cache of threads: for runtime workers, and for calls that may block.
//!
//! Starting a thread costs 20 µs and more, and thousands of short runtimes one after the other would start
//! thousands. So a thread whose job is done waits here for the next one, for ten seconds, then ends.
//!
//! A thread may have become the *home* of an unfinished goroutine: that goroutine's stack lies parked, and
//! it may hold references into the thread's thread-locals (scoped threads may even be reading them). Such a
//! thread never ends, for a thread's end destroys its thread-locals. It serves further jobs like any other.
//!
//! # Why no job is lost
//!
//! A waiting thread has a seat; the seat is on the `idle` list from when the thread begins to wait until
//! somebody pops it, under the list's lock, to hand over a job. A thread whose time is up looks for its seat
//! on the list under the same lock: if it is there, the thread takes it off and may go, as nobody can pop it
//! any more; if it is not, somebody has popped it and the job is on its way, so the thread waits for it.

use super::global::{AtomicUsize, Condvar, Mutex, Ordering, lock};
use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread waits for its next job.
const IDLE: Duration = Duration::from_secs(10);

static CACHE: ThreadCache = ThreadCache::new(IDLE);

/// What a job says of the thread it ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadFate {
    /// Nothing points into the thread's thread-locals.
    Reusable,
    /// An unfinished goroutine started on this thread: it must not end, ever.
    Home,
}

/// A snapshot of the cache, for tests.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadStats {
    /// Threads that exist, at work or waiting.
    pub(crate) live: usize,
    /// Threads that wait for a job.
    pub(crate) idle: usize,
    /// Threads that will never end.
    pub(crate) homes: usize,
}

/// Runs `job` on a cached thread, or a new one if none is waiting. The operating system's tools show the
/// thread under `name` as long as the job runs (its first 15 bytes). A panic of the job ends the job only.
///
/// # Errors
///
/// When the thread cannot be started; the job is then dropped.
pub(crate) fn spawn(name: &str, job: Box<dyn FnOnce() -> ThreadFate + Send>) -> io::Result<()> {
    CACHE.spawn(name, job)
}

/// The numbers of the threads, as the system knows them: all, and those that have no job.
#[cfg(not(loom))]
pub(crate) fn numbers() -> (Vec<u32>, Vec<u32>) {
    let state = lock(&CACHE.state);
    (state.numbers.clone(), state.idle.iter().map(|seat| seat.thread).collect())
}

/// How many threads there are.
#[cfg(test)]
pub(crate) fn stats() -> ThreadStats {
    CACHE.stats()
}

/// How many threads there are, at work or waiting for a job.
pub(crate) fn live() -> usize {
    lock(&CACHE.state).live
}

/// Calls of users' that may block, and are being made on such threads.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Such a call is being made until this is dropped.
#[derive(Debug)]
pub(crate) struct BlockingCall(());

impl BlockingCall {
    pub(crate) fn begin() -> Self {
        CALLS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for BlockingCall {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many such calls are being made.
pub(crate) fn blocking_calls() -> usize {
    CALLS.load(Ordering::Relaxed)
}

/// Lets this thread be woken at the time it asked for: Linux may by default put a wake-up off by 50 us, to save power by
/// serving several at once. A worker, which sleeps until the earliest of many timers, does that better itself.
pub(crate) fn wake_in_time() {
    // SAFETY: a setting of the calling thread, of which nothing depends; a failure leaves it as it was.
    #[cfg(target_os = "linux")]
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// The number of this thread, as the system knows it.
pub(crate) fn os_id() -> u32 {
    // SAFETY: asks for a number; cannot fail.
    #[cfg(target_os = "linux")]
    return unsafe { libc::gettid() } as u32;
    #[cfg(not(target_os = "linux"))]
    0
}

/// Whether a thread of this process, of that number, waits for something in the system. False if that cannot be told.
/// Allocates nothing.
pub(crate) fn is_blocked(os_id: u32) -> bool {
    read_about(os_id, "stat", |text| {
        // "number (name) state ...", and the name may hold anything.
        let state = text.iter().rposition(|byte| *byte == b')').and_then(|at| text.get(at + 2));
        matches!(state, Some(b'S' | b'D'))
    })
}

/// How long a thread of this process, of that number, has had a processor. `None` if that cannot be told. Allocates
/// nothing.
pub(crate) fn processor_time(os_id: u32) -> Option<Duration> {
    read_about(os_id, "schedstat", |text| {
        // "nanoseconds with a processor, nanoseconds waiting for one, time slices".
        let end = text.iter().position(|byte| *byte == b' ')?;
        Some(Duration::from_nanos(std::str::from_utf8(&text[..end]).ok()?.parse().ok()?))
    })
}

/// What the system tells of a thread of this process in a file of that name; nothing if it tells nothing.
fn read_about<T>(os_id: u32, file: &str, read: impl FnOnce(&[u8]) -> T) -> T {
    use std::io::{Read as _, Write as _};
    let mut path = [0; 48];
    let mut rest = &mut path[..];
    let _ = write!(rest, "/proc/self/task/{os_id}/{file}");
    let unused = rest.len();
    let path = std::str::from_utf8(&path[..path.len() - unused]).unwrap_or_default();
    let mut text = [0; 128];
    let len = std::fs::File::open(path).and_then(|mut file| file.read(&mut text)).unwrap_or(0);
    read(&text[..len])
}

/// Drops what a panic left, which may panic itself; that second payload is leaked, as std does.
pub(crate) fn discard_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
}

#[derive(Debug)]
struct ThreadCache {
    state: Mutex<State>,
    idle_limit: Duration,
}

#[derive(Debug)]
struct State {
    /// The seats of waiting threads. The last to come is the first to go: its caches are warm, and those at
    /// the front reach their time limit.
    idle: Vec<Arc<Seat>>,
    live: usize,
    homes: usize,
    /// Those of the threads, as the system knows them.
    numbers: Vec<u32>,
}

/// Where a waiting thread is handed its next job.
#[derive(Debug, Default)]
struct Seat {
    /// The thread's number, as the system knows it.
    thread: u32,
    job: Mutex<Option<Job>>,
    handed: Condvar,
}

struct Job {
    name: OsName,
    run: Box<dyn FnOnce() -> ThreadFate + Send>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ThreadCache {
    const fn new(idle_limit: Duration) -> Self {
        Self {
            state: Mutex::new(State { idle: Vec::new(), live: 0, homes: 0, numbers: Vec::new() }),
            idle_limit,
        }
    }

    #[cfg(test)]
    fn stats(&self) -> ThreadStats {
        let state = lock(&self.state);
        ThreadStats { live: state.live, idle: state.idle.len(), homes: state.homes }
    }

    fn spawn(&'static self, name: &str, run: Box<dyn FnOnce() -> ThreadFate + Send>) -> io::Result<()> {
        let job = Job { name: OsName::new(name), run };
        let seat = lock(&self.state).idle.pop();
        match seat {
            Some(seat) => {
                *lock(&seat.job) = Some(job);
                seat.handed.notify_one();
                Ok(())
            }
            None => self.start(job),
        }
    }

    fn start(&'static self, job: Job) -> io::Result<()> {
        // Counted before it runs, so that `live` is never behind.
        lock(&self.state).live += 1;
        // std keeps this name for the thread's whole life, and panic messages show it: no job's own name.
        let started = thread::Builder::new().name("gosched".into()).spawn(move || self.serve(job));
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
                lock(&self.state).live -= 1;
                Err(error)
            }
        }
    }

    /// The life of a thread.
    fn serve(&self, first: Job) {
        let thread = os_id();
        let seat = Arc::new(Seat { thread, ..Seat::default() });
        lock(&self.state).numbers.push(thread);
        let mut home = false;
        let mut name = OsName::new("gosched");
        let mut next = Some(first);
        while let Some(job) = next {
            if job.name != name {
                job.name.show();
                name = job.name;
            }
            let fate = catch_unwind(AssertUnwindSafe(job.run)).unwrap_or_else(|payload| {
                discard_payload(payload);
                ThreadFate::Reusable
            });
            let becomes_home = fate == ThreadFate::Home && !home;
            home |= becomes_home;
            let mut state = lock(&self.state);
            state.homes += usize::from(becomes_home);
            state.idle.push(Arc::clone(&seat));
            drop(state);
            #[cfg(not(loom))]
            super::census::moved();
            next = if home { Some(seat.wait()) } else { self.wait_a_while(&seat) };
        }
    }

    /// Waits for a job up to the time limit; `None` when the thread is to end.
    fn wait_a_while(&self, seat: &Arc<Seat>) -> Option<Job> {
        if let Some(job) = seat.wait_until(Instant::now() + self.idle_limit) {
            return Some(job);
        }
        let mut state = lock(&self.state);
        if let Some(index) = state.idle.iter().position(|other| Arc::ptr_eq(other, seat)) {
            state.idle.remove(index);
            state.live -= 1;
            state.numbers.retain(|number| *number != seat.thread);
            return None;
        }
        drop(state);
        // Somebody has taken our seat off the list and is about to hand over a job.
        Some(seat.wait())
    }
}

impl Seat {
    fn wait(&self) -> Job {
        let mut job = lock(&self.job);
        loop {
            match job.take() {
                Some(job) => return job,
                None => job = self.handed.wait(job).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn wait_until(&self, deadline: Instant) -> Option<Job> {
        let mut job = lock(&self.job);
        loop {
            if let Some(job) = job.take() {
                return Some(job);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            job = self.handed.wait_timeout(job, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A thread's name as the operating system keeps it: 15 bytes and a zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OsName([u8; 16]);

impl OsName {
    fn new(name: &str) -> Self {
        let mut bytes = [0; 16];
        let len = name.bytes().take_while(|byte| *byte != 0).take(15).count();
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self(bytes)
    }

    /// Names the calling thread.
    fn show(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // SAFETY: the thread is the caller's own, and the name ends with a zero.
        let _ = unsafe { libc::pthread_setname_np(libc::pthread_self(), self.0.as_ptr().cast()) };
    }
}

#[cfg(test)]
mod tests;
