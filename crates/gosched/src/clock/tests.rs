//! Tests of the timer store: against a model, and with several threads.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as O};
use std::task::Wake;
use std::thread;

/// A waker that counts its wakes and its drops.
#[derive(Debug, Default)]
struct Counter {
    wakes: AtomicUsize,
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, O::Relaxed);
    }
}

fn counter() -> (Arc<Counter>, Waker) {
    let counter = Arc::new(Counter::default());
    (Arc::clone(&counter), Waker::from(counter))
}

/// xorshift64: the model test needs no more.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn after(millis: u64) -> Instant {
    epoch() + Duration::from_millis(millis)
}

fn expire_all(timers: &Timers, now: Instant) -> Vec<Waker> {
    let mut out = Vec::new();
    while timers.expire(now, &mut out) {}
    out
}

#[test]
fn an_empty_store_has_nothing_due() {
    let timers = Timers::new();
    assert_eq!(timers.next(), None);
    assert_eq!(timers.len(), 0);
    assert!(expire_all(&timers, after(u32::MAX.into())).is_empty());
}

#[test]
fn insert_tells_who_is_the_earliest() {
    let timers = Timers::new();
    let (_, first) = timers.insert(epoch(), after(20), counter().1);
    assert!(first);
    let (_, first) = timers.insert(epoch(), after(30), counter().1);
    assert!(!first);
    let (_, first) = timers.insert(epoch(), after(20), counter().1);
    assert!(!first, "a tie wakes nobody: the sleeper comes in time");
    let (key, first) = timers.insert(epoch(), after(10), counter().1);
    assert!(first);
    assert_eq!(timers.next(), Some(after(10)));
    drop(timers.cancel(key).unwrap());
    assert_eq!(timers.next(), Some(after(20)));
    assert_eq!(timers.len(), 3);
}

#[test]
fn a_zero_duration_and_the_past_are_due_at_once() {
    let timers = Timers::new();
    let now = Instant::now().max(epoch());
    timers.insert(epoch(), now, counter().1);
    timers.insert(epoch(), epoch().checked_sub(Duration::from_secs(1)).unwrap(), counter().1);
    assert_eq!(timers.next(), Some(epoch()), "before the epoch counts as the epoch");
    assert_eq!(expire_all(&timers, now).len(), 2);
    assert_eq!(timers.next(), None);
}

#[test]
fn the_far_future_never_comes_and_overflows_nothing() {
    let timers = Timers::new();
    let far = Instant::now() + Duration::from_secs(10_000 * 365 * 86_400);
    let (key, first) = timers.insert(epoch(), far, counter().1);
    assert!(first, "earlier than none at all");
    assert!(timers.next().unwrap() > Instant::now() + Duration::from_secs(500 * 365 * 86_400));
    assert!(expire_all(&timers, after(1_000_000)).is_empty());
    assert_eq!(timers.update(key, after(5), &counter().1), Some(true));
    assert_eq!(expire_all(&timers, after(5)).len(), 1);
}

#[test]
fn deadlines_keep_their_nanoseconds() {
    let timers = Timers::new();
    let at = epoch() + Duration::new(3, 123_456_789);
    timers.insert(epoch(), at, counter().1);
    assert_eq!(timers.next(), Some(at));
    assert!(expire_all(&timers, at - Duration::from_nanos(1)).is_empty());
    assert_eq!(expire_all(&timers, at).len(), 1);
}

#[test]
fn stale_keys_do_nothing() {
    let timers = Timers::new();
    let (key, _) = timers.insert(epoch(), after(1), counter().1);
    assert!(timers.cancel(key).is_some());
    assert!(timers.cancel(key).is_none());
    // The slot is taken again: the old key must not reach the new timer.
    let (next, _) = timers.insert(epoch(), after(1), counter().1);
    assert_ne!(key, next);
    assert!(timers.cancel(key).is_none());
    assert_eq!(timers.update(key, after(0), &counter().1), None);
    assert_eq!(expire_all(&timers, after(1)).len(), 1);
    assert!(timers.cancel(next).is_none());
}

#[test]
fn update_changes_deadline_and_waker_and_clones_only_when_it_must() {
    let timers = Timers::new();
    let ((a, waker_a), (b, waker_b)) = (counter(), counter());
    let (key, _) = timers.insert(epoch(), after(10), waker_a.clone());
    assert_eq!(Arc::strong_count(&a), 3);
    assert_eq!(timers.update(key, after(20), &waker_a), Some(false));
    assert_eq!(Arc::strong_count(&a), 3, "the same waker is not cloned");
    assert_eq!(timers.next(), Some(after(20)));
    assert_eq!(timers.update(key, after(5), &waker_b), Some(true));
    assert_eq!((Arc::strong_count(&a), Arc::strong_count(&b)), (2, 3), "the old one is dropped");
    expire_all(&timers, after(5)).into_iter().for_each(Waker::wake);
    assert_eq!((a.wakes.load(O::Relaxed), b.wakes.load(O::Relaxed)), (0, 1));
    assert_eq!(Arc::strong_count(&b), 2, "no waker stays behind");
}

#[test]
fn expire_works_in_bounded_batches_in_the_order_of_deadlines() {
    let timers = Timers::new();
    let wakers: Vec<_> = (0..100).map(|_| counter().1).collect();
    for index in (0..100).rev() {
        timers.insert(epoch(), after(index), wakers[index as usize].clone());
    }
    let mut out = Vec::new();
    let (mut calls, mut before) = (1, 0);
    while timers.expire(after(99), &mut out) {
        assert!(out.len() - before <= BATCH);
        (calls, before) = (calls + 1, out.len());
    }
    assert!(calls >= 4, "in no more than {calls} batches");
    assert_eq!(out.len(), 100);
    assert!(out.iter().zip(&wakers).all(|(out, expected)| out.will_wake(expected)));
}

#[test]
fn random_operations_agree_with_a_sorted_list() {
    for seed in 1..=20u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let timers = Timers::new();
        let mut model: Vec<(u64, TimerKey, Waker)> = Vec::new();
        let mut now = 0;
        for _ in 0..3000 {
            let before = timers.next_nanos();
            match random.below(10) {
                0..=4 => {
                    let at = now + random.below(400);
                    let waker = counter().1;
                    let (key, first) = timers.insert(after(now), after(at), waker.clone());
                    assert_eq!(first, to_nanos(after(at)) < before);
                    model.push((at, key, waker));
                }
                5..=6 if !model.is_empty() => {
                    let index = random.below(model.len() as u64) as usize;
                    let (_, key, waker) = model.swap_remove(index);
                    assert!(timers.cancel(key).unwrap().will_wake(&waker));
                    assert!(timers.cancel(key).is_none());
                }
                7..=8 if !model.is_empty() => {
                    let index = random.below(model.len() as u64) as usize;
                    let (at, key, waker) = &mut model[index];
                    *at = now + random.below(400);
                    if random.below(2) == 0 {
                        *waker = counter().1;
                    }
                    let earlier = to_nanos(after(*at)) < before;
                    assert_eq!(timers.update(*key, after(*at), waker), Some(earlier));
                }
                _ => {
                    now += random.below(20);
                    model.sort_by_key(|(at, ..)| *at);
                    let due = model.partition_point(|(at, ..)| *at <= now);
                    let woken = expire_all(&timers, after(now));
                    assert_eq!(woken.len(), due);
                    let mut expected: Vec<_> = model.drain(..due).collect();
                    for waker in woken {
                        // Equal deadlines may come in any order.
                        let at = expected[0].0;
                        let found =
                            expected.iter().position(|(_, _, other)| other.will_wake(&waker)).unwrap();
                        assert_eq!(expected.remove(found).0, at);
                    }
                }
            }
            timers.store.lock().check();
            assert_eq!(timers.len(), model.len());
            let earliest = model.iter().map(|(at, ..)| *at).min().map(after);
            assert_eq!(timers.earliest(), earliest);
            // Never too late, and too early by less than the ring's unit.
            let early =
                earliest.zip(timers.next()).map(|(earliest, next)| earliest.checked_duration_since(next));
            assert!(early.is_none_or(|by| by.is_some_and(|by| by < Duration::from_nanos(1 << 19))));
            assert_eq!(timers.next().is_none(), model.is_empty());
        }
    }
}

#[test]
fn what_is_taken_out_of_a_crowd_leaves_the_others_in_order() {
    // Ten deadlines in each of the ring's units, in no order.
    let timers = Timers::new();
    let micros = |n: u64| epoch() + Duration::from_micros(n);
    let all: Vec<_> = (0..1000).map(|i| (i * 7919) % 1000 * 52).collect();
    let keys: Vec<_> = all.iter().map(|at| timers.insert(epoch(), micros(*at), counter().1).0).collect();
    for key in keys.iter().step_by(3) {
        assert!(timers.cancel(*key).is_some());
        timers.store.lock().check();
    }
    let mut left: Vec<_> = (0..1000).filter(|i| i % 3 != 0).map(|i| all[i]).collect();
    left.sort_unstable();
    assert_eq!(timers.earliest(), Some(micros(left[0])));
    let mut fired = 0;
    while let Some(next) = timers.next() {
        // As a sleeper does: it may find nothing at first, but not twice.
        let due =
            expire_all(&timers, next).len() + expire_all(&timers, timers.earliest().unwrap_or(next)).len();
        assert!(due > 0);
        fired += due;
        assert!(left.get(fired).is_none_or(|at| timers.next().unwrap() <= micros(*at)));
    }
    assert_eq!(fired, left.len());
}

#[test]
fn a_deadline_that_is_put_off_again_and_again_stays_right() {
    let timers = Timers::new();
    let waker = counter().1;
    let (key, _) = timers.insert(epoch(), after(1), waker.clone());
    // Through the ring, beyond it, back into it, and before what it serves any more.
    for at in [50, 100, 400, 60_000, 130, 90, 20] {
        assert!(timers.update(key, after(at), &waker).is_some());
        assert_eq!((timers.earliest(), timers.next()), (Some(after(at)), Some(after(at))));
        timers.store.lock().check();
    }
    assert!(expire_all(&timers, after(19)).is_empty());
    let (other, _) = timers.insert(after(19), after(3), waker.clone());
    assert_eq!(timers.next(), Some(after(3)));
    assert!(timers.update(other, after(150), &waker).is_some());
    assert_eq!(expire_all(&timers, after(149)).len(), 1);
    assert_eq!(expire_all(&timers, after(150)).len(), 1);
}

#[test]
fn each_timer_is_either_cancelled_or_expired_never_both() {
    const EACH: usize = 20_000;
    let timers = Timers::new();
    let (shared, waker) = counter();
    let cancelled = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for me in 1..=3u64 {
            let (timers, waker, cancelled, done) = (&timers, &waker, &cancelled, &done);
            scope.spawn(move || {
                let mut random = Random(me);
                let mut keys = Vec::new();
                for _ in 0..EACH {
                    keys.push(timers.insert(epoch(), after(random.below(1000)), waker.clone()).0);
                    if keys.len() > 50 {
                        let key = keys.swap_remove(random.below(50) as usize);
                        match random.below(3) {
                            0 => drop(timers.update(key, after(random.below(1000)), waker)),
                            _ => {
                                cancelled.fetch_add(usize::from(timers.cancel(key).is_some()), O::Relaxed);
                            }
                        }
                    }
                }
                done.fetch_add(1, O::Release);
            });
        }
        scope.spawn(|| {
            let mut out = Vec::new();
            let mut now = 0;
            while done.load(O::Acquire) < 3 {
                now = (now + 7) % 1000;
                let _ = timers.expire(after(now), &mut out);
                out.drain(..).for_each(Waker::wake);
            }
        });
    });
    timers.store.lock().check();
    expire_all(&timers, after(1000)).into_iter().for_each(Waker::wake);
    assert_eq!(timers.len(), 0);
    assert_eq!(cancelled.load(O::Relaxed) + shared.wakes.load(O::Relaxed), 3 * EACH);
    drop(waker);
    assert_eq!(Arc::strong_count(&shared), 1, "every waker was woken or dropped");
}

#[test]
#[ignore = "a measurement: run it with --release --nocapture"]
fn measure_insert_and_cancel_among_100_000() {
    let timers = Timers::new();
    let waker = Waker::noop();
    let mut random = Random(42);
    let mut keys: Vec<_> =
        (0..100_000).map(|_| timers.insert(epoch(), after(random.below(60_000)), waker.clone()).0).collect();
    let rounds = 1_000_000u32;
    let start = Instant::now();
    for _ in 0..rounds {
        let index = random.below(100_000) as usize;
        timers.cancel(keys[index]).unwrap();
        keys[index] = timers.insert(epoch(), after(random.below(60_000)), waker.clone()).0;
    }
    println!("random deadlines, random cancels: {:?} a pair", start.elapsed() / rounds);
    let start = Instant::now();
    for round in 0..rounds {
        let key = timers.insert(epoch(), after(60_000 + u64::from(round)), waker.clone()).0;
        timers.cancel(key).unwrap();
    }
    println!("timeouts, cancelled soon: {:?} a pair", start.elapsed() / rounds);
    let start = Instant::now();
    let expired = expire_all(&timers, after(100_000)).len() as u32;
    println!("expiry: {:?} each", start.elapsed() / expired);
    assert_eq!(expired, 100_000);
}
