//! `sync::Semaphore` (FEATURES W01 to W07).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::wakers::{PANIC, Panics, Wakes};
use common::{Dice, MS, block_on, bounded, eventually, everywhere, panic_text, poll_once};
use gosched::sync::{Semaphore, SemaphoreFuture, SemaphoreGuard, WaitGroup};
use gosched::{go, go_async, yield_now};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// A request that waits already.
fn queued(s: &Semaphore, n: usize) -> Pin<Box<SemaphoreFuture<'_>>> {
    let mut wait = Box::pin(s.acquire_async(n));
    assert!(poll_once(wait.as_mut()).is_pending());
    wait
}

fn state(s: &Semaphore) -> String {
    format!("{s:?}")
}

fn state_of(size: usize, held: usize, waiting: usize) -> String {
    format!("Semaphore {{ size: {size}, held: {held}, waiting: {waiting} }}")
}

#[test]
fn W01_permits_are_taken_and_given_back_in_any_portions() {
    let s = Semaphore::new(10);
    s.acquire(3);
    s.acquire(7);
    assert_eq!(state(&s), state_of(10, 10, 0));
    s.acquire(0);
    s.release(4);
    assert!(s.try_acquire(4));
    s.release(0);
    s.release(10);
    assert_eq!(state(&s.clone()), state_of(10, 0, 0), "clones share the permits");
}

#[test]
fn W01_no_more_are_inside_than_there_are_permits() {
    everywhere(|| {
        let (s, wg, inside) = (Semaphore::new(3), WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        for i in 0..30 {
            let (s, inside) = (s.clone(), inside.clone());
            wg.go(move || {
                for _ in 0..10 {
                    let n = 1 + i % 3;
                    s.acquire(n);
                    assert!(inside.fetch_add(n, Ordering::SeqCst) + n <= 3);
                    yield_now();
                    inside.fetch_sub(n, Ordering::SeqCst);
                    s.release(n);
                }
            });
        }
        wg.wait();
        assert_eq!(state(&s), state_of(3, 0, 0));
    });
}

#[test]
fn W02_a_large_request_is_not_overtaken_by_small_ones() {
    let s = Semaphore::new(3);
    s.acquire(2);
    let mut large = queued(&s, 3);
    let mut small = queued(&s, 1);
    assert!(poll_once(small.as_mut()).is_pending(), "one is free, but it came later");
    s.release(2);
    assert!(poll_once(large.as_mut()).is_ready());
    assert!(poll_once(small.as_mut()).is_pending());
    s.release(3);
    assert!(poll_once(small.as_mut()).is_ready());
}

#[test]
fn W02_a_large_request_gets_through_a_crowd_of_small_ones() {
    everywhere(|| {
        let (s, wg) = (Semaphore::new(4), WaitGroup::new());
        let served = Arc::new(AtomicUsize::new(0));
        for _ in 0..8 {
            let (s, served) = (s.clone(), served.clone());
            wg.go(move || {
                while served.load(Ordering::SeqCst) == 0 {
                    s.acquire(1);
                    yield_now();
                    s.release(1);
                }
            });
        }
        s.acquire(4);
        served.store(1, Ordering::SeqCst);
        s.release(4);
        wg.wait();
    });
}

#[test]
fn W02_those_who_wait_are_served_in_their_order() {
    let s = Semaphore::new(1);
    s.acquire(1);
    let mut waits: Vec<_> = (0..50).map(|_| queued(&s, 1)).collect();
    for i in 0..waits.len() {
        s.release(1);
        for (k, wait) in waits.iter_mut().enumerate().skip(i) {
            assert_eq!(poll_once(wait.as_mut()).is_ready(), k == i, "after {i} the turn is not {k}'s");
        }
        // A finished future is not polled again.
        waits[i] = Box::pin(s.acquire_async(2));
    }
}

#[test]
fn W03_a_request_that_is_given_up_leaves_the_semaphore_unchanged() {
    let s = Semaphore::new(2);
    drop(s.acquire_async(1));
    assert_eq!(state(&s), state_of(2, 0, 0), "not polled, not asked");
    s.acquire(1);
    drop(queued(&s, 2));
    assert_eq!(state(&s), state_of(2, 1, 0));
    assert!(!s.acquire_timeout(2, 5 * MS));
    assert!(!s.acquire_deadline(2, Instant::now()));
    assert_eq!(state(&s), state_of(2, 1, 0));
    assert!(s.acquire_deadline(1, Instant::now()), "what is free is taken");
    s.release(2);
    assert!(s.acquire_timeout(2, Duration::MAX));
}

#[test]
fn W03_granted_and_cancelled_gives_the_permits_back() {
    let s = Semaphore::new(2);
    s.acquire(2);
    let granted = queued(&s, 2);
    let mut next = queued(&s, 1);
    s.release(2);
    assert_eq!(state(&s), state_of(2, 2, 1), "counted for it, though it has not been polled");
    drop(granted);
    assert!(poll_once(next.as_mut()).is_ready(), "its permits go to the next");
    assert_eq!(state(&s), state_of(2, 1, 0));
    // The same with a guard's future, and a guard that came and was never looked at.
    let mut guard = Box::pin(s.acquire_guard_async(2));
    assert!(poll_once(guard.as_mut()).is_pending());
    s.release(1);
    drop(guard);
    assert_eq!(state(&s), state_of(2, 0, 0));
}

#[test]
fn W03_a_wait_with_a_time_limit_works_from_everywhere() {
    everywhere(|| {
        let s = Semaphore::new(1);
        s.acquire(1);
        let began = Instant::now();
        assert!(!s.acquire_timeout(1, 10 * MS));
        assert!(began.elapsed() >= 10 * MS);
        let other = s.clone();
        let waiter = go(move || other.acquire_timeout(1, common::PATIENCE));
        eventually("it waits", || state(&s) == state_of(1, 1, 1));
        s.release(1);
        assert!(waiter.join().unwrap());
        assert_eq!(state(&s), state_of(1, 1, 0));
    });
}

#[test]
fn W04_a_request_larger_than_the_semaphore_blocks_nobody() {
    let s = Semaphore::new(2);
    let mut impossible = queued(&s, 3);
    assert_eq!(state(&s), state_of(2, 0, 0), "it is not queued");
    s.acquire(2);
    s.release(2);
    assert!(s.try_acquire(1));
    s.release(1);
    assert!(poll_once(impossible.as_mut()).is_pending());
    drop(impossible);
    assert!(!s.try_acquire(3));
    assert!(!s.acquire_timeout(usize::MAX, 5 * MS));
    let none = Semaphore::new(0);
    none.acquire(0);
    assert!(!none.try_acquire(1));
}

#[test]
fn W05_try_acquire_fails_when_too_few_are_free_or_anybody_waits() {
    let s = Semaphore::new(3);
    assert!(s.try_acquire(2));
    assert!(!s.try_acquire(2));
    let wait = queued(&s, 2);
    assert!(!s.try_acquire(1), "one is free, but somebody waits");
    assert!(s.try_acquire_guard(1).is_none());
    drop(wait);
    let guard = s.try_acquire_guard(1).unwrap();
    assert_eq!((guard.permits(), s.try_acquire(1)), (1, false));
}

#[test]
fn W06_releasing_more_than_is_held_panics_and_changes_nothing() {
    let s = Semaphore::new(2);
    assert_eq!(panic_text(|| s.release(1)), "semaphore: released more than held");
    s.acquire(1);
    assert_eq!(panic_text(|| s.release(2)), "semaphore: released more than held");
    assert_eq!(panic_text(|| s.release(usize::MAX)), "semaphore: released more than held");
    assert_eq!(state(&s), state_of(2, 1, 0));
}

#[test]
fn W06_a_release_wakes_as_many_heads_as_fit() {
    let s = Semaphore::new(100);
    s.acquire(100);
    // More than one batch of wake-ups.
    let mut ones: Vec<_> = (0..90).map(|_| queued(&s, 1)).collect();
    let (mut eleven, mut last) = (queued(&s, 11), queued(&s, 1));
    s.release(100);
    assert!(ones.iter_mut().all(|one| poll_once(one.as_mut()).is_ready()));
    assert!(poll_once(eleven.as_mut()).is_pending(), "ten are left");
    assert!(poll_once(last.as_mut()).is_pending());
    s.release(1);
    assert!(poll_once(eleven.as_mut()).is_ready());
    assert!(poll_once(last.as_mut()).is_pending());
}

#[test]
fn W06_a_waker_that_panics_costs_the_others_nothing() {
    let s = Semaphore::new(90);
    s.acquire(90);
    let mut bomb = Box::pin(s.acquire_async(1));
    assert!(bomb.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics)))).is_pending());
    // In the same batch of wake-ups, and in later ones.
    let wakes: Vec<Arc<Wakes>> = (0..89).map(|_| Arc::default()).collect();
    let mut others: Vec<_> = wakes
        .iter()
        .map(|wakes| {
            let mut other = Box::pin(s.acquire_async(1));
            let waker = Waker::from(wakes.clone());
            assert!(other.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            other
        })
        .collect();
    assert_eq!(panic_text(|| s.release(90)), PANIC);
    assert!(wakes.iter().all(|wakes| wakes.0.load(Ordering::SeqCst) == 1), "each was woken");
    assert!(others.iter_mut().all(|other| poll_once(other.as_mut()).is_ready()));
    assert!(poll_once(bomb.as_mut()).is_ready());
}

#[test]
fn W07_when_the_head_is_cancelled_those_behind_it_that_fit_get_in() {
    let s = Semaphore::new(4);
    s.acquire(2);
    let head = queued(&s, 4);
    let (mut one, mut also, mut three) = (queued(&s, 1), queued(&s, 1), queued(&s, 3));
    drop(head);
    assert!(poll_once(one.as_mut()).is_ready());
    assert!(poll_once(also.as_mut()).is_ready());
    assert!(poll_once(three.as_mut()).is_pending());
    assert_eq!(state(&s), state_of(4, 4, 1));
}

#[test]
fn W07_when_the_heads_time_is_over_those_behind_it_get_in() {
    everywhere(|| {
        let s = Semaphore::new(2);
        s.acquire(1);
        let (head, behind) = (s.clone(), s.clone());
        let head = go(move || head.acquire_timeout(2, 30 * MS));
        eventually("the head waits or has given up", || state(&s) == state_of(2, 1, 1) || head.is_finished());
        let behind = go(move || behind.acquire(1));
        behind.join().unwrap();
        assert!(!head.join().unwrap());
        assert_eq!(state(&s), state_of(2, 2, 0));
    });
}

#[test]
fn guards_give_back_what_they_stand_for() {
    everywhere(|| {
        let s = Semaphore::new(5);
        let guard: SemaphoreGuard = s.acquire_guard(3);
        let second = block_on(s.acquire_guard_async(2));
        assert!(!s.try_acquire(1));
        go(move || drop(guard)).join().unwrap();
        assert_eq!(state(&s), state_of(5, 2, 0));
        second.forget();
        assert_eq!(state(&s), state_of(5, 2, 0));
        let other = s.clone();
        let panicked = go(move || {
            let _guard = other.acquire_guard(3);
            std::panic::resume_unwind(Box::new("inside"));
        });
        assert!(panicked.join().is_err());
        assert_eq!(state(&s), state_of(5, 2, 0));
    });
}

#[test]
fn a_finished_future_says_so_when_it_is_polled_again() {
    let s = Semaphore::new(2);
    let mut wait = Box::pin(s.acquire_async(1));
    assert!(poll_once(wait.as_mut()).is_ready());
    assert!(panic_text(|| poll_once(wait.as_mut())).contains("polled after it was ready"));
    assert_eq!(state(&s), state_of(2, 1, 0));
}

#[test]
fn W03_a_storm_of_cancellations_loses_no_permit() {
    everywhere(|| {
        const SIZE: usize = 7;
        let (s, inside, wg) = (Semaphore::new(SIZE), Arc::new(AtomicUsize::new(0)), WaitGroup::new());
        let enter = |inside: &AtomicUsize, n: usize| {
            assert!(inside.fetch_add(n, Ordering::SeqCst) + n <= SIZE, "more inside than permits");
            yield_now();
            inside.fetch_sub(n, Ordering::SeqCst);
        };
        // Those who give up, at whatever moment.
        for seed in 1..=4u64 {
            let s = s.clone();
            wg.go(move || {
                let mut dice = Dice::new(seed);
                let mut waits = Vec::new();
                for _ in 0..500 {
                    let n = dice.below(SIZE + 2);
                    let mut wait = Box::pin(s.acquire_async(n));
                    match poll_once(wait.as_mut()) {
                        Poll::Ready(()) => s.release(n),
                        Poll::Pending => waits.push((n, wait)),
                    }
                    if dice.below(3) == 0 {
                        yield_now();
                    }
                    if waits.len() > 5 {
                        let (n, mut wait): (usize, Pin<Box<SemaphoreFuture<'_>>>) =
                            waits.swap_remove(dice.below(6));
                        // Looked at once more or not, granted or not.
                        if dice.below(2) == 0 && poll_once(wait.as_mut()).is_ready() {
                            s.release(n);
                        }
                    }
                    // Who sat on permits without looking would keep the others waiting: so goes the crowd.
                    if dice.below(8) == 0 {
                        waits.clear();
                    }
                }
            });
        }
        // Those who get there: goroutines, futures, threads.
        for seed in 1..=3 {
            let (a, b, inside_a, inside_b) = (s.clone(), s.clone(), inside.clone(), inside.clone());
            wg.go(move || {
                for round in 0..100 {
                    let n = 1 + (seed + round) % SIZE;
                    a.acquire(n);
                    enter(&inside_a, n);
                    a.release(n);
                }
            });
            let (wg, done) = (wg.clone(), wg.clone());
            wg.add(1);
            go_async(async move {
                for round in 0..100 {
                    let guard = b.acquire_guard_async(1 + (seed * round) % SIZE).await;
                    enter(&inside_b, guard.permits());
                }
                done.done();
            });
        }
        let (other, inside_c) = (s.clone(), inside.clone());
        let thread = thread::spawn(move || {
            let mut got = 0;
            for round in 0..100 {
                let n = 1 + round % SIZE;
                if other.acquire_timeout(n, Duration::from_micros(50 * round as u64)) {
                    got += 1;
                    enter(&inside_c, n);
                    other.release(n);
                }
            }
            got
        });
        wg.wait();
        thread.join().unwrap();
        assert_eq!(state(&s), state_of(SIZE, 0, 0));
        assert!(s.try_acquire(SIZE));
    });
}

#[test]
fn threads_outside_of_any_runtime_use_it_too() {
    bounded(|| {
        let (s, inside) = (Semaphore::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _guard = s.acquire_guard(1);
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(state(&s), state_of(2, 0, 0));
    });
}
