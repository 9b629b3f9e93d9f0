//! `time::after_func` (FEATURES T06, T13, T14, T17).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until};
use common::{Dice, HOUR, MS, bounded, everywhere};
use gosched::chan::bounded as channel;
use gosched::time::{self, after_func};
use gosched::{Runtime, go};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A function that counts its runs.
fn counter() -> (Arc<AtomicUsize>, impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let f = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    (runs, f)
}

fn runs(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

#[test]
fn T06_runs_in_a_goroutine_of_its_own_when_the_time_has_come() {
    by_hand(|clock| {
        let (tx, rx) = channel(1);
        let me = gosched::current().id();
        let timer = after_func(10 * MS, move || {
            // It may block.
            time::sleep(MS);
            tx.send(gosched::current().id()).unwrap();
        });
        assert_eq!(clock.timers(), 1);
        clock.advance(9 * MS);
        assert_eq!(clock.timers(), 1);
        clock.advance(MS);
        until("it sleeps", || clock.next_timer() == Some(clock.now() + MS));
        clock.advance(MS);
        assert_ne!(rx.recv().unwrap(), me);
        assert!(!timer.stop());
    });
}

#[test]
fn T06_stop_says_whether_it_kept_f_from_starting() {
    by_hand(|clock| {
        let (count, f) = counter();
        let timer = after_func(MS, f);
        assert!(timer.stop());
        assert!(!timer.stop());
        clock.advance(HOUR);
        assert!(!timer.reset(MS), "stopped");
        assert!(timer.reset(2 * MS), "not started");
        clock.advance(2 * MS);
        assert!(!timer.stop(), "started, and not waited for");
        until("it has run", || runs(&count) == 1);
        clock.advance(HOUR);
        assert_eq!(clock.timers(), 0);
        assert_eq!(runs(&count), 1);
    });
}

#[test]
fn T06_reset_after_firing_runs_it_again_beside_the_old_run() {
    by_hand(|clock| {
        let (running, ends) = (Arc::new(AtomicUsize::new(0)), channel::<()>(0));
        let timer = after_func(MS, {
            let (running, ends) = (running.clone(), ends.1);
            move || {
                running.fetch_add(1, Ordering::SeqCst);
                ends.recv().unwrap_err();
            }
        });
        for n in 1..=3 {
            clock.advance(MS);
            until("one more runs", || runs(&running) == n);
            assert!(!timer.reset(MS));
        }
        assert!(timer.stop());
        drop(ends.0);
    });
}

#[test]
fn T06_a_dropped_handle_changes_nothing_and_f_goes_with_the_timer() {
    by_hand(|clock| {
        let (count, f) = counter();
        drop(after_func(MS, f));
        clock.advance(MS);
        until("it has run", || runs(&count) == 1);
        until("f is dropped", || Arc::strong_count(&count) == 1);
        // Stopped, and then dropped: the same.
        let (count, f) = counter();
        let timer = after_func(MS, f);
        assert!(timer.stop());
        assert_eq!(Arc::strong_count(&count), 2);
        drop(timer);
        assert_eq!(Arc::strong_count(&count), 1);
        // It never comes, and can be stopped all the same.
        let (count, f) = counter();
        let timer = after_func(Duration::MAX, f);
        clock.advance(HOUR);
        assert!(timer.stop() && !timer.stop() && runs(&count) == 0);
    });
}

#[test]
fn T06_on_a_plain_thread_it_runs_on_the_default_runtime_or_the_entered_one() {
    bounded(|| {
        let (count, f) = counter();
        let start = Instant::now();
        let _timer = after_func(MS, f);
        until("it has run", || runs(&count) == 1);
        assert!(start.elapsed() >= MS);
        // That runtime is known by its clock, which stands still; the thread's goes on.
        let clock = time::clock::Clock::manual();
        let runtime = Runtime::builder().workers(1).clock(&clock).build().unwrap();
        let handle = runtime.run(gosched::runtime::Handle::current);
        let _entered = handle.enter();
        let (tx, rx) = channel(1);
        let _timer = after_func(MS, move || tx.send(time::now()).unwrap());
        assert_eq!(rx.recv(), Ok(clock.now()));
    });
}

#[test]
fn T06_a_panic_of_f_ends_its_goroutine_only() {
    everywhere(|| {
        let (tx, rx) = channel(2);
        let timer = after_func(Duration::ZERO, move || {
            tx.send(()).unwrap();
            panic!("meant to be");
        });
        rx.recv().unwrap();
        timer.reset(Duration::ZERO);
        rx.recv().unwrap();
    });
}

#[test]
fn T06_after_the_shutdown_of_its_runtime_nothing_runs() {
    bounded(|| {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let (count, f) = counter();
        let timer = runtime.run(move || after_func(50 * MS, f));
        drop(runtime);
        timer.reset(MS);
        thread::sleep(60 * MS);
        assert_eq!(runs(&count), 0);
        timer.stop();
        drop(timer);
    });
}

#[test]
fn T13_they_start_in_the_order_of_their_times() {
    bounded(|| {
        let clock = time::clock::Clock::manual();
        let runtime = Runtime::builder().workers(1).clock(&clock).build().unwrap();
        runtime.run(move || {
            let (tx, rx) = channel(100);
            for i in 0..100 {
                let (tx, at) = (tx.clone(), i * 37 % 100 + 1);
                after_func(at * MS, move || tx.send(at).unwrap());
            }
            for at in 1..=100 {
                clock.advance(MS);
                assert_eq!(rx.recv(), Ok(at));
            }
        });
    });
}

#[test]
fn T14_each_setting_runs_once_or_is_prevented_once() {
    everywhere(|| {
        let (count, f) = counter();
        let timer = Arc::new(after_func(HOUR, f));
        let (set, kept) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
        let disturb = |seed: u64| {
            let (timer, set, kept) = (timer.clone(), set.clone(), kept.clone());
            move || {
                let mut dice = Dice::new(seed);
                for _ in 0..1500 {
                    let random = dice.throw();
                    let prevented = match random >> 61 {
                        0 => timer.stop(),
                        kind => {
                            set.fetch_add(1, Ordering::SeqCst);
                            let micros = if kind < 5 { 0 } else { (random >> 40) % 200 };
                            timer.reset(Duration::from_micros(micros))
                        }
                    };
                    kept.fetch_add(usize::from(prevented), Ordering::SeqCst);
                    gosched::yield_now();
                }
            }
        };
        let (a, b) = (go(disturb(1)), go(disturb(2)));
        let thread = thread::spawn(disturb(3));
        a.join().unwrap();
        b.join().unwrap();
        gosched::blocking(|| thread.join().unwrap());
        kept.fetch_add(usize::from(timer.stop()), Ordering::SeqCst);
        let (set, kept) = (runs(&set), runs(&kept));
        until("all that was started has run", || runs(&count) + kept == set);
        time::sleep(2 * MS);
        assert_eq!(runs(&count) + kept, set);
    });
}

#[test]
fn T17_runs_though_two_goroutines_play_ping_pong_on_one_worker() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime.run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let (ping, pong) = (channel(0), channel(0));
            let player = go(move || {
                while let Ok(ball) = ping.1.recv() {
                    pong.0.send(ball).unwrap();
                }
            });
            let _timer = after_func(MS, {
                let stop = stop.clone();
                move || stop.store(true, Ordering::SeqCst)
            });
            let mut ball = 0u64;
            while !stop.load(Ordering::SeqCst) {
                ping.0.send(ball).unwrap();
                ball = pong.1.recv().unwrap() + 1;
            }
            drop(ping.0);
            player.join().unwrap();
        });
    });
}
