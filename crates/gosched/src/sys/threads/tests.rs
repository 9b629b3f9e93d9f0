//! Tests of the thread cache, each with a cache of its own and a time limit that can be met.

use super::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::ThreadId;

const SOON: Duration = Duration::from_secs(30);

fn cache(idle_limit: Duration) -> &'static ThreadCache {
    Box::leak(Box::new(ThreadCache::new(idle_limit)))
}

fn wait_for_stats(cache: &ThreadCache, live: usize, idle: usize, homes: usize) {
    let expected = ThreadStats { live, idle, homes };
    let start = Instant::now();
    while cache.stats() != expected {
        assert!(start.elapsed() < SOON, "{:?} instead of {expected:?}", cache.stats());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a job that tells its thread.
fn run(cache: &'static ThreadCache, fate: ThreadFate) -> ThreadId {
    let (sender, receiver) = channel();
    cache.spawn("job", told(sender, fate)).unwrap();
    receiver.recv_timeout(SOON).unwrap()
}

fn told(sender: Sender<ThreadId>, fate: ThreadFate) -> Box<dyn FnOnce() -> ThreadFate + Send> {
    Box::new(move || {
        sender.send(thread::current().id()).unwrap();
        fate
    })
}

#[test]
fn a_thread_serves_one_job_after_the_other() {
    let cache = cache(IDLE);
    let first = run(cache, ThreadFate::Reusable);
    for _ in 0..20 {
        wait_for_stats(cache, 1, 1, 0);
        assert_eq!(run(cache, ThreadFate::Reusable), first);
    }
}

#[test]
fn the_last_to_come_is_the_first_to_go() {
    let cache = cache(IDLE);
    let (sender, receiver) = channel();
    let mut gates = Vec::new();
    for _ in 0..2 {
        let (gate, closed) = channel::<()>();
        let sender = sender.clone();
        let job = move || {
            sender.send(thread::current().id()).unwrap();
            let _ = closed.recv();
            ThreadFate::Reusable
        };
        cache.spawn("job", Box::new(job)).unwrap();
        gates.push((receiver.recv_timeout(SOON).unwrap(), gate));
    }
    let (a, gate_a) = gates.remove(0);
    let (b, gate_b) = gates.remove(0);
    assert_ne!(a, b);
    drop(gate_a);
    wait_for_stats(cache, 2, 1, 0);
    drop(gate_b);
    wait_for_stats(cache, 2, 2, 0);
    assert_eq!(run(cache, ThreadFate::Reusable), b);
}

#[test]
fn a_thread_without_jobs_ends() {
    let cache = cache(Duration::from_millis(5));
    let first = run(cache, ThreadFate::Reusable);
    wait_for_stats(cache, 0, 0, 0);
    assert_ne!(run(cache, ThreadFate::Reusable), first);
    wait_for_stats(cache, 0, 0, 0);
}

#[test]
fn a_home_never_ends_and_serves_further_jobs() {
    thread_local! {
        static ALIVE: Cell<Option<Sender<ThreadId>>> = const { Cell::new(None) };
    }
    let cache = cache(Duration::from_millis(5));
    // What the thread-local holds is dropped, and the channel closed, if the thread ends.
    let (alive, ended) = channel::<ThreadId>();
    let (sender, receiver) = channel();
    let job = move || {
        ALIVE.set(Some(alive));
        sender.send(thread::current().id()).unwrap();
        ThreadFate::Home
    };
    cache.spawn("home", Box::new(job)).unwrap();
    let home = receiver.recv_timeout(SOON).unwrap();
    for fate in [ThreadFate::Reusable, ThreadFate::Home, ThreadFate::Reusable] {
        wait_for_stats(cache, 1, 1, 1);
        thread::sleep(Duration::from_millis(20));
        assert_eq!(run(cache, fate), home, "it waits far beyond the limit");
    }
    wait_for_stats(cache, 1, 1, 1);
    assert_eq!(ended.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty), "its thread-locals live");
}

#[test]
fn a_panic_ends_the_job_only() {
    /// A payload that panics when it is dropped.
    struct Nasty;
    impl Drop for Nasty {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("again"));
        }
    }
    let cache = cache(IDLE);
    let first = run(cache, ThreadFate::Reusable);
    for nasty in [false, true] {
        wait_for_stats(cache, 1, 1, 0);
        // resume_unwind: the panic hook, which would print, belongs to all tests of the process.
        let payload: Box<dyn Any + Send> = if nasty { Box::new(Nasty) } else { Box::new("a job panics") };
        cache.spawn("panics", Box::new(move || std::panic::resume_unwind(payload))).unwrap();
        wait_for_stats(cache, 1, 1, 0);
        assert_eq!(run(cache, ThreadFate::Reusable), first);
    }
    // A home stays one, whatever its later jobs do.
    wait_for_stats(cache, 1, 1, 0);
    run(cache, ThreadFate::Home);
    wait_for_stats(cache, 1, 1, 1);
    cache.spawn("panics", Box::new(|| std::panic::resume_unwind(Box::new("a job panics")))).unwrap();
    wait_for_stats(cache, 1, 1, 1);
}

#[test]
fn a_thousand_jobs_run_once_each() {
    let cache = cache(Duration::from_millis(1));
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..1000 {
        let ran = Arc::clone(&ran);
        let job = move || {
            ran.fetch_add(1, Ordering::Relaxed);
            ThreadFate::Reusable
        };
        cache.spawn("many", Box::new(job)).unwrap();
    }
    wait_for_stats(cache, 0, 0, 0);
    assert_eq!(ran.load(Ordering::Relaxed), 1000);
}

#[test]
fn no_job_is_lost_to_a_thread_that_is_about_to_end() {
    // The limit and the pauses are alike, so that many jobs come when a thread's time is just up.
    let cache = cache(Duration::from_micros(100));
    thread::scope(|scope| {
        for me in 0..3u64 {
            scope.spawn(move || {
                for round in 0..500 {
                    run(cache, ThreadFate::Reusable);
                    thread::sleep(Duration::from_micros((round * 13 + me * 29) % 200));
                }
            });
        }
    });
    wait_for_stats(cache, 0, 0, 0);
}

#[test]
fn a_thread_whose_seat_was_taken_as_its_time_was_up_waits_for_the_job() {
    let cache = cache(Duration::ZERO);
    let seat = Arc::new(Seat::default());
    thread::scope(|scope| {
        // The seat is not on the list: somebody has popped it, and is slow to hand over.
        let waiting = scope.spawn(|| cache.wait_a_while(&seat).is_some());
        thread::sleep(Duration::from_millis(50));
        let job = Job { name: OsName::new("late"), run: Box::new(|| ThreadFate::Reusable) };
        *lock(&seat.job) = Some(job);
        seat.handed.notify_one();
        assert!(waiting.join().unwrap(), "the thread went, and the job with it");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_shows_the_name_of_the_job() {
    let cache = cache(IDLE);
    for (name, shown) in [
        ("gosched-worker-17", "gosched-worker-"),
        ("short", "short"),
        ("cut\0here", "cut"),
        ("gosched", "gosched"),
    ] {
        let (sender, receiver) = channel();
        let job = move || {
            let file = format!("/proc/self/task/{}/comm", thread_id());
            sender.send(std::fs::read_to_string(file).unwrap()).unwrap();
            ThreadFate::Reusable
        };
        cache.spawn(name, Box::new(job)).unwrap();
        assert_eq!(receiver.recv_timeout(SOON).unwrap().trim_end(), shown);
        wait_for_stats(cache, 1, 1, 0);
    }
}

#[cfg(target_os = "linux")]
fn thread_id() -> libc::pid_t {
    // SAFETY: gettid has no requirement.
    unsafe { libc::gettid() }
}

#[test]
fn the_process_has_a_cache() {
    let (sender, receiver) = channel();
    spawn("global", told(sender, ThreadFate::Reusable)).unwrap();
    receiver.recv_timeout(SOON).unwrap();
    assert!(stats().live >= 1);
}

#[test]
#[cfg(target_os = "linux")]
fn how_long_a_thread_has_had_a_processor_can_be_told() {
    let me = os_id();
    let Some(before) = processor_time(me) else { return }; // a system that does not say
    let start = Instant::now();
    while processor_time(me).unwrap() < before + Duration::from_millis(5) {
        assert!(start.elapsed() < SOON);
    }
    let worked = processor_time(me).unwrap();
    thread::sleep(Duration::from_millis(30));
    assert!(processor_time(me).unwrap() - worked < Duration::from_millis(20), "it slept");
    assert_eq!(processor_time(u32::MAX), None, "there is no such thread");
}
