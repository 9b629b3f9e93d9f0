//! `blocking`, `blocking_async` and `no_suspend`.
#![allow(non_snake_case)]

mod common;

use common::values::CountsDrops;
use common::{Child, bounded, everywhere, is_child, panic_text, proc_status};
use gosched::{
    blocking, blocking_async, chan, current, go, go_async, no_suspend, num_goroutine, scope, time, wait,
};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn blocking_borrows_returns_and_passes_panics_on() {
    everywhere(|| {
        let mut text = String::from("a");
        let length = blocking(|| {
            text.push('b');
            text.len()
        });
        assert_eq!((length, &*text), (2, "ab"));
        assert_eq!(panic_text(|| blocking(|| resume_unwind(Box::new("from the call")))), "from the call");
        assert_eq!(go_async(async { blocking(|| 5) }).join().unwrap(), 5);
    });
}

#[test]
fn blocking_is_a_plain_thread_inside_and_waits_park_it() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(0);
        let sender = go(move || (0..10).for_each(|n| tx.send(n).unwrap()));
        let got = blocking(|| {
            assert_eq!((current().id(), num_goroutine()), (0, 0));
            // Waits, nested waits and scopes.
            let first = wait(async { rx.recv().unwrap() });
            let rest: Vec<i32> = rx.iter().collect();
            let doubled = scope(|s| s.go(|| rest.len() * 2).join().unwrap());
            time::sleep(Duration::from_millis(1));
            blocking(|| (first, rest.len(), doubled))
        });
        assert_eq!(got, (0, 9, 18));
        sender.join().unwrap();
    });
}

#[test]
fn blocking_on_a_plain_thread_just_calls() {
    bounded(|| {
        let here = thread::current().id();
        assert_eq!(blocking(|| thread::current().id()), here);
    });
}

#[test]
fn G34_blocking_calls_are_not_limited_by_the_workers() {
    everywhere(|| {
        // Each waits for all others, on a thread.
        let barrier = Arc::new(std::sync::Barrier::new(20));
        let handles: Vec<_> = (0..20)
            .map(|_| {
                let barrier = barrier.clone();
                go(move || {
                    blocking(|| {
                        barrier.wait();
                    })
                })
            })
            .collect();
        // Meanwhile the worker runs others.
        assert_eq!(go(|| 1).join().unwrap(), 1);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn blocking_threads_are_used_again() {
    if !is_child() {
        return drop(Child::new("blocking_threads_are_used_again").passes());
    }
    gosched::run(|| {
        (0..10).for_each(|_| blocking(|| ()));
        let threads = proc_status("Threads:");
        (0..500).for_each(|_| blocking(|| ()));
        assert!(proc_status("Threads:") <= threads + 4);
    });
}

#[test]
fn blocking_async_is_made_even_if_dropped_and_drops_its_result() {
    everywhere(|| {
        assert_eq!(wait(blocking_async(|| 6 * 7)), 42);
        assert_eq!(panic_text(|| wait(blocking_async(|| resume_unwind(Box::new("late"))))), "late");
        let dropped = Arc::new(AtomicUsize::new(0));
        for millis in [0, 1] {
            let result = CountsDrops(dropped.clone());
            let call = blocking_async(move || {
                thread::sleep(Duration::from_millis(millis));
                result
            });
            time::sleep(Duration::from_millis(1 - millis));
            drop(call);
        }
        common::eventually("both results are dropped", || dropped.load(Ordering::SeqCst) == 2);
        let handle = go_async(async { blocking_async(|| current().id()).await });
        assert_eq!(handle.join().unwrap(), 0);
    });
    assert_eq!(common::block_on(blocking_async(|| 1)), 1);
}

#[test]
fn no_suspend_blocks_the_thread_and_nothing_else_runs_on_it() {
    bounded(|| {
        gosched::Runtime::builder().workers(1).build().unwrap().run(|| {
            let ran = Arc::new(AtomicBool::new(false));
            let seen = ran.clone();
            let other = go(move || seen.store(true, Ordering::SeqCst));
            no_suspend(|| {
                // A sleep, a yield and a receive that somebody outside answers.
                time::sleep(Duration::from_millis(2));
                gosched::yield_now();
                let (tx, rx) = chan::bounded(0);
                let outside = thread::spawn(move || tx.send(5));
                assert_eq!(rx.recv(), Ok(5));
                outside.join().unwrap().unwrap();
                no_suspend(|| time::sleep(Duration::from_millis(1)));
                assert_eq!(blocking(|| current().id()), current().id());
                assert!(!ran.load(Ordering::SeqCst));
            });
            // A panic leaves it, too.
            assert_eq!(panic_text(|| no_suspend(|| resume_unwind(Box::new("out")))), "out");
            other.join().unwrap();
            assert!(ran.load(Ordering::SeqCst));
        });
    });
}

#[test]
fn no_suspend_is_answered_by_goroutines_of_other_workers() {
    common::in_each(common::parallel_modes(), || {
        for i in 0..50 {
            let (tx, rx) = chan::bounded(0);
            // Movable, so that another worker can take it while this one blocks.
            let answer = go_async(async move { tx.send_async(i).await });
            assert_eq!(no_suspend(|| rx.recv()), Ok(i));
            answer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn no_suspend_on_a_plain_thread_just_calls() {
    bounded(|| assert_eq!(no_suspend(|| 3), 3));
}
