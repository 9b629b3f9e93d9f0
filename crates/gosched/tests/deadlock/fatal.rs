//! Programs that end as Go's do: by the line that all goroutines are asleep, what they do, and code 2.

use super::common::{Dice, HOUR, eventually, ms};
use super::{Test, masked, program, result};
use gosched::chan::{bounded, never};
use gosched::context::{background, signal_context};
use gosched::sync::{Mutex, WaitGroup};
use gosched::time::clock::Clock;
use gosched::time::{self, sleep};
use gosched::{Runtime, blocking, debug, go, go_async, goexit, no_suspend, select, wait};
use std::sync::Arc;
use std::thread;

pub(super) const TESTS: &[Test] = &[
    ("D01_all_wait_for_channels", ends_exactly, channels),
    ("D01_main_waits_for_a_wait_group_that_nobody_finishes", ends_exactly, wait_group),
    ("D01_a_select_without_cases", ends_exactly, select_without_cases),
    ("D01_two_mutexes_in_opposite_order", ends_exactly, mutexes),
    ("D01_goroutines_that_are_futures", ends_exactly, stackless),
    ("D01_an_async_main", ends_exactly, async_main),
    ("D01_several_runtimes", ends_exactly, several_runtimes),
    ("D01_goroutines_that_are_threads", ends_exactly, os_threads),
    ("D01_the_default_runtime_and_main_that_waits_in_the_library", ends_exactly, default_runtime),
    ("D01_after_a_while_of_work", ends, after_work),
    ("D02_main_in_goexit_and_the_others_blocked", ends_exactly, goexit_with_others),
    ("D02_main_in_goexit_and_nobody_left", ends_with_nobody, goexit_alone),
    ("D03_not_once_the_timers_are_over", ends, timers_over),
    ("D03_not_once_a_deadline_that_nobody_waits_for_is_over", ends, deadline_over),
    ("D04_an_open_signal_handler_hides_nothing", ends_exactly, idle_signal_handler),
    ("D04_a_clock_that_nobody_moves_hides_nothing", ends, manual_clock),
    ("D06_goroutines_that_keep_their_thread", ends, in_no_suspend),
    ("D06_a_blocking_call_that_waits_for_a_goroutine", ends, in_blocking),
    ("D01_a_harmless_thread_hides_nothing", ends, harmless_thread),
    ("D01_when_the_last_other_thread_has_ended", ends, other_thread_ends),
    ("D08_no_destructors_run", ends, no_destructors),
    ("U12_the_exit_code_of_plain_run", ends, plain_run),
];

const FATAL: &str = "fatal error: all goroutines are asleep - deadlock!\n\n";

/// It ends as it should.
fn ends(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!(code, Some(2), "{err}");
    assert!(err.starts_with(FATAL), "{err}");
    assert!(err[FATAL.len()..].starts_with("goroutine "), "{err}");
}

/// The same, with the expected text, which stands in a file of the test's name.
fn ends_exactly(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!(code, Some(2), "{err}");
    let expected = expected(test);
    assert_eq!(masked(&err), expected, "\n{err}");
}

fn ends_with_nobody(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!(err, "fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n");
    assert_eq!(code, Some(2), "{err}");
}

fn expected(test: &str) -> String {
    let all = include_str!("expected.txt");
    let part = all.split("=== ").find_map(|part| part.strip_prefix(test)?.strip_prefix('\n'));
    part.unwrap_or_else(|| panic!("expected.txt says nothing of {test}")).to_owned()
}

/// Waits until this many goroutines wait as they will for ever, so that they stand in the dump in order.
fn until_asleep(count: usize) {
    eventually("they are asleep", || {
        let all = debug::goroutines();
        all.iter().filter(|info| info.waiting.is_some()).count() == count
    });
}

#[gosched::main(workers = 2)]
fn channels() {
    let (tx, rx) = bounded::<u8>(0);
    let (full, unread) = bounded(1);
    full.send(0).unwrap();
    let (out, kept) = (full.clone(), rx.clone());
    drop(go(move || out.send(1)));
    until_asleep(1);
    drop(go(move || kept.recv()));
    until_asleep(2);
    let _ = rx.recv();
    drop((tx, unread));
}

#[gosched::main]
fn wait_group() {
    let wg = WaitGroup::new();
    wg.add(2);
    wg.done();
    wg.wait();
}

#[gosched::main]
fn select_without_cases() {
    select! {}
}

#[gosched::main(workers = 2)]
fn mutexes() {
    let locks = Arc::new((Mutex::new(()), Mutex::new(())));
    let (held, both_held) = (WaitGroup::new(), WaitGroup::new());
    held.add(2);
    both_held.add(1);
    let take = |first: bool| {
        let (locks, held, both_held) = (locks.clone(), held.clone(), both_held.clone());
        go(move || {
            let (one, other) = if first { (&locks.0, &locks.1) } else { (&locks.1, &locks.0) };
            let _one = one.lock();
            held.done();
            both_held.wait();
            let _other = other.lock();
        })
    };
    let (a, b) = (take(true), take(false));
    held.wait();
    both_held.done();
    a.join().unwrap();
    b.join().unwrap();
}

#[gosched::main]
fn stackless() {
    let (tx, rx) = bounded::<u8>(0);
    let wg = WaitGroup::new();
    wg.add(1);
    let waits = wg.clone();
    drop(go_async(async move { waits.wait_async().await }));
    until_asleep(1);
    let receives = go_async(async move { rx.recv_async().await.is_ok() });
    until_asleep(2);
    let _ = receives.join();
    drop(tx);
}

#[gosched::main]
async fn async_main() {
    let (tx, rx) = bounded::<u8>(0);
    let _ = rx.recv_async().await;
    drop(tx);
}

fn several_runtimes() {
    let other = Runtime::builder().workers(1).name("other").build().unwrap();
    let (tx, rx) = bounded::<u8>(0);
    let (back, answer) = bounded::<u8>(0);
    drop(other.handle().go(move || back.send(rx.recv().unwrap())));
    gosched::run(move || {
        until_asleep(1);
        let _ = answer.recv();
        drop(tx);
    });
}

#[gosched::main(os_threads, workers = 2)]
fn os_threads() {
    let (tx, rx) = bounded::<u8>(0);
    let wg = WaitGroup::new();
    wg.add(1);
    let kept = rx.clone();
    drop(go(move || kept.recv()));
    until_asleep(1);
    wg.wait();
    drop((tx, rx));
}

fn default_runtime() {
    let (tx, rx) = bounded::<u8>(0);
    let waits = go(move || rx.recv());
    // For longer than it takes to find a deadlock: it is none yet.
    thread::sleep(ms(300));
    let _ = waits.join();
    drop(tx);
}

/// Goroutines on all workers that wake each other for a while, and sleep in between.
#[gosched::main(workers = 4)]
fn after_work() {
    let (tx, rx) = bounded::<u64>(3);
    let mut dice = Dice::new(7);
    let children: Vec<_> = (0..50)
        .map(|_| {
            let (tx, rx, pause) = (tx.clone(), rx.clone(), dice.below(100));
            go(move || {
                for i in 0..200 {
                    let _ = tx.send(i);
                    if i % 50 == 0 {
                        sleep(ms(pause as u64));
                    }
                    let _ = rx.recv();
                }
            })
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    let _ = rx.recv();
    drop(tx);
}

#[gosched::main]
fn goexit_with_others() {
    let (tx, rx) = bounded::<u8>(0);
    drop(go(move || {
        let _ = rx.recv();
        drop(tx);
    }));
    goexit();
}

#[gosched::main]
fn goexit_alone() {
    for _ in 0..3 {
        drop(go(|| sleep(ms(20))));
    }
    goexit();
}

#[gosched::main]
fn timers_over() {
    let (tx, rx) = bounded::<u8>(0);
    let called = time::after_func(ms(120), || ());
    let ticker = time::Ticker::new(ms(1));
    let _ = rx.recv_timeout(ms(60));
    let _ = ticker.receiver().recv();
    let _ = rx.recv();
    drop((tx, called, ticker));
}

#[gosched::main]
fn deadline_over() {
    let ctx = background().with_timeout(ms(300));
    let (tx, rx) = bounded::<u8>(0);
    let _ = rx.recv();
    drop((tx, ctx));
}

#[gosched::main]
fn idle_signal_handler() {
    let ctx = signal_context(&background()).unwrap();
    let below = ctx.with_cancel();
    // Nobody waits any more.
    assert!(below.done().recv_timeout(ms(1)).is_err());
    let _ = never::<u8>().recv();
    drop(below);
}

fn manual_clock() {
    let clock = Clock::manual();
    Runtime::builder().clock(&clock).build().unwrap().run(|| {
        drop(go(|| sleep(HOUR)));
        let _ = never::<u8>().recv();
    });
}

#[gosched::main(workers = 2)]
fn in_no_suspend() {
    let (tx, rx) = bounded::<u8>(0);
    let kept = rx.clone();
    drop(go(move || {
        // Awake for a while, so that it is the last to fall asleep, and not by leaving its worker.
        thread::sleep(ms(200));
        no_suspend(|| kept.recv())
    }));
    let _ = rx.recv();
    drop(tx);
}

#[gosched::main]
fn in_blocking() {
    let (tx, rx) = bounded::<u8>(0);
    let _ = blocking(|| {
        thread::sleep(ms(200));
        rx.recv()
    });
    drop(tx);
}

#[gosched::main]
fn harmless_thread() {
    let (tell, told) = bounded(0);
    drop(thread::spawn(move || {
        debug::ignore_thread();
        tell.send(()).unwrap();
        thread::sleep(HOUR);
    }));
    told.recv().unwrap();
    let (tx, rx) = bounded::<u8>(0);
    let _ = rx.recv();
    drop(tx);
}

#[gosched::main]
fn other_thread_ends() {
    drop(thread::spawn(|| thread::sleep(ms(400))));
    let (tx, rx) = bounded::<u8>(0);
    let _ = rx.recv();
    drop(tx);
}

#[gosched::main]
fn no_destructors() {
    struct Tells;
    impl Drop for Tells {
        fn drop(&mut self) {
            eprintln!("a destructor ran");
            std::process::exit(3);
        }
    }
    let _tells = Tells;
    wait(std::future::poll_fn(|_| {
        let mut depth = 0;
        depth += 1;
        if depth > 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    }));
    let _ = never::<u8>().recv();
}

fn plain_run() {
    let words = ["it", "may", "borrow"];
    gosched::run(|| {
        let _ = never::<u8>().recv();
        assert_eq!(words.len(), 3);
    });
}
