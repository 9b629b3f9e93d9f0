//! `pipeline::rate` (FEATURES R01 to R10): Go's x/time/rate tests among them.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::{HOUR, MS, block_on, bounded, cheap_modes, eventually, everywhere, in_each, panic_text};
use gosched::context::{ContextError, background};
use gosched::pipeline::rate::{Limit, Limiter, Sometimes, WaitError};
use gosched::{go, num_goroutine, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The step of Go's tables.
const D: Duration = Duration::from_millis(100);

/// Points in time, `D` apart: `times[n]` is Go's `tn`.
fn times() -> Vec<Instant> {
    let t0 = Instant::now() + Duration::from_secs(10);
    (0..12).map(|n| t0 + D * n).collect()
}

fn per_second(events: f64) -> Limit {
    Limit::per_second(events)
}

#[track_caller]
fn run(limiter: &Limiter, table: &[(usize, f64, usize, bool)]) {
    let t = times();
    for (row, &(at, tokens, n, ok)) in table.iter().enumerate() {
        assert_eq!(limiter.allow_n_at(t[at], n), ok, "row {row}");
        let left = limiter.tokens_at(t[at]);
        assert!((left - tokens).abs() < 1e-6, "row {row}: {left} tokens instead of {tokens}");
    }
}

#[test]
fn R01_a_bucket_begins_full_and_gets_no_fuller() {
    let one =
        [(0, 0.0, 1, true), (0, 0.0, 1, false), (0, 0.0, 1, false), (1, 0.0, 1, true), (1, 0.0, 1, false)];
    run(&Limiter::new(per_second(10.0), 1), &one);
    let three = [
        (0, 1.0, 2, true),
        (0, 1.0, 2, false),
        (0, 0.0, 1, true),
        (0, 0.0, 1, false),
        (1, 1.0, 4, false),
        (2, 1.0, 1, true),
        (3, 1.0, 1, true),
        (4, 1.0, 1, true),
        (4, 0.0, 1, true),
        (4, 0.0, 1, false),
        (11, 3.0, 0, true),
    ];
    run(&Limiter::new(per_second(10.0), 3), &three);
}

#[test]
fn R02_infinite_and_zero_limits() {
    let all = Limiter::new(Limit::INF, 0);
    assert!((0..1000).all(|_| all.allow_n(1000)));
    assert_eq!(all.reserve_n(1 << 40).delay(), Duration::ZERO);
    all.wait_n(&background(), 5).unwrap();
    let burst_only = Limiter::new(per_second(0.0), 3);
    let t = times();
    assert!((0..3).all(|_| burst_only.allow_n_at(t[0], 1)));
    assert!(!burst_only.allow_n_at(t[0] + Duration::from_secs(1 << 20), 1));
    let none = Limiter::default();
    assert!(!none.allow() && !none.reserve().is_ok());
    assert_eq!(Limit::every(Duration::ZERO), Limit::INF);
    assert_eq!(Limit::every(D), per_second(10.0));
    assert_eq!((per_second(-1.0), per_second(f64::NAN)), (per_second(0.0), per_second(0.0)));
    // From without a limit to one.
    let changed = Limiter::new(Limit::INF, 2);
    changed.reserve_n_at(t[1], 1).cancel_at(t[0]);
    changed.set_limit_at(t[1], per_second(1.0));
    assert!(changed.allow_n_at(t[1], 2) && !changed.allow_n_at(t[1], 1));
}

#[test]
fn R03_allow_takes_all_or_nothing_whoever_asks() {
    everywhere(|| {
        let limiter = Arc::new(Limiter::new(per_second(1e-6), 100));
        let got = Arc::new(AtomicUsize::new(0));
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let (limiter, got) = (limiter.clone(), got.clone());
                go(move || {
                    for _ in 0..50 {
                        got.fetch_add(3 * usize::from(limiter.allow_n(3)), Ordering::SeqCst);
                        yield_now();
                    }
                })
            })
            .collect();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(got.load(Ordering::SeqCst), 99);
        assert!(limiter.allow() && !limiter.allow());
    });
}

#[test]
fn R04_reservations_take_what_is_to_come() {
    let (limiter, t) = (Limiter::new(per_second(10.0), 2), times());
    let reserve = |at: usize, n, delay: u32| {
        let reservation = limiter.reserve_n_at(t[at], n);
        let expected = D * delay;
        let found = reservation.delay_from(t[at]);
        assert!(found.abs_diff(expected) < Duration::from_micros(1), "{found:?} instead of {expected:?}");
        reservation
    };
    let _ = (reserve(0, 2, 0), reserve(0, 2, 2), reserve(3, 2, 1));
    let refused = limiter.reserve_n_at(t[3], 3);
    assert!(!refused.is_ok());
    assert_eq!(refused.delay_from(t[3]), Duration::MAX);
    assert!(limiter.tokens_at(t[3]) < 0.0);
    let never = Limiter::new(per_second(0.0), 1);
    assert!(never.allow());
    let reservation = never.reserve();
    assert!(reservation.is_ok());
    assert_eq!(reservation.delay(), Duration::MAX);
    reservation.cancel();
    assert_eq!(never.tokens(), 0.0);
}

#[test]
fn R05_a_cancelled_reservation_returns_what_later_ones_do_not_build_on() {
    let t = times();
    let delay_after = |limiter: &Limiter, at: usize, n| {
        (limiter.reserve_n_at(t[at], n).delay_from(t[at]).as_secs_f64() / D.as_secs_f64()).round()
    };
    // TestCancelLast, TestCancelTooLate.
    let limiter = Limiter::new(per_second(10.0), 2);
    let _ = limiter.reserve_n_at(t[0], 2);
    limiter.reserve_n_at(t[0], 2).cancel_at(t[1]);
    assert_eq!(delay_after(&limiter, 1, 2), 1.0);
    let limiter = Limiter::new(per_second(10.0), 2);
    let _ = limiter.reserve_n_at(t[0], 2);
    let late = limiter.reserve_n_at(t[0], 2);
    late.cancel_at(t[3]);
    assert_eq!(delay_after(&limiter, 3, 2), 1.0);
    // TestCancel0Tokens, TestCancel1Token, TestCancelMulti.
    let limiter = Limiter::new(per_second(10.0), 2);
    let _ = limiter.reserve_n_at(t[0], 2);
    let first = limiter.reserve_n_at(t[0], 1);
    let _ = limiter.reserve_n_at(t[0], 1);
    first.cancel_at(t[0]);
    assert_eq!(delay_after(&limiter, 0, 1), 3.0);
    let limiter = Limiter::new(per_second(10.0), 2);
    let _ = limiter.reserve_n_at(t[0], 2);
    let first = limiter.reserve_n_at(t[0], 2);
    let _ = limiter.reserve_n_at(t[0], 1);
    first.cancel_at(t[2]);
    assert_eq!(delay_after(&limiter, 2, 2), 2.0);
    let limiter = Limiter::new(per_second(10.0), 4);
    let _ = limiter.reserve_n_at(t[0], 4);
    let (a, b) = (limiter.reserve_n_at(t[0], 3), limiter.reserve_n_at(t[0], 1));
    a.cancel_at(t[0]);
    b.cancel_at(t[0]);
    assert_eq!(delay_after(&limiter, 0, 1), 2.0);
}

#[test]
fn R06_wait_refuses_at_once_what_cannot_be_in_time() {
    everywhere(|| {
        let limiter = Limiter::new(Limit::every(Duration::from_secs(3600)), 3);
        let soon = background().with_timeout(Duration::from_secs(60));
        let start = Instant::now();
        let error = limiter.wait_n(&background(), 4).unwrap_err();
        assert_eq!(error, WaitError::ExceedsBurst { n: 4, burst: 3 });
        assert_eq!(error.to_string(), "rate: Wait(n=4) exceeds limiter's burst 3");
        limiter.wait_n(&soon, 3).unwrap();
        let error = limiter.wait(&soon).unwrap_err();
        assert_eq!(error, WaitError::ExceedsDeadline { n: 1 });
        assert_eq!(error.to_string(), "rate: Wait(n=1) would exceed context deadline");
        assert!(start.elapsed() < Duration::from_secs(20));
        soon.cancel();
        assert_eq!(limiter.wait(&soon), Err(WaitError::Context(ContextError::Canceled)));
        assert!((0.0..0.1).contains(&limiter.tokens()), "nothing was taken for any of them");
    });
}

#[test]
fn R06_a_wait_that_is_cancelled_gives_its_tokens_back() {
    everywhere(|| {
        let limiter = Arc::new(Limiter::new(Limit::every(Duration::from_secs(3600)), 3));
        assert!(limiter.allow_n(3));
        let ctx = background().with_cancel();
        let waiter = go({
            let (limiter, ctx) = (limiter.clone(), ctx.clone());
            move || limiter.wait_n(&ctx, 2)
        });
        eventually("it has taken them", || limiter.tokens() < -1.0);
        ctx.cancel();
        assert_eq!(waiter.join().unwrap(), Err(WaitError::Context(ContextError::Canceled)));
        assert!(limiter.tokens() >= 0.0);
        // So does a future that is dropped, whether polled or not.
        let ctx = background().with_cancel();
        drop(limiter.wait_async(&ctx));
        assert!(background().with_timeout(MS).wait(limiter.wait_n_async(&ctx, 3)).is_err());
        assert!(limiter.tokens() >= 0.0);
    });
}

#[test]
fn R06_waiters_are_let_through_at_the_rate() {
    everywhere(|| {
        let limiter = Arc::new(Limiter::new(Limit::every(2 * MS), 1));
        let start = Instant::now();
        let goroutines: Vec<_> = (0..5)
            .map(|_| {
                let limiter = limiter.clone();
                go(move || limiter.wait(&background()).unwrap())
            })
            .collect();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let limiter = limiter.clone();
                thread::spawn(move || block_on(limiter.wait_async(&background())).unwrap())
            })
            .collect();
        goroutines.into_iter().for_each(|waiter| waiter.join().unwrap());
        gosched::blocking(|| threads.into_iter().for_each(|waiter| waiter.join().unwrap()));
        // One at once, the others 2 ms apart.
        assert!(start.elapsed() >= 2 * MS * 7);
        assert!(limiter.tokens() <= 1.0);
    });
}

#[test]
fn R07_changes_count_from_now_on_and_reservations_keep_their_times() {
    let (limiter, t) = (Limiter::new(per_second(10.0), 10), times());
    assert!(limiter.allow_n_at(t[0], 10));
    let reserved = limiter.reserve_n_at(t[0], 2);
    limiter.set_limit_at(t[1], per_second(20.0));
    assert_eq!((limiter.limit(), limiter.burst()), (per_second(20.0), 10));
    // One token at the old limit, two at the new one: -2 + 1 + 2.
    assert!((limiter.tokens_at(t[2]) - 1.0).abs() < 1e-6);
    assert!(reserved.delay_from(t[0]).abs_diff(2 * D) < Duration::from_micros(1));
    // TestSimultaneousLongRequests' kin: a smaller burst cuts what is there, a larger one adds nothing at once.
    let limiter = Limiter::new(per_second(10.0), 10);
    limiter.set_burst_at(t[0], 3);
    assert!(!limiter.allow_n_at(t[0], 4) && limiter.allow_n_at(t[0], 3) && !limiter.allow_n_at(t[0], 1));
    limiter.set_burst_at(t[0], 5);
    assert!(!limiter.allow_n_at(t[0], 1) && limiter.allow_n_at(t[5], 5));
    limiter.set_limit(per_second(1.0));
    limiter.set_burst(1);
    assert_eq!((limiter.limit(), limiter.burst()), (per_second(1.0), 1));
}

#[test]
fn R08_a_clock_that_goes_back_adds_nothing() {
    // TestLimiterJumpBackwards.
    let table = [
        (1, 2.0, 1, true),
        (0, 1.0, 1, true),
        (0, 0.0, 1, true),
        (0, 0.0, 1, false),
        (0, 0.0, 1, false),
        (1, 0.0, 1, true),
        (1, 0.0, 1, false),
        (2, 0.0, 1, true),
        (2, 0.0, 1, false),
    ];
    run(&Limiter::new(per_second(10.0), 3), &table);
}

#[test]
fn R09_looking_changes_nothing() {
    let (limiter, t) = (Limiter::new(per_second(10.0), 10), times());
    assert_eq!(limiter.tokens(), 10.0);
    assert!(limiter.allow_n_at(t[0], 5));
    for _ in 0..3 {
        assert!((limiter.tokens_at(t[2]) - 7.0).abs() < 1e-6);
        assert!((limiter.tokens_at(t[1]) - 6.0).abs() < 1e-6);
        assert_eq!((limiter.limit(), limiter.burst()), (per_second(10.0), 10));
    }
    assert_eq!(limiter.limit().as_per_second(), 10.0);
    assert!(format!("{limiter:?}").starts_with("Limiter { limit: Limit(10.0), burst: 10, tokens: "));
}

#[test]
fn R10_sometimes_is_the_union_of_its_filters() {
    let runs = |sometimes: Sometimes, calls| {
        let mut ran = Vec::new();
        (0..calls).for_each(|n| sometimes.run(|| ran.push(n)));
        ran
    };
    assert_eq!(runs(Sometimes::new(), 10), [0], "the zero value is once");
    assert_eq!(runs(Sometimes::new().first(3), 10), [0, 1, 2]);
    assert_eq!(runs(Sometimes::new().every(4), 10), [0, 4, 8]);
    assert_eq!(runs(Sometimes::new().first(2).every(5), 11), [0, 1, 5, 10]);
    assert_eq!(runs(Sometimes::new().interval(Duration::from_secs(3600)), 10), [0]);
    let often = Sometimes::new().interval(MS);
    let mut ran = 0;
    often.run(|| ran += 1);
    eventually("a millisecond later it runs again", || {
        often.run(|| ran += 1);
        ran == 2
    });
    // A panic does not count.
    let once = Sometimes::new();
    assert_eq!(panic_text(|| once.run(|| panic!("oh"))), "oh");
    assert_eq!(runs(once, 2), [0]);
}

#[test]
fn R10_calls_of_sometimes_are_serialized() {
    everywhere(|| {
        let sometimes = Arc::new(Sometimes::new().every(1));
        let (inside, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (sometimes, inside, ran) = (sometimes.clone(), inside.clone(), ran.clone());
                go(move || {
                    for _ in 0..10 {
                        sometimes.run(|| {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            ran.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!(ran.load(Ordering::SeqCst), 80);
    });
}

/// Waits given up at every moment while others go through. Events that happened and tokens that are left are never more
/// than what came in; and no token is lost to those who gave up last.
#[test]
fn a_limiter_goes_by_the_clock_of_who_uses_it() {
    by_hand(|clock| {
        let limiter = Arc::new(Limiter::new(Limit::every(HOUR), 2));
        assert!(limiter.allow_n(2) && !limiter.allow());
        clock.advance(HOUR);
        assert_eq!(limiter.tokens().round(), 1.0);
        // A wait takes its token and sleeps by the same clock.
        let waiter = go({
            let limiter = limiter.clone();
            move || limiter.wait_n(&background(), 2)
        });
        until_asleep(clock, 1);
        assert_eq!(limiter.tokens().round(), -1.0);
        let later = limiter.reserve();
        assert_eq!(later.delay().as_secs_f64().round(), 7200.0);
        clock.advance(HOUR);
        waiter.join().unwrap().unwrap();
        assert_eq!(later.delay().as_secs_f64().round(), 3600.0);
        later.cancel();
        assert_eq!(limiter.tokens().round(), 0.0);
        // As does its deadline.
        let soon = background().with_timeout(HOUR / 2);
        assert_eq!(limiter.wait(&soon), Err(WaitError::ExceedsDeadline { n: 1 }));
        let late = background().with_timeout(HOUR * 2);
        let waiter = go({
            let (limiter, late) = (limiter.clone(), late.clone());
            move || limiter.wait(&late)
        });
        until("it waits", || limiter.tokens() < -0.5);
        limiter.set_limit(Limit::every(2 * HOUR));
        clock.advance(HOUR);
        assert_eq!(waiter.join().unwrap(), Ok(()), "reservations keep their times");
        assert_eq!(limiter.tokens(), -0.5, "and what comes in comes at the new limit");
    });
}

#[test]
fn sometimes_goes_by_the_clock_of_who_uses_it() {
    by_hand(|clock| {
        let (log, mut lines) = (Sometimes::new().interval(HOUR), 0);
        for expected in 1..4 {
            (0..3).for_each(|_| log.run(|| lines += 1));
            assert_eq!(lines, expected);
            clock.advance(HOUR - MS);
            log.run(|| unreachable!());
            clock.advance(MS);
        }
    });
}

#[test]
fn storm_of_waits_that_are_given_up() {
    in_each(cheap_modes(), || {
        let before = num_goroutine();
        let start = Instant::now();
        let (rate, burst) = (50_000.0, 10);
        let limiter = Arc::new(Limiter::new(per_second(rate), burst));
        let waiters: Vec<_> = (0..10u32)
            .map(|k| {
                let limiter = limiter.clone();
                go(move || {
                    let mut events = 0;
                    for n in 0..200u32 {
                        let ctx = background().with_cancel();
                        let limit =
                            background().with_timeout(Duration::from_micros(u64::from((n * 13 + k) % 700)));
                        let count = 1 + (n % 3) as usize;
                        if let Ok(Ok(())) = limit.wait(limiter.wait_n_async(&ctx, count)) {
                            events += count;
                        }
                    }
                    events
                })
            })
            .collect();
        let events: usize = waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum();
        let left = limiter.tokens();
        let came = start.elapsed().as_secs_f64() * rate + burst as f64;
        assert!(events as f64 + left <= came + 1.0, "{events} events, {left} left, {came} came in");
        assert!(events >= burst, "{events}");
        eventually("it fills again", || limiter.tokens() == burst as f64);
        assert!(limiter.allow_n(burst));
        eventually("all have ended", || num_goroutine() == before);
    });
}

#[test]
fn limiters_work_from_plain_threads() {
    bounded(|| {
        let limiter = Limiter::new(Limit::every(MS), 1);
        let start = Instant::now();
        (0..4).for_each(|_| limiter.wait(&background()).unwrap());
        assert!(start.elapsed() >= 3 * MS);
    });
}
