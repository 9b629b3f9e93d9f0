//! Everything that waits for a time goes by the clock of its runtime: contexts, limiters and pools of workers too.
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::{HOUR, MS};
use gosched::context::{ContextError, background};
use gosched::pipeline::WorkerPool;
use gosched::pipeline::rate::{Limit, Limiter, Sometimes, WaitError};
use gosched::{go, time};

#[test]
fn X05_a_context_ends_by_the_clock_of_its_runtime() {
    by_hand(|clock| {
        let ctx = background().with_timeout(HOUR);
        let child = ctx.with_timeout_cause(HOUR / 2, "half an hour");
        assert_eq!(ctx.deadline(), Some(clock.now() + HOUR));
        assert_eq!(clock.timers(), 2);
        let waits = go({
            let child = child.clone();
            move || child.done().recv().is_err()
        });
        clock.advance(HOUR / 2 - MS);
        assert_eq!((ctx.err(), child.err()), (None, None));
        clock.advance(MS);
        // At once: whoever moves the clock tells those who are due.
        assert_eq!((ctx.err(), child.err()), (None, Some(ContextError::DeadlineExceeded)));
        assert_eq!(child.cause().unwrap().to_string(), "half an hour");
        assert!(waits.join().unwrap());
        clock.advance(HOUR / 2);
        assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
        // One that has passed by this clock is over at once.
        assert_eq!(background().with_deadline(clock.now()).err(), Some(ContextError::DeadlineExceeded));
    });
}

#[test]
fn X22_a_cancelled_context_leaves_no_timer_with_the_clock() {
    by_hand(|clock| {
        let ctx = background().with_timeout(HOUR);
        let other = background().with_timeout(HOUR);
        assert_eq!(clock.timers(), 2);
        ctx.cancel();
        assert_eq!(clock.timers(), 1);
        drop(other);
        assert_eq!(clock.timers(), 0);
        drop(background().with_timeout(HOUR).detach());
        assert_eq!(clock.timers(), 0, "nobody can see it any more");
    });
}

#[test]
fn R06_a_limiter_waits_by_the_clock_of_its_runtime() {
    by_hand(|clock| {
        let limiter: &Limiter = Box::leak(Box::new(Limiter::new(Limit::every(HOUR), 1)));
        assert!(limiter.allow());
        assert!(!limiter.allow());
        assert_eq!(limiter.tokens(), 0.0);
        clock.advance(HOUR);
        assert_eq!(limiter.tokens(), 1.0);
        assert!(limiter.allow());
        let waits = go(|| limiter.wait(&background()));
        until_asleep(clock, 1);
        let reserved = limiter.reserve();
        assert_eq!(reserved.delay(), 2 * HOUR);
        reserved.cancel();
        // What comes too late is known at once, by the same clock.
        let ctx = background().with_timeout(HOUR + MS);
        assert_eq!(limiter.wait(&ctx), Err(WaitError::ExceedsDeadline { n: 1 }));
        clock.advance(HOUR - MS);
        assert!(!waits.is_finished());
        clock.advance(MS);
        assert_eq!(waits.join().unwrap(), Ok(()));
    });
}

#[test]
fn R10_sometimes_goes_by_the_clock_of_its_runtime() {
    by_hand(|clock| {
        let sometimes = Sometimes::new().interval(HOUR);
        let mut runs = 0;
        for _ in 0..3 {
            sometimes.run(|| runs += 1);
        }
        assert_eq!(runs, 1);
        clock.advance(HOUR);
        sometimes.run(|| runs += 1);
        assert_eq!(runs, 2);
    });
}

#[test]
fn N03_idle_workers_retire_by_the_clock_of_their_runtime() {
    by_hand(|clock| {
        // The clock is behind the machine's by then.
        std::thread::sleep(MS);
        let pool = WorkerPool::builder().workers_between(0, 2).idle(10 * MS).build();
        pool.submit(|| ()).join().unwrap();
        until_asleep(clock, 1);
        assert_eq!(pool.stats().workers, 1);
        clock.advance(10 * MS);
        until("the worker has gone", || pool.stats().workers == 0);
        assert!(time::now() >= clock.now());
    });
}
