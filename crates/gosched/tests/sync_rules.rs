//! Rules that all locks share (FEATURES Y02, Y04, Y08, Y34): what generic code needs, what a guard is good for, what
//! waiting costs, and in which order queues are served.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{Child, Dice, bounded, cpu_time, is_child};
use gosched::sync::{Condvar, LockAsync, Mutex, MutexGuard, RwLock, Semaphore, WaitGroup};
use gosched::{Runtime, go};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

#[test]
fn Y02_generic_code_takes_any_lock() {
    // Go's `Locker` is lock_api's trait here: what is written for it runs with either lock.
    fn count<R: lock_api::RawMutex + Send + Sync>(total: &lock_api::Mutex<R, u32>) {
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..500).for_each(|_| *total.lock() += 1));
            }
        });
    }
    fn count_rw<R: lock_api::RawRwLock + Send + Sync>(total: &lock_api::RwLock<R, u32>) {
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..500).for_each(|_| *total.write() += 1));
            }
        });
        assert_eq!(*total.read(), 2000);
    }
    let total = Mutex::new(0);
    count(&total);
    assert_eq!(total.into_inner(), 2000);
    count_rw(&RwLock::new(0));
}

#[test]
fn Y04_a_guard_unlocks_once_on_whatever_way_it_goes() {
    // There is no call that unlocks without a guard (`Mutex` has a test that it does not compile), and a guard is used
    // up by unlocking. What is left to check: each way on which a guard goes unlocks, and forgetting it does not.
    let m = Mutex::new((1, 2));
    let free = || m.try_lock().is_some();
    drop(m.lock());
    assert!(free());
    drop(MutexGuard::map(m.lock(), |pair| &mut pair.1));
    assert!(free());
    lock_api::MutexGuard::unlock_fair(m.lock());
    assert!(free());
    assert!(MutexGuard::try_map(m.lock(), |_| None::<&mut u8>).is_err(), "the guard comes back");
    assert!(free());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = m.lock();
        resume_unwind(Box::new("on purpose"));
    }));
    assert!(unwound.is_err() && free());
    let mut guard = m.lock();
    assert!(lock_api::MutexGuard::unlocked(&mut guard, free));
    drop(guard);
    drop(Box::pin(m.lock_async()));
    assert!(free());
    std::mem::forget(m.lock());
    assert!(!free());
}

#[test]
fn Y08_waiting_for_a_lock_that_is_held_long_costs_no_processor_time() {
    if !is_child() {
        // On its own, since processor time is counted per process.
        Child::new("Y08_waiting_for_a_lock_that_is_held_long_costs_no_processor_time").passes();
        return;
    }
    let m = Arc::new(Mutex::new(0));
    let held = m.lock();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let handle = runtime.handle();
    let goroutines: Vec<_> = (0..8)
        .map(|_| {
            let m = m.clone();
            handle.go(move || *m.lock() += 1)
        })
        .collect();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let m = m.clone();
            thread::spawn(move || *m.lock() += 1)
        })
        .collect();
    // By then all have spun as much as they ever will, or some come too late to be counted, which favours them.
    thread::sleep(100 * MS);
    let before = cpu_time();
    thread::sleep(1000 * MS);
    let spent = cpu_time() - before;
    assert!(spent < 200 * MS, "ten that wait have used {spent:?} of a second");
    drop(held);
    goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*m.lock(), 10);
}

/// Futures that wait, and what they are polled with.
type Queue<F> = Vec<Option<Pin<Box<F>>>>;

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Queues a hundred thousand, lets all but a few leave in random order, and returns those that stay, in their order.
fn leave_at_random<F: Future>(make: impl FnMut() -> F) -> Vec<Pin<Box<F>>> {
    const MANY: usize = 100_000;
    let queued = |future| {
        let mut future = Box::pin(future);
        assert!(poll(&mut future).is_pending());
        Some(future)
    };
    let mut queue: Queue<F> = std::iter::repeat_with(make).take(MANY).map(queued).collect();
    let mut order: Vec<usize> = (0..MANY).filter(|n| n % 10_000 != 5_000).collect();
    let mut dice = Dice::new(34);
    (1..order.len()).for_each(|n| order.swap(n, dice.below(n + 1)));
    let begin = Instant::now();
    order.into_iter().for_each(|n| queue[n] = None);
    let took = begin.elapsed();
    // Some 50 ms without optimisation; with a walk through the queue for each it would be minutes.
    assert!(took < Duration::from_secs(10), "leaving takes longer the more there are: {took:?}");
    let left: Vec<_> = queue.into_iter().flatten().collect();
    assert_eq!(left.len(), 10);
    left
}

/// How many are ready, one after the other.
fn ready<F: Future>(line: &mut [Pin<Box<F>>], from: usize) -> usize {
    line[from..].iter_mut().map_while(|future| poll(future).is_ready().then_some(())).count()
}

#[test]
fn Y34_who_waits_is_served_in_order_and_leaves_in_constant_time() {
    bounded(|| {
        let m = Mutex::new(0);
        let guard = m.lock();
        let mut line = leave_at_random(|| m.lock_async());
        drop(guard);
        for at in 0..line.len() {
            let Poll::Ready(guard) = poll(&mut line[at]) else { panic!("not the turn of {at}") };
            assert!(line[at + 1..].iter_mut().all(|later| poll(later).is_pending()));
            drop(guard);
        }

        let s = Semaphore::new(1);
        assert!(s.try_acquire(1));
        let mut line = leave_at_random(|| s.acquire_async(1));
        for at in 0..line.len() {
            s.release(1);
            assert_eq!(ready(&mut line, at), 1);
        }

        let (m, changed) = (Mutex::new(0), Condvar::new());
        let mut line = leave_at_random(|| changed.wait_async(m.lock()));
        for at in 0..line.len() {
            assert!(changed.notify_one());
            assert_eq!(ready(&mut line, at), 1);
        }
        assert!(!changed.notify_one());

        let wg = WaitGroup::new();
        wg.add(1);
        let mut line = leave_at_random(|| wg.wait_async());
        wg.done();
        assert_eq!(ready(&mut line, 0), 10, "all at once");
        assert_eq!(format!("{wg:?}"), "WaitGroup { count: 0, waiting: 0 }");
    });
}

#[test]
fn Y34_goroutines_that_wait_for_a_semaphore_get_it_in_their_order() {
    common::one_worker(|| {
        let s = Semaphore::new(1);
        s.acquire(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..20)
            .map(|n| {
                let (s, order) = (s.clone(), order.clone());
                let waits = go(move || {
                    let _permit = s.acquire_guard(1);
                    order.lock().push(n);
                });
                // It queues before the next one comes.
                (0..5).for_each(|_| gosched::yield_now());
                waits
            })
            .collect();
        s.release(1);
        waiting.into_iter().for_each(|goroutine| goroutine.join().unwrap());
        assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
    });
}
