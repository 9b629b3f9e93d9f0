//! Nobody stalls the scheduler: goroutines that compute or block their thread are stood in for (FEATURES G29 to G35).
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, goroutines_are_threads, is_child, stderr};
use gosched::runtime::Builder;
use gosched::sync::WaitGroup;
use gosched::{Runtime, go, go_async, time};
use std::hint::black_box;
use std::net::ToSocketAddrs;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// Two workers, pinned and migrating.
fn two_workers() -> [Builder; 2] {
    let pinned = || Runtime::builder().workers(2);
    // SAFETY: the goroutines of these tests hold nothing that is bound to a thread.
    [pinned(), unsafe { pinned().migrate() }]
}

fn on_two(body: impl Fn(bool) + Send + Sync + 'static) {
    beside_two(move |runtime, migrates| runtime.run(|| body(migrates)));
}

/// Runs `body` on a plain thread: what starts hogs may be pinned behind one of them if it is a goroutine itself.
fn beside_two(body: impl Fn(&Runtime, bool) + Send + Sync + 'static) {
    bounded(move || {
        for (migrates, builder) in [false, true].into_iter().zip(two_workers()) {
            body(&builder.build().unwrap(), migrates);
        }
    });
}

/// Goroutines that compute until they are told to stop.
struct Hogs {
    on: Arc<AtomicBool>,
    handles: Vec<gosched::JoinHandle<()>>,
}

impl Hogs {
    fn start(runtime: &Runtime, count: usize) -> Self {
        let on = Arc::new(AtomicBool::new(true));
        let started = Arc::new(AtomicUsize::new(0));
        let handles = (0..count)
            .map(|_| {
                let (on, started) = (on.clone(), started.clone());
                runtime.handle().go(move || {
                    started.fetch_add(1, Ordering::SeqCst);
                    while on.load(Ordering::Relaxed) {
                        black_box(1);
                    }
                })
            })
            .collect();
        // Those for whom there is no worker are started by others who stand in.
        while started.load(Ordering::SeqCst) < count {
            thread::sleep(MS);
        }
        Self { on, handles }
    }

    fn stop(self) {
        self.on.store(false, Ordering::Relaxed);
        self.handles.into_iter().for_each(|handle| handle.join().unwrap());
    }
}

#[test]
fn G31_a_ticker_goes_on_beside_as_many_hogs_as_workers() {
    beside_two(|runtime, migrates| {
        let (ticks, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, on) = (ticks.clone(), stop.clone());
        let body = async move {
            let ticker = time::Ticker::new(MS);
            while !on.load(Ordering::Relaxed) {
                ticker.receiver().recv_async().await.unwrap();
                seen.fetch_add(1, Ordering::Relaxed);
            }
        };
        // A stackful goroutine may be pinned behind a hog, unless it migrates.
        let handle = runtime.handle();
        let ticker = if migrates { handle.go(|| gosched::wait(body)) } else { handle.go_async(body) };
        let hogs = Hogs::start(runtime, 2);
        thread::sleep(100 * MS);
        let (before, begin) = (ticks.load(Ordering::Relaxed), Instant::now());
        thread::sleep(2000 * MS);
        let got = ticks.load(Ordering::Relaxed) - before;
        let due = begin.elapsed().as_millis() as u64;
        hogs.stop();
        stop.store(true, Ordering::Relaxed);
        ticker.join().unwrap();
        println!("{got} of {due} ticks, migrating: {migrates}");
        // On a quiet machine it is 95 of 100 and more.
        let least = if goroutines_are_threads() { 20 } else { 50 };
        assert!(got * 100 >= due * least, "{got} of {due} ticks, migrating: {migrates}");
    });
}

#[test]
fn G31_timers_are_served_when_those_who_stood_in_go_off_duty() {
    beside_two(|runtime, _| {
        let (ticks, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, on) = (ticks.clone(), stop.clone());
        let ticker = runtime.handle().go_async(async move {
            while !on.load(Ordering::Relaxed) {
                time::sleep_async(MS).await;
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..40 {
            let hogs = Hogs::start(runtime, 3);
            thread::sleep(5 * MS);
            hogs.stop();
            // One of them may have been the one to look after the timers.
            let before = ticks.load(Ordering::Relaxed);
            while ticks.load(Ordering::Relaxed) < before + 3 {
                thread::sleep(MS);
            }
        }
        stop.store(true, Ordering::Relaxed);
        ticker.join().unwrap();
    });
}

#[test]
fn G29_hogs_without_number_all_run_and_end() {
    beside_two(|runtime, _| Hogs::start(runtime, 6).stop());
}

#[test]
fn G34_four_that_sleep_in_the_system_do_so_at_once() {
    on_two(|migrates| {
        let begin = Instant::now();
        let latest = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (gap, on) = (latest.clone(), stop.clone());
        let others = go_async(async move {
            let mut last = Instant::now();
            while !on.load(Ordering::Relaxed) {
                time::sleep_async(MS).await;
                gap.fetch_max(last.elapsed().as_millis() as u64, Ordering::Relaxed);
                last = Instant::now();
            }
        });
        let sleepers: Vec<_> = (0..4).map(|_| go(|| thread::sleep(1000 * MS))).collect();
        sleepers.into_iter().for_each(|handle| handle.join().unwrap());
        let took = begin.elapsed();
        stop.store(true, Ordering::Relaxed);
        others.join().unwrap();
        let gap = latest.load(Ordering::Relaxed);
        println!("four slept a second in {took:?}; others waited {gap} ms at most; migrating: {migrates}");
        // 1.03 s and some 15 ms on a quiet machine.
        assert!(took < 1900 * MS, "they slept one after the other: {took:?}");
        assert!(gap < 800, "the others stood still for {gap} ms");
    });
}

#[test]
fn G33_eight_that_fight_for_a_lock_of_std_all_finish_and_others_go_on() {
    on_two(|_| {
        let lock = Arc::new(Mutex::new(0));
        let wg = WaitGroup::new();
        for _ in 0..8 {
            let lock = lock.clone();
            wg.go(move || {
                for _ in 0..2 {
                    let mut count = lock.lock().unwrap();
                    let begin = Instant::now();
                    while begin.elapsed() < 15 * MS {
                        black_box(1);
                    }
                    *count += 1;
                }
            });
        }
        let ticks = go_async(async {
            let mut ticks = 0;
            for _ in 0..20 {
                time::sleep_async(MS).await;
                ticks += 1;
            }
            ticks
        });
        assert_eq!(ticks.join().unwrap(), 20);
        wg.wait();
        assert_eq!(*lock.lock().unwrap(), 16);
    });
}

#[test]
fn G34_eight_in_getaddrinfo_let_others_run() {
    on_two(|_| {
        let wg = WaitGroup::new();
        for _ in 0..8 {
            // Whether it finds anything does not matter here.
            wg.go(|| drop(("localhost", 80).to_socket_addrs()));
        }
        for _ in 0..20 {
            assert_eq!(go_async(async { 7 }).join().unwrap(), 7);
        }
        wg.wait();
    });
}

#[test]
fn G33_threads_that_stood_in_are_used_again() {
    on_two(|_| {
        let count = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let mut most = 0;
        for round in 0..20 {
            let blocked: Vec<_> = (0..2).map(|_| go(|| thread::sleep(30 * MS))).collect();
            let other = go(|| 7);
            assert_eq!(other.join().unwrap(), 7);
            blocked.into_iter().for_each(|handle| handle.join().unwrap());
            match round {
                0..10 => most = most.max(count()),
                // One more now and then on a busy machine; without reuse it would be twenty.
                _ => assert!(count() <= most + 4, "{} threads, {most} before", count()),
            }
        }
    });
}

#[test]
fn G35_at_the_bound_of_threads_it_is_said_once_and_the_program_goes_on() {
    const NAME: &str = "G35_at_the_bound_of_threads_it_is_said_once_and_the_program_goes_on";
    if !is_child() {
        let errors = stderr(&Child::new(NAME).passes());
        let told = errors.matches("that is as many as Builder::max_threads allows").count();
        assert_eq!(told, 1, "{errors}");
        assert!(
            errors.contains("all 2 threads of runtime \"small\"") && errors.contains("gosched::blocking"),
            "{errors}"
        );
        return;
    }
    let runtime = Runtime::builder().workers(1).max_threads(2).name("small").build().unwrap();
    runtime.run(|| {
        let handles: Vec<_> = (0..4).map(|_| go(|| thread::sleep(50 * MS))).collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn G29_what_is_pinned_to_one_that_stood_in_goes_on_there() {
    beside_two(|runtime, _| {
        for _ in 0..5 {
            let hogs = Hogs::start(runtime, 3);
            let (tx, rx) = gosched::chan::bounded(0);
            // Started while only those run that stand in.
            let handles: Vec<_> = (0..100)
                .map(|_| {
                    let rx = rx.clone();
                    runtime.handle().go(move || {
                        for _ in 0..3 {
                            rx.recv().unwrap();
                            time::sleep(MS);
                        }
                    })
                })
                .collect();
            for i in 0..150 {
                tx.send(i).unwrap();
            }
            hogs.stop();
            for i in 150..300 {
                tx.send(i).unwrap();
            }
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        }
    });
}
