//! `sync::Condvar` (FEATURES Y23 to Y26, M11).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::MS;
use common::wakers::Hand;
use gosched::sync::{Condvar, Mutex, WaitAsync};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// A wait that waits already, having given the mutex back.
#[track_caller]
fn queued<'a>(c: &'a Condvar, m: &'a Mutex<u32>) -> Hand<WaitAsync<'a, 'a, u32>> {
    Hand::queued(c.wait_async(m.lock()))
}

/// Until `n` threads wait (the mutex is free meanwhile).
fn until_waiting(c: &Condvar, n: usize) {
    while format!("{c:?}") != format!("Condvar {{ waiting: {n} }}") {
        sleep(MS);
    }
}

#[test]
fn Y01_new_is_const() {
    static C: Condvar = Condvar::new();
    assert!(!C.notify_one());
    assert_eq!(Condvar::default().notify_all(), 0);
}

#[test]
fn Y23_wait_gives_the_mutex_back_and_takes_it_again() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    thread::scope(|s| {
        s.spawn(|| {
            let mut guard = m.lock();
            c.wait(&mut guard);
            assert!(m.is_locked());
            assert_eq!(*guard, 1, "M11: what was done before the signal is seen");
            *guard = 2;
        });
        until_waiting(&c, 1);
        let mut guard = m.lock();
        *guard = 1;
        assert!(c.notify_one());
        sleep(5 * MS);
        assert_eq!(*guard, 1, "the woken waiter needs the mutex first");
        drop(guard);
    });
    assert_eq!(*m.lock(), 2);
}

#[test]
fn Y23_no_spurious_wake_ups() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    thread::scope(|s| {
        let waiter = s.spawn(|| {
            let mut guard = m.lock();
            c.wait(&mut guard);
            *guard
        });
        until_waiting(&c, 1);
        // A wait re-polls whenever its waker is called, by whomever.
        for _ in 0..20 {
            waiter.thread().unpark();
            thread::yield_now();
        }
        sleep(5 * MS);
        *m.lock() = 1;
        c.notify_one();
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

#[test]
fn Y24_signals_go_in_the_order_of_the_waits() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let mut hands: Vec<_> = (0..4).map(|_| queued(&c, &m)).collect();
    for i in 0..4 {
        assert!(c.notify_one());
        let woken: Vec<_> = hands.iter().map(Hand::wakes).collect();
        assert_eq!(woken, (0..4).map(|k| usize::from(k <= i)).collect::<Vec<_>>());
    }
    assert!(!c.notify_one());
    for hand in &mut hands {
        assert!(hand.poll().is_ready());
    }
}

#[test]
fn Y24_a_later_waiter_cannot_steal_a_signal() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let mut early = queued(&c, &m);
    assert!(c.notify_one());
    let mut late = queued(&c, &m);
    assert!(late.poll().is_pending());
    assert!(early.poll().is_ready());
    assert!(late.poll().is_pending());
    assert_eq!(late.wakes(), 0);
}

#[test]
fn Y24_signals_are_not_stolen_on_threads() {
    for _ in 0..300 {
        let (m, c) = (Mutex::new(()), Condvar::new());
        let (told, stolen) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            let first = s.spawn(|| {
                c.wait(&mut m.lock());
                told.store(1, Ordering::SeqCst);
            });
            until_waiting(&c, 1);
            // The second comes after the signal was given; it ends by its deadline, or has stolen.
            let guard = m.lock();
            c.notify_one();
            let second = s.spawn(|| {
                let result = c.wait_for(&mut m.lock(), MS);
                stolen.store(usize::from(!result.timed_out()), Ordering::SeqCst);
            });
            drop(guard);
            first.join().unwrap();
            second.join().unwrap();
        });
        assert_eq!((told.into_inner(), stolen.into_inner()), (1, 0));
    }
}

#[test]
fn Y25_a_broadcast_wakes_all_who_wait_each_once() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let mut hands: Vec<_> = (0..100).map(|_| queued(&c, &m)).collect();
    assert_eq!(c.notify_all(), 100);
    let mut late = queued(&c, &m);
    assert_eq!(c.notify_all(), 1);
    assert_eq!(c.notify_all(), 0);
    for hand in &mut hands {
        assert_eq!(hand.wakes(), 1);
        assert!(hand.poll().is_ready());
    }
    assert!(late.poll().is_ready());
}

#[test]
fn Y25_a_broadcast_wakes_threads() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    thread::scope(|s| {
        for _ in 0..16 {
            s.spawn(|| {
                let mut guard = m.lock();
                c.wait(&mut guard);
                *guard += 1;
            });
        }
        until_waiting(&c, 16);
        assert_eq!(c.notify_all(), 16);
    });
    assert_eq!(*m.lock(), 16);
}

#[test]
fn Y26_notify_with_or_without_the_mutex() {
    let (m, c) = (Mutex::new(false), Condvar::new());
    for held in [false, true] {
        *m.lock() = false;
        thread::scope(|s| {
            s.spawn(|| {
                let mut guard = m.lock();
                c.wait_while(&mut guard, |done| !*done);
            });
            let mut guard = m.lock();
            *guard = true;
            match held {
                true => {
                    c.notify_one();
                    drop(guard);
                }
                false => {
                    drop(guard);
                    c.notify_one();
                }
            }
        });
    }
}

#[test]
fn a_timed_wait_ends_in_time_with_the_mutex_held() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let mut guard = m.lock();
    let begin = Instant::now();
    assert!(c.wait_for(&mut guard, 20 * MS).timed_out());
    assert!(begin.elapsed() >= 20 * MS);
    assert!(m.is_locked());
    assert!(c.wait_until(&mut guard, Instant::now()).timed_out());
    assert!(c.wait_while_for(&mut guard, |_| true, 5 * MS).timed_out());
    assert!(!c.wait_while_for(&mut guard, |_| false, Duration::MAX).timed_out());
    drop(guard);
    assert!(!c.notify_one(), "who timed out waits no more");
    assert!(!m.is_locked());
}

#[test]
fn a_timed_wait_that_is_told_has_not_timed_out() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    thread::scope(|s| {
        let waiter = s.spawn(|| c.wait_for(&mut m.lock(), Duration::from_secs(60)).timed_out());
        until_waiting(&c, 1);
        c.notify_one();
        assert!(!waiter.join().unwrap());
    });
}

#[test]
fn a_signal_at_the_deadline_is_used_or_not_taken() {
    // Every signal that `notify_one` says it gave must come out of exactly one wait as "not timed out".
    let (m, c) = (Mutex::new(()), Condvar::new());
    let (given, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let running = AtomicUsize::new(3);
    thread::scope(|s| {
        for k in 0..3u64 {
            let (m, c, used, running) = (&m, &c, &used, &running);
            s.spawn(move || {
                for i in 0..400 {
                    let timeout = Duration::from_micros((i * 7 + k * 13) % 120);
                    if !c.wait_for(&mut m.lock(), timeout).timed_out() {
                        used.fetch_add(1, Ordering::Relaxed);
                    }
                }
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            given.fetch_add(usize::from(c.notify_one()), Ordering::Relaxed);
            thread::yield_now();
        }
    });
    assert_eq!(given.into_inner(), used.into_inner());
}

#[test]
fn wait_async_dropped_before_its_first_poll_unlocks() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let future = c.wait_async(m.lock());
    assert!(m.is_locked());
    drop(future);
    assert!(!m.is_locked());
    assert!(!c.notify_one());
}

#[test]
fn wait_async_dropped_while_waiting_leaves_the_queue() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let (a, mut b) = (queued(&c, &m), queued(&c, &m));
    assert!(!m.is_locked());
    drop(a);
    assert!(c.notify_one());
    assert!(b.poll().is_ready());
}

#[test]
fn wait_async_dropped_after_its_signal_passes_it_on() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let (a, mut b) = (queued(&c, &m), queued(&c, &m));
    c.notify_one();
    drop(a);
    assert_eq!(b.wakes(), 1);
    assert!(b.poll().is_ready());
}

#[test]
fn wait_async_dropped_on_its_way_to_the_mutex_passes_its_signal_on() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let (mut a, mut b) = (queued(&c, &m), queued(&c, &m));
    let guard = m.lock();
    c.notify_one();
    assert!(a.poll().is_pending(), "told, and waits for the mutex");
    drop(a);
    assert_eq!(b.wakes(), 1);
    drop(guard);
    assert!(b.poll().is_ready());
    assert!(!m.is_locked());
}

#[test]
fn wait_async_dropped_after_a_broadcast_passes_nothing_on() {
    let (m, c) = (Mutex::new(0), Condvar::new());
    let a = queued(&c, &m);
    c.notify_all();
    let mut b = queued(&c, &m);
    drop(a);
    assert_eq!(b.wakes(), 0);
    assert!(b.poll().is_pending());
}

#[test]
fn a_queue_of_two_conditions_works_under_load() {
    // A bounded buffer with two conditions: any lost or stolen signal stops it.
    let buffer = Mutex::new(Vec::new());
    let (not_full, not_empty) = (Condvar::new(), Condvar::new());
    let sum = AtomicUsize::new(0);
    thread::scope(|s| {
        for k in 0..3 {
            let (buffer, not_full, not_empty) = (&buffer, &not_full, &not_empty);
            s.spawn(move || {
                for i in 0..2_000 {
                    let mut guard = buffer.lock();
                    not_full.wait_while(&mut guard, |b| b.len() >= 2);
                    guard.push(k * 2_000 + i);
                    drop(guard);
                    not_empty.notify_one();
                }
            });
            s.spawn({
                let sum = &sum;
                move || {
                    for _ in 0..2_000 {
                        let mut guard = buffer.lock();
                        not_empty.wait_while(&mut guard, |b| b.is_empty());
                        sum.fetch_add(guard.pop().unwrap(), Ordering::Relaxed);
                        not_full.notify_one();
                    }
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), (0..6_000).sum());
}
