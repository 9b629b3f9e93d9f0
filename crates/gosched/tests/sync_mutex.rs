//! `sync::Mutex` (FEATURES Y01 to Y10, M07, M08).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::MS;
use common::wakers::Hand;
use gosched::sync::{LockAsync, LockFuture, Mutex};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// A lock future that waits already.
#[track_caller]
fn queued(mutex: &Mutex<u32>) -> Hand<LockFuture<'_, u32>> {
    Hand::queued(mutex.lock_async())
}

#[test]
fn Y01_new_is_const_and_default_is_unlocked() {
    static GLOBAL: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    GLOBAL.lock().push(1);
    assert_eq!(*GLOBAL.lock(), [1]);
    assert!(!Mutex::<u8>::default().is_locked());
    assert_eq!(format!("{:?}", Mutex::new(3)), "Mutex { data: 3 }");
}

#[test]
fn M07_a_storm_of_every_kind_of_lock_excludes() {
    let m = Arc::new(Mutex::new(0u64));
    let inside = Arc::new(AtomicBool::new(false));
    let per = 3_000;
    let threads: Vec<_> = (0..8)
        .map(|k| {
            let (m, inside) = (m.clone(), inside.clone());
            thread::spawn(move || {
                let mut done = 0;
                while done < per {
                    let guard = match (done + k) % 5 {
                        0 => m.try_lock(),
                        1 => m.try_lock_for(50 * MS),
                        2 => Some(gosched::wait(m.lock_async())),
                        _ => Some(m.lock()),
                    };
                    let Some(mut guard) = guard else {
                        thread::yield_now();
                        continue;
                    };
                    assert!(!inside.swap(true, Ordering::Relaxed), "two are inside");
                    *guard += 1;
                    inside.store(false, Ordering::Relaxed);
                    if done % 7 == 0 {
                        lock_api::MutexGuard::unlock_fair(guard);
                    }
                    done += 1;
                }
            })
        })
        .collect();
    for t in threads {
        t.join().unwrap();
    }
    assert_eq!(*m.lock(), 8 * per);
}

#[test]
fn M08_and_Y09_try_lock_never_blocks() {
    let m = Mutex::new(0);
    let guard = m.try_lock().unwrap();
    assert!(m.try_lock().is_none());
    drop(guard);
    assert!(m.try_lock().is_some());
}

#[test]
fn Y03_another_thread_may_unlock() {
    let m = Mutex::new(0);
    let mut guard = m.lock();
    *guard = 1;
    thread::scope(|s| {
        s.spawn(move || drop(guard));
    });
    assert_eq!(*m.lock(), 1);
}

#[test]
fn Y05_a_newcomer_may_barge_and_the_loser_queues_at_the_front() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (mut a, mut b) = (queued(&m), queued(&m));
    drop(guard);
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    let barged = m.try_lock().expect("a free mutex may be taken past a woken waiter");
    assert!(a.poll().is_pending());
    drop(barged);
    assert_eq!((a.wakes(), b.wakes()), (2, 0), "the loser is first again");
    drop(a.take());
    assert_eq!(b.wakes(), 1);
    drop(b.take());
    assert!(!m.is_locked());
}

#[test]
fn Y05_only_one_waiter_is_on_its_way_at_a_time() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (mut a, mut b) = (queued(&m), queued(&m));
    drop(guard);
    for _ in 0..100 {
        drop(m.lock());
    }
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    drop(a.take());
    drop(b.take());
}

#[test]
fn Y06_a_loser_of_more_than_a_millisecond_is_handed_the_lock() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (mut a, mut b) = (queued(&m), queued(&m));
    sleep(3 * MS);
    drop(guard);
    let barged = m.try_lock().unwrap();
    assert!(a.poll().is_pending(), "it lost, and starves");
    drop(barged);
    assert!(m.is_locked(), "handed over, not released");
    assert!(m.try_lock().is_none(), "Y09: nobody overtakes now");
    assert_eq!((a.wakes(), b.wakes()), (2, 0));
    let guard = a.take();
    drop(guard);
    assert!(m.is_locked(), "the next has starved as long: the mode goes on");
    let guard = b.take();
    drop(guard);
    assert!(!m.is_locked(), "Y07: the last waiter turns it off");
    assert!(m.try_lock().is_some());
}

#[test]
fn Y07_a_waiter_of_less_than_a_millisecond_turns_starvation_off() {
    // On a busy machine a pause may fall between two lines; then the waiter has rightly starved.
    let went_off = (0..50).any(|_| {
        let m = Mutex::new(0);
        let guard = m.lock();
        let mut a = queued(&m);
        sleep(3 * MS);
        drop(guard);
        let barged = m.try_lock().unwrap();
        assert!(a.poll().is_pending());
        let begin = Instant::now();
        let (mut b, mut c) = (queued(&m), queued(&m));
        drop(barged);
        drop(a.take());
        let guard = b.take();
        let in_time = begin.elapsed() < MS;
        drop(guard);
        let free = !m.is_locked();
        if in_time {
            assert!(free, "the mode should be off: the lock is released, not handed to the third");
        }
        drop(c.take());
        in_time
    });
    assert!(went_off);
}

#[test]
fn Y06_a_hog_lets_a_waiter_in() {
    let m = Arc::new(Mutex::new(0));
    let (waiting, inside) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let hog = {
        let (m, waiting, inside) = (m.clone(), waiting.clone(), inside.clone());
        thread::spawn(move || {
            let mut rounds = 0;
            while !inside.load(Ordering::Relaxed) && rounds < 20_000 {
                let guard = m.lock();
                let begin = Instant::now();
                while begin.elapsed() < MS / 10 {
                    std::hint::spin_loop();
                }
                rounds += usize::from(waiting.load(Ordering::Relaxed));
                drop(guard);
            }
            rounds
        })
    };
    sleep(2 * MS);
    waiting.store(true, Ordering::Relaxed);
    let guard = m.lock();
    inside.store(true, Ordering::Relaxed);
    drop(guard);
    let rounds = hog.join().unwrap();
    assert!(rounds < 5_000, "the hog went on for {rounds} rounds");
}

#[test]
fn Y10_a_panic_unlocks_and_does_not_poison() {
    let m = Arc::new(Mutex::new(0));
    let inner = m.clone();
    let result = thread::spawn(move || {
        let _guard = inner.lock();
        std::panic::resume_unwind(Box::new("on purpose"));
    })
    .join();
    assert!(result.is_err());
    assert_eq!(*m.lock(), 0);
}

#[test]
fn a_timed_lock_gives_up_in_time_and_leaves_the_queue() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let begin = Instant::now();
    assert!(m.try_lock_for(20 * MS).is_none());
    assert!(begin.elapsed() >= 20 * MS);
    assert!(m.try_lock_until(Instant::now()).is_none());
    drop(guard);
    assert!(!m.is_locked(), "nobody was left to hand it to");
    assert!(m.try_lock_for(Duration::ZERO).is_some());
    assert!(m.try_lock_for(Duration::MAX).is_some(), "for ever is not an overflow");
}

#[test]
fn a_timed_lock_gets_what_is_released_before_its_time() {
    let m = Arc::new(Mutex::new(0));
    let guard = m.lock();
    let waiter = thread::spawn({
        let m = m.clone();
        move || m.try_lock_for(Duration::from_secs(60)).map(|guard| *guard)
    });
    sleep(10 * MS);
    drop(guard);
    assert_eq!(waiter.join().unwrap(), Some(0));
}

#[test]
fn timed_locks_that_time_out_all_the_time_lose_no_lock() {
    let m = Arc::new(Mutex::new(0u64));
    let got = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|k| {
            let (m, got) = (m.clone(), got.clone());
            thread::spawn(move || {
                for i in 0..400 {
                    if let Some(mut guard) = m.try_lock_for(Duration::from_micros(20 * ((i + k) % 5))) {
                        *guard += 1;
                        got.fetch_add(1, Ordering::Relaxed);
                        if i % 8 == 0 {
                            sleep(Duration::from_micros(50));
                        }
                    }
                }
            })
        })
        .collect();
    for t in threads {
        t.join().unwrap();
    }
    let total = *m.try_lock().expect("free in the end");
    assert_eq!(total, got.load(Ordering::Relaxed) as u64);
}

#[test]
fn a_lock_future_may_be_dropped_before_its_first_poll() {
    let m = Mutex::new(0);
    drop(m.lock_async());
    assert!(!m.is_locked());
}

#[test]
fn a_lock_future_may_be_dropped_in_the_queue() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (a, b, mut c) = (queued(&m), queued(&m), queued(&m));
    drop(b);
    drop(a);
    drop(guard);
    assert_eq!(c.wakes(), 1);
    drop(c.take());
    assert!(!m.is_locked());
}

#[test]
fn a_woken_lock_future_that_is_dropped_wakes_the_next() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (a, mut b) = (queued(&m), queued(&m));
    drop(guard);
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    drop(a);
    assert_eq!(b.wakes(), 1);
    drop(b.take());
    // And with nobody behind it.
    let guard = m.lock();
    let a = queued(&m);
    drop(guard);
    drop(a);
    assert!(m.try_lock().is_some());
}

#[test]
fn a_woken_lock_future_dropped_while_a_newcomer_holds_leaves_the_next_to_it() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (a, mut b) = (queued(&m), queued(&m));
    drop(guard);
    let barged = m.try_lock().unwrap();
    drop(a);
    assert_eq!(b.wakes(), 0, "the holder's unlock will see to it");
    drop(barged);
    assert_eq!(b.wakes(), 1);
    drop(b.take());
}

#[test]
fn a_lock_future_that_was_handed_the_lock_and_is_dropped_releases_it() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (a, mut b) = (queued(&m), queued(&m));
    lock_api::MutexGuard::unlock_fair(guard);
    assert!(m.is_locked());
    drop(a);
    assert_eq!(b.wakes(), 1);
    drop(b.take());
    assert!(!m.is_locked());
}

#[test]
fn starvation_ends_when_all_who_starved_have_given_up() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let mut a = queued(&m);
    sleep(3 * MS);
    drop(guard);
    let barged = m.try_lock().unwrap();
    assert!(a.poll().is_pending());
    drop(a);
    drop(barged);
    assert!(!m.is_locked());
    drop(m.try_lock().unwrap());
    assert!(!m.is_locked());
}

#[test]
fn a_lock_future_tolerates_spurious_polls_and_a_change_of_waker() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let mut a = queued(&m);
    let old = std::mem::take(&mut a.wakes);
    for _ in 0..3 {
        assert!(a.poll().is_pending());
    }
    drop(guard);
    assert_eq!((old.0.load(Ordering::SeqCst), a.wakes()), (0, 1));
    drop(a.take());
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_lock_future_is_not_polled_after_its_end() {
    let m = Mutex::new(0);
    let mut a = Hand::new(m.lock_async());
    drop(a.take());
    drop(a.poll());
}

#[test]
fn a_fair_unlock_and_bump_let_the_first_waiter_in() {
    let m = Mutex::new(0);
    let guard = m.lock();
    let (mut a, b) = (queued(&m), queued(&m));
    lock_api::MutexGuard::unlock_fair(guard);
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    let guard = a.take();
    drop(b);
    drop(guard);
    let m = Arc::new(Mutex::new(0));
    let mut guard = m.lock();
    let other = thread::spawn({
        let m = m.clone();
        move || *m.lock() = 1
    });
    while *guard == 0 {
        lock_api::MutexGuard::bump(&mut guard);
    }
    drop(guard);
    other.join().unwrap();
}

#[test]
fn lock_futures_cancelled_at_random_lose_no_wake_up() {
    let m = Arc::new(Mutex::new(0u64));
    let total = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|k: usize| {
            let (m, total) = (m.clone(), total.clone());
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                for i in 0..3_000 {
                    if (i + k).is_multiple_of(3) {
                        *m.lock() += 1;
                        total.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let mut future = pin!(m.lock_async());
                    for _ in 0..i % 4 {
                        if let Poll::Ready(mut guard) = future.as_mut().poll(&mut cx) {
                            *guard += 1;
                            total.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for t in threads {
        t.join().unwrap();
    }
    assert_eq!(*m.try_lock().expect("free in the end"), total.load(Ordering::Relaxed) as u64);
}
