//! `time::clock`: the clock that a test moves by hand (FEATURES T15, T16, and "a clock that a test can replace").
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::wakers::Wakes;
use common::{HOUR, MS, block_on, bounded, everywhere, panic_text, poll_once};
use gosched::chan::{RecvTimeoutError, SendTimeoutError, after, bounded as channel, tick};
use gosched::context::{ContextError, background};
use gosched::pipeline::WorkerPool;
use gosched::pipeline::rate::{Limit, Limiter, Sometimes};
use gosched::sync::{Barrier, Condvar, Mutex, Semaphore};
use gosched::time::clock::Clock;
use gosched::time::{self, sleep, sleep_async};
use gosched::{Runtime, Select, go, go_async, select, select_async};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn T16_the_machine_s_clock_is_the_default_and_monotonic() {
    everywhere(|| {
        let _other = Clock::manual();
        let mut last = Instant::now();
        for _ in 0..1000 {
            let now = time::now();
            assert!(now >= last && now <= Instant::now());
            last = now;
        }
    });
}

#[test]
fn it_stands_still_until_it_is_moved_and_never_goes_back() {
    let clock = Clock::manual();
    let (start, same) = (clock.now(), clock.clone());
    thread::sleep(MS);
    assert_eq!(clock.now(), start);
    clock.advance(MS);
    assert_eq!(same.now(), start + MS);
    clock.advance_to(start);
    assert_eq!(clock.now(), start + MS);
    clock.advance_to(start + 5 * MS);
    assert_eq!(clock.now(), start + 5 * MS);
    assert!(start <= Instant::now());
    panic_text(|| clock.advance(Duration::MAX));
}

/// Operations with a time in them, which end when an hour has passed.
const TIMED: [fn(); 16] = [
    || sleep(HOUR),
    || time::sleep_until(time::now() + HOUR),
    || gosched::wait(sleep_async(HOUR)),
    || assert!(after(HOUR).recv().is_ok()),
    || assert!(tick(HOUR).recv().is_ok()),
    || {
        let (_tx, rx) = channel::<i32>(1);
        assert_eq!(rx.recv_timeout(HOUR), Err(RecvTimeoutError::Timeout));
    },
    || {
        let (tx, _rx) = channel(0);
        assert_eq!(tx.send_timeout(1, HOUR), Err(SendTimeoutError::Timeout(1)));
    },
    || {
        let (_tx, rx) = channel::<i32>(1);
        select! { recv(rx) -> _ => unreachable!(), default(HOUR) => {} }
    },
    || {
        let (_tx, rx) = channel::<i32>(1);
        let mut select = Select::new();
        select.recv(&rx);
        select.select_timeout(HOUR).map(drop).unwrap_err();
    },
    || {
        let (lock, condvar) = (Mutex::new(()), Condvar::new());
        assert!(condvar.wait_for(&mut lock.lock(), HOUR).timed_out());
    },
    || {
        let lock = Mutex::new(());
        let _held = lock.lock();
        assert!(lock.try_lock_for(HOUR).is_none());
    },
    || assert!(!Semaphore::new(1).acquire_timeout(2, HOUR)),
    || assert!(Barrier::new(2).wait_timeout(HOUR).is_none()),
    || {
        let ctx = background().with_timeout(HOUR);
        assert_eq!(ctx.wait(pending::<()>()), Err(ContextError::DeadlineExceeded));
    },
    || assert!(background().with_deadline(time::now() + HOUR).done().recv().is_err()),
    || {
        let limiter = Limiter::new(Limit::every(HOUR), 1);
        assert!(limiter.allow());
        limiter.wait(&background()).unwrap();
    },
];

#[test]
fn all_that_waits_for_a_time_goes_by_it() {
    by_hand(|clock| {
        let start = time::now();
        let waiting: Vec<_> = TIMED.iter().map(|wait| go(wait)).collect();
        let polled = go_async(async {
            let (_tx, rx) = channel::<i32>(1);
            select_async! { recv(rx) -> _ => unreachable!(), default(HOUR) => {} }
        });
        until_asleep(clock, TIMED.len() + 1);
        clock.advance(HOUR - MS);
        for _ in 0..100 {
            gosched::yield_now();
        }
        assert_eq!(clock.timers(), TIMED.len() + 1);
        assert_eq!(clock.next_timer(), Some(start + HOUR));
        clock.advance(MS);
        waiting.into_iter().for_each(|handle| handle.join().unwrap());
        polled.join().unwrap();
        assert_eq!((clock.timers(), clock.next_timer()), (0, None));
    });
}

#[test]
fn X05_a_deadline_goes_by_the_clock_of_whoever_set_it_and_leaves_nothing_with_it() {
    by_hand(|clock| {
        let ctx = background().with_timeout(HOUR);
        let (cancelled, dropped) = (ctx.with_timeout(HOUR / 2), ctx.with_timeout(HOUR / 2));
        assert_eq!(clock.timers(), 3);
        cancelled.cancel();
        drop(dropped);
        assert_eq!((clock.timers(), ctx.deadline()), (1, Some(time::now() + HOUR)));
        // On a thread that goes by the machine's clock it is the same deadline.
        let elsewhere = gosched::blocking({
            let ctx = ctx.clone();
            move || thread::spawn(move || ctx.done().recv())
        });
        clock.advance(HOUR - MS);
        assert_eq!(ctx.err(), None);
        clock.advance(MS);
        assert_eq!((ctx.err(), clock.timers()), (Some(ContextError::DeadlineExceeded), 0));
        assert!(gosched::blocking(|| elsewhere.join().unwrap()).is_err());
        assert_eq!(background().with_timeout(Duration::ZERO).err(), Some(ContextError::DeadlineExceeded));
    });
    // One that outlives the clock: it keeps nothing alive, and nobody ends it any more.
    bounded(|| {
        let clock = Clock::manual();
        let witness = Arc::new(());
        let left = {
            let _here = clock.enter();
            background().with_value(witness.clone()).with_timeout(HOUR).detach()
        };
        drop(clock);
        assert_eq!(left.err(), None);
        drop(left);
        assert_eq!(Arc::strong_count(&witness), 1);
    });
}

#[test]
fn R01_and_R10_and_the_workers_of_a_pool_go_by_it() {
    by_hand(|clock| {
        let limiter = Limiter::new(Limit::every(MS), 4);
        assert!(limiter.allow_n(4) && !limiter.allow());
        thread::sleep(2 * MS);
        assert!(!limiter.allow(), "the machine's time is not ours");
        clock.advance(3 * MS);
        assert!(limiter.allow_n(3) && !limiter.allow());
        let sometimes = Sometimes::new().interval(HOUR);
        let ran = AtomicUsize::new(0);
        let run = || sometimes.run(|| _ = ran.fetch_add(1, Ordering::SeqCst));
        (0..2).for_each(|_| run());
        clock.advance(HOUR);
        (0..2).for_each(|_| run());
        assert_eq!(ran.into_inner(), 2);
        let pool = WorkerPool::builder().workers_between(0, 2).idle(HOUR).build();
        pool.submit(|| ()).join().unwrap();
        until_asleep(clock, 1);
        clock.advance(HOUR - MS);
        assert_eq!((pool.stats().workers, clock.timers()), (1, 1));
        clock.advance(MS);
        until("the worker has retired", || pool.stats().workers == 0);
    });
}

#[test]
fn a_thread_that_has_entered_it_goes_by_it() {
    bounded(|| {
        let clock = Clock::manual();
        let threads: Vec<_> = TIMED
            .into_iter()
            .map(|wait| {
                let clock = clock.clone();
                thread::spawn(move || {
                    let _here = clock.enter();
                    assert_eq!(time::now(), clock.now());
                    wait();
                })
            })
            .collect();
        until_asleep(&clock, TIMED.len());
        clock.advance(HOUR);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let before = Instant::now();
        assert!(time::now() >= before, "this thread has not entered it");
    });
}

#[test]
fn entering_is_for_threads_and_once() {
    let clock = Clock::manual();
    {
        let _here = clock.enter();
        assert!(panic_text(|| clock.enter()).contains("already"));
        clock.advance(HOUR);
        assert_eq!(time::now(), clock.now());
    }
    assert!(time::now() < clock.now());
    everywhere(|| {
        assert!(panic_text(|| Clock::manual().enter()).contains("its runtime"));
    });
}

#[test]
fn an_executor_of_others_on_such_a_thread_goes_by_it() {
    bounded(|| {
        let clock = Clock::manual();
        let thread = thread::spawn({
            let clock = clock.clone();
            move || {
                let _here = clock.enter();
                block_on(async {
                    sleep_async(HOUR).await;
                    after(HOUR).recv_async().await.unwrap();
                });
            }
        });
        for _ in 0..2 {
            until_asleep(&clock, 1);
            clock.advance(HOUR);
        }
        thread.join().unwrap();
    });
}

#[test]
fn two_runtimes_with_their_own_clocks() {
    bounded(|| {
        let run = |clock: &Clock| {
            let runtime = Runtime::builder().workers(1).clock(clock).build().unwrap();
            thread::spawn(move || runtime.run(|| sleep(HOUR)))
        };
        let (slow, quick) = (Clock::manual(), Clock::manual());
        let (sleeper, woken) = (run(&slow), run(&quick));
        until_asleep(&slow, 1);
        until_asleep(&quick, 1);
        quick.advance(HOUR);
        woken.join().unwrap();
        assert_eq!(slow.timers(), 1);
        slow.advance(HOUR);
        sleeper.join().unwrap();
    });
}

#[test]
fn a_blocking_call_goes_by_the_machine_s() {
    by_hand(|clock| {
        gosched::blocking(|| sleep(MS));
        assert_eq!(clock.timers(), 0);
    });
}

#[test]
fn who_waits_decides_on_the_clock() {
    by_hand(|clock| {
        let timer = Arc::new(time::Timer::new(MS));
        // The machine's clock has long passed that time: a thread of no runtime gets the message.
        thread::sleep(2 * MS);
        assert!(timer.receiver().try_recv().is_err());
        let there = timer.clone();
        let thread = thread::spawn(move || there.receiver().recv());
        assert_eq!(gosched::blocking(|| thread.join().unwrap()), Ok(clock.now() + MS));
        clock.advance(MS);
        assert!(timer.receiver().try_recv().is_err());
    });
}

#[test]
fn moving_it_wakes_what_is_due_and_nothing_else() {
    let clock = Clock::manual();
    let _here = clock.enter();
    let wakes: Vec<Arc<Wakes>> = (0..50).map(|_| Arc::default()).collect();
    let mut sleeps: Vec<_> = (0..50).map(|i| Box::pin(sleep_async(i * 7 % 50 * MS + MS))).collect();
    for (sleep, wakes) in sleeps.iter_mut().zip(&wakes) {
        let waker = Waker::from(wakes.clone());
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(sleeps.split_off(40));
    assert_eq!(clock.timers(), 40);
    for step in 1..=50 {
        clock.advance(MS);
        for (i, wakes) in wakes.iter().enumerate() {
            let due = i < 40 && i * 7 % 50 < step;
            assert_eq!(wakes.0.load(Ordering::SeqCst), usize::from(due), "sleep {i} after {step} ms");
        }
    }
    assert!(sleeps.iter_mut().all(|sleep| poll_once(sleep.as_mut()).is_ready()));
}

#[test]
fn a_waker_may_use_the_clock() {
    struct Again(Clock);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.advance(MS);
        }
    }
    let clock = Clock::manual();
    let _here = clock.enter();
    let start = clock.now();
    let mut sleeps = [1, 2, 3].map(|ms| Box::pin(sleep_async(ms * MS)));
    for sleep in &mut sleeps {
        let waker = Waker::from(Arc::new(Again(clock.clone())));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    clock.advance(MS);
    assert_eq!(clock.now(), start + 4 * MS);
    assert!(pin!(sleep_async(MS)).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn storm_nobody_oversleeps_a_clock_that_moves_meanwhile() {
    by_hand(|clock| {
        let done = Arc::new(AtomicBool::new(false));
        let mover = thread::spawn({
            let (clock, done) = (clock.clone(), done.clone());
            move || {
                while !done.load(Ordering::SeqCst) {
                    clock.advance(Duration::from_micros(1));
                }
            }
        });
        let sleepers: Vec<_> = (0..4u32)
            .map(|way| {
                go(move || {
                    for i in 0..1000 {
                        let duration = Duration::from_micros(i % 3);
                        let start = time::now();
                        match way {
                            0 => sleep(duration),
                            1 => gosched::wait(sleep_async(duration)),
                            2 => drop(after(duration).recv().unwrap()),
                            _ => select! { recv(after(duration)) -> time => drop(time.unwrap()) },
                        }
                        assert!(time::now() >= start + duration);
                    }
                })
            })
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        done.store(true, Ordering::SeqCst);
        gosched::blocking(|| mover.join().unwrap());
        until("no timer is left", || clock.timers() == 0);
    });
}

#[test]
fn T15_a_timer_is_in_the_store_only_while_somebody_waits() {
    by_hand(|clock| {
        let timers: Vec<_> = (0..100).map(|_| time::Timer::new(HOUR)).collect();
        let tickers: Vec<_> = (0..100).map(|_| time::Ticker::new(HOUR)).collect();
        assert_eq!(clock.timers(), 0);
        let mut waits: Vec<_> = timers.iter().map(|timer| Box::pin(timer.receiver().recv_async())).collect();
        waits.extend(tickers.iter().map(|ticker| Box::pin(ticker.receiver().recv_async())));
        assert_eq!(clock.timers(), 0, "a future is nothing before it is polled");
        assert!(waits.iter_mut().all(|wait| poll_once(wait.as_mut()).is_pending()));
        assert_eq!(clock.timers(), 200);
        waits.truncate(150);
        assert_eq!(clock.timers(), 150);
        clock.advance(HOUR);
        assert!(waits.iter_mut().all(|wait| poll_once(wait.as_mut()).is_ready()));
        drop(waits);
        assert_eq!(clock.timers(), 0);
        // The others are due all the same: nothing had to run for that.
        assert!(tickers[60].receiver().try_recv().is_ok());
    });
}

#[test]
fn T15_timers_cost_no_threads() {
    if !common::is_child() {
        // Threads are counted per process.
        return drop(common::Child::new("T15_timers_cost_no_threads").passes());
    }
    if common::goroutines_are_threads() {
        return;
    }
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| {
        sleep(MS);
        let before = common::proc_status("Threads:");
        let sleepers: Vec<_> = (0..2000)
            .map(|n| {
                go(move || match n % 3 {
                    0 => sleep(100 * MS),
                    1 => drop(time::Timer::new(100 * MS).receiver().recv()),
                    _ => drop(after(HOUR).recv_timeout(100 * MS)),
                })
            })
            .collect();
        while !sleepers[0].is_finished() {
            // At most the one that serves timers of those who have no worker.
            assert!(common::proc_status("Threads:") <= before + 1);
            sleep(5 * MS);
        }
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn a_clock_outlives_its_runtime_and_its_sleepers() {
    bounded(|| {
        let clock = Clock::manual();
        let runtime = Runtime::builder().workers(2).clock(&clock).build().unwrap();
        runtime.run(|| {
            for _ in 0..10 {
                go(|| sleep(HOUR));
                go_async(sleep_async(HOUR));
            }
        });
        drop(runtime);
        // Nobody is there to be woken, and nothing bad comes of it.
        clock.advance(2 * HOUR);
        assert_eq!(clock.timers(), 0);
    });
}
