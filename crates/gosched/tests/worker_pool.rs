//! `pipeline::WorkerPool` (FEATURES N03 to N08, N10).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::values::CountsDrops;
use common::{
    HOUR, MS, US, block_on, bounded, cheap_modes, eventually, everywhere, in_each, panic_text, settles, text,
};
use gosched::chan::{self, Receiver, Sender};
use gosched::context::{ContextError, background};
use gosched::goroutine::Goexit;
use gosched::pipeline::{Job, JobError, Stats, TrySubmitError, WorkerPool};
use gosched::time::sleep;
use gosched::{go, go_async, goexit, num_goroutine, yield_now};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Jobs that run until `release` is dropped.
fn block(pool: &WorkerPool, n: usize) -> (Sender<()>, Vec<Job<()>>) {
    let (release, hold) = chan::bounded::<()>(0);
    let jobs = (0..n).map(|_| pool.submit(holding(&hold))).collect();
    (release, jobs)
}

fn holding(hold: &Receiver<()>) -> impl FnOnce() + Send + 'static {
    let hold = hold.clone();
    move || {
        let _ = hold.recv();
    }
}

fn is_canceled<T>(job: Job<T>) -> bool {
    matches!(job.join(), Err(JobError::Canceled))
}

#[test]
fn N03_workers_come_when_there_is_work_and_are_used_again() {
    everywhere(|| {
        let before = num_goroutine();
        let pool = WorkerPool::new(4);
        assert_eq!((num_goroutine(), pool.stats().workers), (before, 0), "none before the first job");
        for n in 0..100 {
            assert_eq!(pool.submit(move || n + 1).join().unwrap(), n + 1);
            // Until it waits for the next job it counts as busy.
            eventually("the worker is idle", || pool.stats().running == 0);
        }
        assert!(pool.stats().most_workers <= 4);
        let (release, jobs) = block(&pool, 4);
        eventually("all four run", || pool.stats().running == 4);
        assert_eq!(pool.stats().workers, 4);
        drop(release);
        jobs.into_iter().for_each(|job| job.join().unwrap());
        drop(pool);
        settles(before);
    });
}

#[test]
fn N04_no_more_than_the_limit_run_and_submit_waits_when_the_queue_is_full() {
    everywhere(|| {
        let pool = Arc::new(WorkerPool::builder().workers(2).queue(3).build());
        let (release, hold) = chan::bounded::<()>(0);
        let submitter = go({
            let pool = pool.clone();
            move || (0..6).map(|_| pool.submit(holding(&hold))).collect::<Vec<_>>()
        });
        eventually("two run, three are queued, one waits", || {
            let Stats { running, queued, .. } = pool.stats();
            (running, queued) == (2, 4)
        });
        assert!(!submitter.is_finished());
        let refused = pool.try_submit(|| "back").expect_err("it is full");
        assert!(matches!(refused, TrySubmitError::Full(_)));
        assert_eq!(refused.to_string(), "the pool is busy and its queue full");
        assert_eq!(refused.into_inner()(), "back");
        drop(release);
        for job in submitter.join().unwrap() {
            job.join().unwrap();
        }
        pool.wait();
        let stats = pool.stats();
        assert_eq!((stats.done, stats.most_workers, stats.canceled), (6, 2, 0));
        assert_eq!(pool.try_submit(|| 1).ok().map(|job| job.join().unwrap()), Some(1));
    });
}

#[test]
fn N04_a_pool_without_workers_is_refused() {
    assert_eq!(panic_text(|| WorkerPool::new(0)), "gosched::pipeline: a pool needs at least one worker");
    assert_eq!(
        panic_text(|| WorkerPool::builder().workers_between(3, 2)),
        "gosched::pipeline: a pool of at least 3 and at most 2 workers"
    );
}

#[test]
fn a_dynamic_pool_grows_with_the_load_and_shrinks_without() {
    everywhere(|| {
        let before = num_goroutine();
        let pool = WorkerPool::builder().workers_between(1, 5).queue(0).idle(2 * MS).build();
        for _ in 0..3 {
            let (release, jobs) = block(&pool, 5);
            eventually("all run", || pool.stats().running == 5);
            assert_eq!(pool.stats().workers, 5);
            drop(release);
            jobs.into_iter().for_each(|job| job.join().unwrap());
            eventually("one is left", || pool.stats().workers == 1);
        }
        assert_eq!(pool.stats().most_workers, 5);
        pool.close();
        settles(before);
        // Down to none.
        let pool = WorkerPool::builder().workers_between(0, 3).idle(MS).build();
        for n in 0..30 {
            assert_eq!(pool.submit(move || n).join().unwrap(), n);
            if n % 3 == 0 {
                eventually("none is left", || pool.stats().workers == 0);
            }
        }
        settles(before);
    });
}

#[test]
fn idle_workers_go_by_the_clock_of_their_goroutines() {
    by_hand(|clock| {
        let before = num_goroutine();
        let pool = WorkerPool::builder().workers_between(0, 3).idle(HOUR).build();
        let (release, jobs) = block(&pool, 3);
        until("all run", || pool.stats().running == 3);
        drop(release);
        jobs.into_iter().for_each(|job| job.join().unwrap());
        until_asleep(clock, 3);
        clock.advance(HOUR - MS);
        assert_eq!(pool.stats().workers, 3);
        clock.advance(MS);
        until("all have gone", || pool.stats().workers == 0 && num_goroutine() == before);
        // They end with their pool, too, though the time stands still.
        assert_eq!(pool.submit(|| 1).join().unwrap(), 1);
        drop(pool);
        until("the last has gone", || num_goroutine() == before);
        assert_eq!(clock.timers(), 0);
    });
}

#[test]
fn a_worker_ends_with_its_context_though_the_time_stands_still() {
    by_hand(|_| {
        let before = num_goroutine();
        let ctx = background().with_cancel();
        let pool = WorkerPool::builder().workers(2).context(&ctx).build();
        let (release, jobs) = block(&pool, 2);
        until("both run", || pool.stats().running == 2);
        ctx.cancel();
        drop(release);
        jobs.into_iter().for_each(|job| job.join().unwrap());
        until("both have gone", || pool.stats().workers == 0 && num_goroutine() == before);
    });
}

#[test]
fn N05_wait_returns_when_all_is_done_and_the_pool_goes_on() {
    everywhere(|| {
        let pool = WorkerPool::new(3);
        let ran = Arc::new(AtomicUsize::new(0));
        pool.wait();
        for round in 1..=3 {
            for _ in 0..50 {
                let ran = ran.clone();
                drop(pool.submit(move || {
                    yield_now();
                    ran.fetch_add(1, Ordering::SeqCst);
                }));
            }
            pool.wait();
            assert_eq!(ran.load(Ordering::SeqCst), 50 * round);
        }
        let (release, jobs) = block(&pool, 1);
        let ctx = background().with_timeout(2 * MS);
        assert_eq!(ctx.wait(pool.wait_async()), Err(ContextError::DeadlineExceeded));
        drop(release);
        pool.wait();
        assert!(jobs[0].is_finished());
    });
}

#[test]
fn N05_panics_do_not_exhaust_the_workers_and_reach_the_handle_or_wait() {
    everywhere(|| {
        let before = num_goroutine();
        let pool = WorkerPool::new(2);
        for n in 0..50 {
            let job = pool.submit(move || if n % 2 == 0 { panic!("job {n}") } else { n });
            match job.join() {
                Ok(value) => assert_eq!(value, n),
                Err(JobError::Panicked(payload)) => assert_eq!(text(&*payload), format!("job {n}")),
                Err(JobError::Canceled) => panic!("it ran"),
            }
        }
        pool.wait();
        let stats = pool.stats();
        assert_eq!((stats.done, stats.panicked, stats.running), (25, 25, 0));
        // Without a handle, wait gets the first; once.
        drop(pool.submit(|| panic!("nobody asks")));
        eventually("it has panicked", || pool.stats().panicked == 26);
        assert_eq!(panic_text(|| pool.wait()), "nobody asks");
        pool.wait();
        // Also if the handle goes later.
        let job = pool.submit(|| panic!("too late"));
        eventually("it has ended", || job.is_finished());
        drop(job);
        assert_eq!(panic_text(|| pool.wait()), "too late");
        let Err(JobError::Panicked(payload)) = pool.submit(|| goexit()).join() else { panic!("it did") };
        assert!(payload.is::<Goexit>());
        assert_eq!(pool.submit(|| 1).join().unwrap(), 1);
        drop(pool);
        settles(before);
    });
}

#[test]
fn N06_all_errors_or_the_first() {
    everywhere(|| {
        let pool = WorkerPool::new(3);
        let job = |n: usize| move || if n % 10 == 9 { Err(n) } else { Ok(n) };
        let all: Vec<_> = pool.in_order((0..30).map(job)).map(|result| result.unwrap()).collect();
        let errors: Vec<_> = all.into_iter().filter_map(Result::err).collect();
        assert_eq!(errors, [9, 19, 29]);
        let first: Result<Vec<_>, _> =
            pool.in_order((0..1000).map(job)).map(|result| result.unwrap()).collect();
        assert_eq!(first, Err(9));
        pool.wait();
        assert!(pool.stats().done < 100, "what is pointless is not submitted");
    });
}

#[test]
fn N07_an_error_cancels_only_if_it_is_to() {
    everywhere(|| {
        let before = num_goroutine();
        let parent = background().with_cancel();
        let pool = WorkerPool::builder().workers(2).queue(10).context(&parent).build();
        assert_eq!(pool.submit(|| Err::<(), _>("no harm")).join().unwrap(), Err("no harm"));
        assert_eq!(pool.context().err(), None);
        eventually("nothing runs", || pool.stats().running == 0);
        let running = pool.submit_try(|ctx| ctx.wait(pending::<()>()));
        eventually("it runs", || pool.stats().running == 1);
        let (tell, told) = chan::bounded::<()>(0);
        let bad = pool.submit_try(move |_| {
            let _ = told.recv();
            Err::<(), _>("the first error")
        });
        let queued: Vec<_> = (0..5).map(|_| pool.submit(|| unreachable!("nobody wants it"))).collect();
        drop(tell);
        assert_eq!(bad.join().unwrap(), Err("the first error"));
        assert_eq!(running.join().unwrap(), Err(ContextError::Canceled));
        assert!(queued.into_iter().all(is_canceled));
        assert_eq!(pool.context().cause().unwrap().to_string(), "the first error");
        assert!(is_canceled(pool.submit(|| unreachable!("too late"))));
        assert!(matches!(pool.try_submit(|| ()), Err(TrySubmitError::Closed(_))));
        pool.wait();
        let stats = pool.stats();
        assert_eq!((stats.failed, stats.canceled, stats.queued, stats.running), (2, 6, 0, 0));
        assert_eq!(parent.err(), None);
        drop(pool);
        settles(before);
    });
}

#[test]
fn N07_a_panic_cancels_too_and_so_does_the_parent() {
    everywhere(|| {
        let before = num_goroutine();
        let pool = WorkerPool::new(2);
        let bad = pool.submit_try(|_| -> Result<(), String> { panic!("bad") });
        assert!(matches!(bad.join(), Err(JobError::Panicked(_))));
        eventually("it is cancelled", || pool.is_closed());
        assert_eq!(pool.context().cause().unwrap().to_string(), "a job panicked");
        let parent = background().with_cancel();
        let pool = WorkerPool::builder().workers(1).queue(1).context(&parent).build();
        let running = pool.submit_try(|ctx| ctx.wait(pending::<()>()));
        eventually("it runs", || pool.stats().running == 1);
        let queued = pool.submit(|| ());
        // A submitter who waits for a place is told as well, though the worker is still busy.
        let (release, hold) = chan::bounded::<()>(0);
        let pool = Arc::new(pool);
        let waiting = go({
            let (pool, hold) = (pool.clone(), hold.clone());
            move || pool.submit(holding(&hold))
        });
        eventually("he waits", || pool.stats().queued == 2);
        parent.cancel();
        assert!(is_canceled(waiting.join().unwrap()));
        assert_eq!(running.join().unwrap(), Err(ContextError::Canceled));
        assert!(is_canceled(queued));
        drop((pool, release));
        settles(before);
    });
}

#[test]
fn N08_results_in_the_order_of_submission() {
    everywhere(|| {
        let pool = WorkerPool::new(4);
        let jobs = (0..100usize).map(|n| {
            move || {
                if n % 9 == 0 {
                    sleep(MS);
                }
                n
            }
        });
        let results: Result<Vec<_>, _> = pool.in_order(jobs).collect();
        assert!(results.unwrap().into_iter().eq(0..100));
        assert!(pool.stats().most_workers <= 4);
    });
}

#[test]
fn N10_results_as_they_come_with_panics_among_them() {
    everywhere(|| {
        let pool = WorkerPool::new(2);
        let (release, hold) = chan::bounded::<()>(0);
        let jobs = (0..20usize).map(|n| {
            let hold = hold.clone();
            move || {
                if n == 0 {
                    let _ = hold.recv();
                }
                assert_ne!(n, 5, "five");
                n
            }
        });
        let mut results = pool.as_completed(jobs);
        let mut others: Vec<_> = results.by_ref().take(19).collect();
        let panics = others.extract_if(.., |result| result.is_err()).count();
        let mut others: Vec<_> = others.into_iter().map(Result::unwrap).collect();
        others.sort_unstable();
        assert!(panics == 1 && others.into_iter().eq((1..20).filter(|&n| n != 5)));
        drop(release);
        assert_eq!(results.next().unwrap().unwrap(), 0, "the slow one is the last");
        assert!(results.next().is_none());
    });
}

#[test]
fn N10_iterators_end_with_their_pool() {
    everywhere(|| {
        let before = num_goroutine();
        let pool = WorkerPool::new(2);
        let mut results = pool.as_completed((0..).map(|n| move || n));
        assert!(results.next().unwrap().is_ok());
        pool.cancel();
        let canceled = (0..100).filter(|_| matches!(results.next(), Some(Err(JobError::Canceled)))).count();
        assert!(canceled >= 90, "{canceled}");
        assert!(pool.in_order([|| 1]).all(|result| result.is_err()));
        drop(pool);
        settles(before);
    });
}

#[test]
fn close_finishes_what_is_queued_and_drop_cancels_it() {
    everywhere(|| {
        let before = num_goroutine();
        let pool = WorkerPool::builder().workers(1).queue(10).build();
        let (release, jobs) = block(&pool, 5);
        pool.close();
        assert!(is_canceled(pool.submit(|| ())));
        drop(release);
        jobs.into_iter().for_each(|job| job.join().unwrap());
        settles(before);

        let pool = WorkerPool::builder().workers(1).queue(10).build();
        let ctx = pool.context().clone();
        let (release, mut jobs) = block(&pool, 5);
        eventually("the first runs", || pool.stats().running == 1);
        drop(pool);
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
        let first = jobs.remove(0);
        assert!(!first.is_finished(), "nobody waits for it");
        drop(release);
        first.join().unwrap();
        assert!(jobs.into_iter().all(is_canceled));
        settles(before);
    });
}

#[test]
fn threads_goroutines_and_tasks_submit_and_join() {
    everywhere(|| {
        let pool = Arc::new(WorkerPool::builder().workers_between(1, 3).queue(2).build());
        let threads: Vec<_> = (0..2usize)
            .map(|k| {
                let pool = pool.clone();
                thread::spawn(move || {
                    (0..50).map(|n| pool.submit(move || n * k).join().unwrap()).sum::<usize>()
                })
            })
            .collect();
        let tasks: Vec<_> = (0..3usize)
            .map(|k| {
                let pool = pool.clone();
                go_async(async move {
                    let mut sum = 0;
                    for n in 0..50 {
                        sum += pool.submit_async(move || n * k).await.await.unwrap();
                    }
                    sum
                })
            })
            .collect();
        let foreign = {
            let pool = pool.clone();
            thread::spawn(move || block_on(async { pool.submit_async(|| 7).await.await.unwrap() }))
        };
        let sum: usize = tasks.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(sum, 1225 * 3);
        gosched::blocking(|| {
            assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 1225);
            assert_eq!(foreign.join().unwrap(), 7);
        });
        pool.wait();
        assert_eq!(pool.stats().done, 251);
    });
}

/// Submissions and joins that are given up at every moment, in pools that grow and shrink: each job ran once or was
/// dropped, and the numbers say so.
#[test]
fn storm_of_submissions_that_are_given_up() {
    in_each(cheap_modes(), || {
        let before = num_goroutine();
        let pool = Arc::new(WorkerPool::builder().workers_between(0, 3).queue(1).idle(50 * US).build());
        let (ran, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let submitters: Vec<_> = (0..6u64)
            .map(|k| {
                let (pool, ran, dropped) = (pool.clone(), ran.clone(), dropped.clone());
                go(move || {
                    for n in 0..400u64 {
                        let (ran, token) = (ran.clone(), CountsDrops(dropped.clone()));
                        let f = move || {
                            let _token = token;
                            yield_now();
                            ran.fetch_add(1, Ordering::SeqCst);
                        };
                        match (n + k) % 4 {
                            0 => drop(pool.try_submit(f)),
                            1 => drop(pool.submit(f)),
                            _ => {
                                let ctx = background().with_timeout(US * ((n * 7 + k) % 120) as u32);
                                if let Ok(mut job) = ctx.wait(pool.submit_async(f)) {
                                    let _ = ctx.wait(&mut job);
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        submitters.into_iter().for_each(|submitter| submitter.join().unwrap());
        pool.wait();
        let stats = pool.stats();
        assert_eq!(dropped.load(Ordering::SeqCst), 2400);
        assert_eq!((stats.done, stats.queued, stats.running), (ran.load(Ordering::SeqCst), 0, 0));
        assert!(stats.done + stats.canceled <= 2400 && stats.done >= 600, "{stats:?}");
        drop(pool);
        settles(before);
    });
}

#[test]
fn pools_are_dropped_at_every_moment() {
    in_each(cheap_modes(), || {
        let before = num_goroutine();
        for round in 0..300usize {
            let pool = WorkerPool::builder().workers_between(0, 2).idle(20 * US).build();
            let jobs: Vec<_> = (0..round % 7).map(|n| pool.submit(move || n)).collect();
            (0..round % 5).for_each(|_| yield_now());
            drop(pool);
            for (n, job) in jobs.into_iter().enumerate() {
                match job.join() {
                    Ok(value) => assert_eq!(value, n),
                    Err(JobError::Canceled) => {}
                    Err(JobError::Panicked(_)) => panic!("none did"),
                }
            }
        }
        settles(before);
    });
}

#[test]
fn pools_work_from_plain_threads() {
    bounded(|| {
        let pool = WorkerPool::new(2);
        let jobs: Vec<_> = (0..10).map(|n| pool.submit(move || n)).collect();
        assert_eq!(jobs.into_iter().map(|job| job.join().unwrap()).sum::<i32>(), 45);
        let error = JobError::Panicked(Box::new("why"));
        assert_eq!(
            (error.to_string(), format!("{error:?}")),
            ("the job panicked: why".to_owned(), "Panicked(\"why\")".to_owned())
        );
        assert_eq!(panic_text(|| error.resume()), "why");
    });
}
