//! What the library counts, `debug::metrics`, `Runtime::metrics` and `Handle::metrics`: rows V03 to V11 of the features.
#![allow(non_snake_case)]

mod common;

use common::{
    Child, HOUR, bounded, eventually, everywhere, goroutines_are_threads, is_child, ms, one_worker,
};
use gosched::debug::{self, RuntimeMetrics};
use gosched::runtime::Handle;
use gosched::sync::Mutex;
use gosched::{Runtime, WaitReason, blocking, chan, go, go_async, num_goroutine, time, yield_now};
use std::future::pending;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Of the caller's runtime.
fn here() -> RuntimeMetrics {
    Handle::current().metrics()
}

fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn V03_V08_goroutines_are_counted_when_they_are_made_and_when_they_end() {
    everywhere(|| {
        let before = here();
        assert_eq!((before.created, before.finished), (1, 0));
        for i in 0..10 {
            if i % 2 == 0 { go(|| ()).join().unwrap() } else { go_async(async {}).join().unwrap() }
        }
        drop(go(|| panic!("it counts too")).join().unwrap_err());
        eventually("all have ended", || num_goroutine() == 1);
        let after = here();
        assert_eq!((after.created, after.finished), (12, 11));
    });
}

#[test]
fn V04_V05_V06_what_goroutines_do_is_counted_by_what_they_wait_for() {
    one_worker(|| {
        let (tx, rx) = chan::bounded::<Box<u8>>(0);
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock();
        for _ in 0..3 {
            let rx = rx.clone();
            go(move || drop(rx.recv()));
        }
        for _ in 0..2 {
            go_async(time::sleep_async(HOUR));
        }
        let locks = mutex.clone();
        go(move || drop(locks.lock()));
        eventually("all wait", || here().waiting_total() == 6);
        let runnable = go(|| ());
        let metrics = here();
        assert_eq!((metrics.running, metrics.runnable), (1, 1));
        let waiting = [(WaitReason::ChanReceive, 3), (WaitReason::Sleep, 2), (WaitReason::MutexLock, 1)];
        assert_eq!(metrics.waiting, waiting);
        assert_eq!(metrics.waiting_for(WaitReason::Sleep), 2);
        assert_eq!(metrics.waiting_for(WaitReason::ChanSend), 0);
        assert_eq!(metrics.running + metrics.runnable + metrics.waiting_total(), num_goroutine());
        runnable.join().unwrap();
        drop((tx, guard));
    });
}

#[test]
fn V07_calls_that_block_are_counted_while_they_are_made() {
    if !is_child() {
        return drop(Child::new("V07_calls_that_block_are_counted_while_they_are_made").passes());
    }
    everywhere(|| {
        let (tx, rx) = std::sync::mpsc::channel::<()>();
        let before = debug::metrics().blocking_calls;
        let call = go(move || blocking(move || rx.recv().is_err()));
        eventually("the call is made", || debug::metrics().blocking_calls == before + 1);
        eventually("its goroutine waits", || here().waiting_for(WaitReason::Blocking) == 1);
        drop(tx);
        assert!(call.join().unwrap());
        assert_eq!((debug::metrics().blocking_calls, here().waiting_for(WaitReason::Blocking)), (before, 0));
        // One that panics has ended, too.
        let panics = gosched::blocking_async(|| {
            if black_box(true) {
                panic!("it has ended")
            }
        });
        drop(go_async(panics).join().unwrap_err());
        assert_eq!(debug::metrics().blocking_calls, before);
    });
}

#[test]
fn a_worker_that_takes_from_another_counts_it() {
    bounded(|| {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        assert_eq!(runtime.metrics().workers, 2);
        runtime.run(|| {
            eventually("somebody takes from somebody", || {
                let children: Vec<_> = (0..200).map(|_| go(|| spin(Duration::from_micros(50)))).collect();
                children.into_iter().for_each(|child| child.join().unwrap());
                here().steals > 0
            });
        });
    });
}

#[test]
fn V11_who_stands_in_is_counted_and_who_is_stuck() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        assert_eq!(runtime.metrics().stand_ins, 0);
        let hog = runtime.handle().go(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        eventually("somebody stands in", || runtime.metrics().stand_ins == 1);
        let metrics = runtime.metrics();
        assert_eq!((metrics.stuck, metrics.workers), (1, 2));
        stop.store(true, Ordering::Relaxed);
        hog.join().unwrap();
        eventually("it is back", || runtime.metrics().stuck == 0);
        assert_eq!(runtime.metrics().stand_ins, 1);
    });
}

#[test]
fn V09_one_of_127_goroutines_that_can_run_is_timed() {
    one_worker(|| {
        const BALLS: u64 = 127 * 50;
        let before = here().latencies.count();
        let (to, from) = chan::bounded::<u64>(0);
        let echo = go(move || from.iter().sum::<u64>());
        for _ in 0..BALLS {
            to.send(1).unwrap();
            yield_now();
        }
        drop(to);
        assert_eq!(echo.join().unwrap(), BALLS);
        let timed = here().latencies.count() - before;
        // Each ball wakes somebody, and nobody more than twice.
        assert!((25..=150).contains(&timed), "{timed}");
        let latencies = here().latencies;
        assert!(latencies.quantile(0.5) <= latencies.quantile(1.0));
    });
}

#[test]
fn V09_goroutines_that_wait_for_their_turn_make_the_latency_long() {
    everywhere(|| {
        // None of them runs before we let the worker go, or another takes them.
        let children: Vec<_> = (0..500).map(|_| go(|| spin(Duration::from_micros(100)))).collect();
        spin(ms(5));
        children.into_iter().for_each(|child| child.join().unwrap());
        let latencies = here().latencies;
        assert!(latencies.count() >= 3, "{latencies:?}");
        // 50 ms of work for two workers: whoever was last has waited for some of it.
        assert!(latencies.quantile(1.0) > Some(ms(2)), "{latencies:?}");
    });
}

#[test]
fn V09_goroutines_woken_from_outside_are_timed_too() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let before = runtime.metrics().latencies.count();
        for _ in 0..300 {
            runtime.handle().go(|| ()).join().unwrap();
        }
        assert!(runtime.metrics().latencies.count() - before >= 2);
    });
}

#[test]
fn stacks_are_counted_in_bytes() {
    if !is_child() {
        return drop(Child::new("stacks_are_counted_in_bytes").passes());
    }
    if goroutines_are_threads() {
        return;
    }
    const MANY: usize = 64;
    const DEEP: usize = 128 << 10;
    #[inline(never)]
    fn touches(rx: &chan::Receiver<u8>) {
        let mut deep = [0u8; DEEP];
        deep.iter_mut().step_by(1024).for_each(|byte| *byte = 1);
        black_box(&mut deep);
        let _ = rx.recv();
        black_box(&mut deep);
    }
    bounded(|| {
        gosched::run(|| {
            let before = debug::metrics();
            let (tx, rx) = chan::bounded::<u8>(0);
            let children: Vec<_> = (0..MANY)
                .map(|_| {
                    let rx = rx.clone();
                    go(move || touches(&rx))
                })
                .collect();
            eventually("all wait", || here().waiting_for(WaitReason::ChanReceive) == MANY);
            let during = debug::metrics();
            let grown = during.stack_bytes_resident - before.stack_bytes_resident;
            assert!((MANY * DEEP..MANY * DEEP * 2).contains(&grown), "{grown}");
            assert!(during.stack_bytes_reserved >= during.stack_bytes_resident);
            assert!(during.stack_bytes_reserved >= MANY * (256 << 10));
            drop(tx);
            children.into_iter().for_each(|child| child.join().unwrap());
        });
    });
}

#[test]
fn V08_V11_the_process_remembers_what_runtimes_counted_that_are_gone() {
    if !is_child() {
        return drop(
            Child::new("V08_V11_the_process_remembers_what_runtimes_counted_that_are_gone").passes(),
        );
    }
    for round in 1..=3 {
        let runtime = Runtime::builder().workers(2).name("for now").build().unwrap();
        runtime.run(|| (0..5).for_each(|_| go(|| ()).join().unwrap()));
        let metrics = debug::metrics();
        assert_eq!(metrics.total.created, 6 * round);
        let [only] = &metrics.runtimes[..] else { panic!("{metrics:?}") };
        assert_eq!((&*only.name, only.created, only.workers), ("for now", 6, 2));
        assert!(metrics.threads >= 3, "two workers and the monitor: {metrics:?}");
        if round == 3 {
            runtime.handle().go_async(pending::<()>());
        }
        drop(runtime);
    }
    let metrics = debug::metrics();
    assert!(metrics.runtimes.is_empty(), "{metrics:?}");
    // The last one was dropped with its runtime.
    assert_eq!((metrics.total.created, metrics.total.finished), (19, 19));
    assert_eq!((metrics.total.workers, metrics.total.stuck, metrics.total.running), (0, 0, 0));
}

#[test]
fn snapshots_are_taken_while_runtimes_come_and_go() {
    bounded(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let looker = {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) || last == 0 {
                    let total = debug::metrics().total;
                    assert!(total.created >= last, "it grows");
                    last = total.created;
                }
            })
        };
        for _ in 0..50 {
            let runtime = Runtime::builder().workers(2).build().unwrap();
            runtime.run(|| (0..20).for_each(|_| drop(go(yield_now))));
        }
        stop.store(true, Ordering::Relaxed);
        looker.join().unwrap();
    });
}
