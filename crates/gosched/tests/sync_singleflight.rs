//! `sync::SingleFlight` (FEATURES F01 to F06).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{block_on, bounded, eventually, everywhere, text};
use gosched::goroutine::Goexit;
use gosched::sync::{SingleFlight, WaitGroup};
use gosched::{Runtime, chan, go, go_async, wait, yield_now};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;

type Flight = SingleFlight<String, usize>;

/// A run that is under way, in a goroutine: it began, and ends when it is told how.
struct Under {
    child: gosched::JoinHandle<(usize, bool)>,
    end: chan::Sender<fn() -> usize>,
}

impl Under {
    fn way(flight: &Flight, key: &str) -> Self {
        let (end, how) = chan::bounded(0);
        let (began, begun) = chan::bounded(0);
        let (flight, key) = (flight.clone(), key.to_owned());
        let child = go(move || {
            flight.run(key, || {
                began.send(()).unwrap();
                let how: fn() -> usize = how.recv().unwrap();
                how()
            })
        });
        begun.recv().unwrap();
        Self { child, end }
    }
}

fn must_not_run() -> usize {
    panic!("another run was under way")
}

/// So many goroutines that wait for the run of `key`. (Each polls once before it is handed out.)
fn joined(flight: &Flight, key: &str, n: usize) -> Vec<gosched::JoinHandle<(usize, bool)>> {
    (0..n)
        .map(|_| {
            let (polled, has_polled) = chan::bounded(1);
            let (flight, key) = (flight.clone(), key.to_owned());
            let mut polled = Some(polled);
            let child = go(move || {
                let mut run = Box::pin(flight.run_async(key, must_not_run));
                wait(std::future::poll_fn(move |cx| {
                    let poll = run.as_mut().poll(cx);
                    if let Some(polled) = polled.take() {
                        polled.send(()).unwrap();
                    }
                    poll
                }))
            });
            has_polled.recv().unwrap();
            child
        })
        .collect()
}

#[test]
fn F01_one_run_per_key_and_all_get_its_value() {
    everywhere(|| {
        let flight = Flight::new();
        let first = Under::way(&flight, "key");
        let others = joined(&flight, "key", 5);
        assert_eq!(flight.run("another key".into(), || 3), (3, false), "another key is not held up");
        first.end.send(|| 7).unwrap();
        assert_eq!(first.child.join().unwrap(), (7, true), "shared");
        for other in others {
            assert_eq!(other.join().unwrap(), (7, true));
        }
    });
}

#[test]
fn F01_a_run_that_nobody_joins_is_not_shared() {
    let flight = Flight::default();
    let local = 5;
    assert_eq!(flight.run("key".into(), || local + 1), (6, false), "the function may borrow");
    assert_eq!(wait(flight.run_async("key".into(), || 8)), (8, false));
    assert_eq!(block_on(flight.run_async("key".into(), || 9)), (9, false));
}

#[test]
fn F01_blocked_callers_get_the_value_too() {
    everywhere(|| {
        // Nobody can tell when a `run` has begun to wait, so: many, and the run lasts until all have begun.
        let (flight, runs, begun) =
            (Flight::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..10)
            .map(|_| {
                let (flight, runs, begun) = (flight.clone(), runs.clone(), begun.clone());
                go(move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    flight.run("key".into(), || {
                        eventually("all have begun", || begun.load(Ordering::SeqCst) == 10);
                        (0..20).for_each(|_| yield_now());
                        10 + runs.fetch_add(1, Ordering::SeqCst)
                    })
                })
            })
            .collect();
        let results: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        let runs = runs.load(Ordering::SeqCst);
        assert!((1..10).contains(&runs), "{runs} runs");
        for run in 0..runs {
            let same: Vec<_> = results.iter().filter(|(value, _)| *value == 10 + run).collect();
            assert!(same.iter().all(|(_, shared)| *shared == (same.len() > 1)), "{results:?}");
        }
    });
}

#[test]
fn F01_errors_are_values() {
    let flight: SingleFlight<u32, Result<u32, String>> = SingleFlight::new();
    assert_eq!(flight.run(1, || Err("no".to_owned())), (Err("no".to_owned()), false));
    assert_eq!(flight.run(1, || Ok(2)), (Ok(2), false));
}

#[test]
fn F02_a_future_that_is_dropped_leaves_the_run_to_the_others() {
    everywhere(|| {
        let flight = Flight::new();
        let (end, how) = chan::bounded::<usize>(0);
        let mut cx = Context::from_waker(Waker::noop());
        let mut starter = Box::pin(flight.run_async("key".into(), move || how.recv().unwrap()));
        assert!(starter.as_mut().poll(&mut cx).is_pending());
        let others = joined(&flight, "key", 2);
        let mut dropped = Box::pin(flight.run_async("key".into(), must_not_run));
        assert!(dropped.as_mut().poll(&mut cx).is_pending());
        drop((starter, dropped));
        drop(flight.run_async("key".into(), must_not_run));
        end.send(4).unwrap();
        for other in others {
            assert_eq!(other.join().unwrap(), (4, true));
        }
    });
}

#[test]
fn F02_the_starter_of_an_async_run_is_one_receiver() {
    everywhere(|| {
        let flight = Flight::new();
        let (end, how) = chan::bounded::<usize>(0);
        let mut starter = Box::pin(flight.run_async("key".into(), move || how.recv().unwrap()));
        assert!(starter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        end.send(4).unwrap();
        assert_eq!(wait(starter), (4, false));
    });
}

#[test]
fn F03_after_forget_the_next_caller_runs_its_own() {
    everywhere(|| {
        let flight = Flight::new();
        let first = Under::way(&flight, "key");
        let of_first = joined(&flight, "key", 2);
        flight.forget("key");
        let second = Under::way(&flight, "key");
        let of_second = joined(&flight, "key", 2);
        first.end.send(|| 1).unwrap();
        assert_eq!(first.child.join().unwrap(), (1, true));
        // The first one's end has not taken the second one's entry away.
        let more_of_second = joined(&flight, "key", 1);
        second.end.send(|| 2).unwrap();
        assert_eq!(second.child.join().unwrap(), (2, true));
        of_first.into_iter().for_each(|child| assert_eq!(child.join().unwrap(), (1, true)));
        let of_second = of_second.into_iter().chain(more_of_second);
        of_second.for_each(|child| assert_eq!(child.join().unwrap(), (2, true)));
        flight.forget("nothing under way");
    });
}

#[test]
fn F04_a_panic_is_raised_again_in_everybody() {
    everywhere(|| {
        let flight = Flight::new();
        let first = Under::way(&flight, "key");
        let others = joined(&flight, "key", 3);
        first.end.send(|| resume_unwind(Box::new("the function's"))).unwrap();
        let payload = first.child.join().unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"the function's"), "its own payload");
        for other in others {
            let told = text(&*other.join().unwrap_err());
            assert!(told.starts_with("the function's, in the SingleFlight call made at "), "{told}");
            assert!(told.contains(file!()), "{told}");
        }
        assert_eq!(flight.run("key".into(), || 1), (1, false), "the key is free again");
    });
}

#[test]
fn F04_a_panic_of_an_async_run_reaches_the_future() {
    everywhere(|| {
        let flight = Flight::new();
        let run = flight.run_async("key".into(), || resume_unwind(Box::new(17)));
        let payload = catch_unwind(AssertUnwindSafe(|| wait(run))).unwrap_err();
        assert!(text(&*payload).starts_with("a panic with a value that is not a text, in the"));
    });
}

#[test]
fn F04_a_value_that_panics_when_cloned_leaves_nobody_waiting() {
    #[derive(Debug)]
    struct Single;
    impl Clone for Single {
        fn clone(&self) -> Self {
            resume_unwind(Box::new("there is only one"));
        }
    }
    everywhere(|| {
        let flight: SingleFlight<u8, Single> = SingleFlight::new();
        let (end, how) = chan::bounded::<()>(0);
        let (begun, has_begun) = chan::bounded(0);
        let other = flight.clone();
        let first = go(move || {
            other.run(1, || {
                begun.send(()).unwrap();
                how.recv().unwrap();
                Single
            })
        });
        has_begun.recv().unwrap();
        let mut second = Box::pin(flight.run_async(1, || Single));
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        end.send(()).unwrap();
        assert_eq!(text(&*first.join().unwrap_err()), "there is only one");
        let payload = catch_unwind(AssertUnwindSafe(|| wait(second))).unwrap_err();
        assert!(text(&*payload).contains("did not run to its end"));
        assert!(!flight.run(1, || Single).1);
    });
}

#[test]
fn F05_goexit_reaches_every_waiter() {
    everywhere(|| {
        let flight = Flight::new();
        let first = Under::way(&flight, "key");
        let others = joined(&flight, "key", 3);
        let mut outside = Box::pin(flight.run_async("key".into(), must_not_run));
        assert!(outside.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        first.end.send(|| gosched::goexit()).unwrap();
        assert!(first.child.join().unwrap_err().is::<Goexit>());
        for other in others {
            assert!(other.join().unwrap_err().is::<Goexit>());
        }
        // A thread cannot exit like a goroutine.
        let on_a_thread = thread::spawn(move || block_on(outside)).join().unwrap_err();
        assert!(text(&*on_a_thread).ends_with("called goexit"));
        assert_eq!(flight.run("key".into(), || 1), (1, false));
    });
}

#[test]
fn F06_a_result_is_not_kept() {
    let flight: SingleFlight<u8, Arc<u8>> = SingleFlight::new();
    let value = Arc::new(1);
    for n in 0..3 {
        let (got, shared) = flight.run(1, || value.clone());
        assert_eq!((*got, shared), (1, false));
        drop(got);
        assert_eq!(Arc::strong_count(&value), 1, "after run {n}");
    }
    let for_future = value.clone();
    drop(wait(flight.run_async(1, move || for_future)));
    eventually("its goroutine has let go", || Arc::strong_count(&value) == 1);
}

#[test]
fn F06_who_comes_as_a_run_ends_is_not_left_behind() {
    bounded(|| {
        const ROUNDS: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
        let (flight, runs, unshared) = (SingleFlight::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = || {
            for _ in 0..ROUNDS {
                let (_, shared) = flight.run((), || runs.fetch_add(1, Ordering::SeqCst));
                unshared.fetch_add(usize::from(!shared), Ordering::SeqCst);
            }
        };
        thread::scope(|s| (0..3).for_each(|_| drop(s.spawn(ask))));
        let (runs, unshared) = (runs.into_inner(), unshared.into_inner());
        assert!(
            unshared <= runs && runs - unshared <= (3 * ROUNDS - unshared) / 2,
            "{runs} runs, {unshared}"
        );
    });
}

#[test]
fn a_run_that_is_lost_with_its_runtime_tells_the_waiters() {
    bounded(|| {
        let flight: SingleFlight<u8, u8> = SingleFlight::new();
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let starting = flight.clone();
        // `main` ends before its only worker comes to the goroutine with the run, which is then never started.
        let starter = runtime.run(move || {
            let mut starter = Box::pin(starting.run_async(1, || 1));
            let poll = starter.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            poll.is_pending().then_some(starter)
        });
        drop(runtime);
        let Some(starter) = starter else { return };
        match catch_unwind(AssertUnwindSafe(|| wait(starter))) {
            Ok(result) => assert_eq!(result, (1, false), "it was run after all"),
            Err(payload) => assert!(text(&*payload).contains("did not run to its end")),
        }
        assert_eq!(flight.run(1, || 2), (2, false));
    });
}

#[test]
fn F01_a_storm_of_callers_and_cancellations_gives_everybody_a_value_of_its_time() {
    everywhere(|| {
        const ROUNDS: usize = 100;
        const KEYS: usize = 3;
        let flight: SingleFlight<usize, (usize, usize)> = SingleFlight::new();
        // How many runs of each key have begun, and whether one is under way.
        let begun: Arc<[AtomicUsize; KEYS]> = Arc::default();
        let inside: Arc<[AtomicUsize; KEYS]> = Arc::default();
        let wg = WaitGroup::new();
        let work = {
            let (begun, inside) = (begun.clone(), inside.clone());
            move |key: usize| {
                assert_eq!(inside[key].fetch_add(1, Ordering::SeqCst), 0, "two runs at once");
                let run = begun[key].fetch_add(1, Ordering::SeqCst);
                yield_now();
                inside[key].fetch_sub(1, Ordering::SeqCst);
                (key, run)
            }
        };
        let check = {
            let begun = begun.clone();
            move |key: usize, before: usize, (of, run): (usize, usize)| {
                assert_eq!(of, key);
                // The run that was under way when we came, or a later one; never one that was over.
                assert!(run + 1 >= before && run < begun[key].load(Ordering::SeqCst), "{run} {before}");
            }
        };
        for i in 0..6 {
            let (flight, begun, work, check) = (flight.clone(), begun.clone(), work.clone(), check.clone());
            wg.go(move || {
                for round in 0..ROUNDS {
                    let key = (i + round) % KEYS;
                    let before = begun[key].load(Ordering::SeqCst);
                    let work = work.clone();
                    match (i + round) % 4 {
                        // Looks once and goes.
                        0 => {
                            let mut run = Box::pin(flight.run_async(key, move || work(key)));
                            let _ = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                        }
                        1 => check(key, before, wait(flight.run_async(key, move || work(key))).0),
                        _ => check(key, before, flight.run(key, || work(key)).0),
                    }
                }
            });
        }
        let (done, async_flight, async_begun) = (wg.clone(), flight.clone(), begun.clone());
        let (async_work, async_check) = (work.clone(), check.clone());
        wg.add(1);
        go_async(async move {
            for round in 0..ROUNDS {
                let (key, work) = (round % KEYS, async_work.clone());
                let before = async_begun[key].load(Ordering::SeqCst);
                async_check(key, before, async_flight.run_async(key, move || work(key)).await.0);
            }
            done.done();
        });
        let (thread_flight, thread_work) = (flight.clone(), work.clone());
        let thread = thread::spawn(move || {
            (0..ROUNDS).for_each(|round| {
                assert_eq!(thread_flight.run(round % KEYS, || thread_work(round % KEYS)).0.0, round % KEYS)
            });
        });
        wg.wait();
        // Joined only then: it may wait for a run of this very worker, whose starter has gone.
        eventually("the thread has ended", || thread.is_finished());
        thread.join().unwrap();
        // Runs whose starters have gone end by themselves; nothing is left in the way of the next.
        eventually("no run is under way", || inside.iter().all(|n| n.load(Ordering::SeqCst) == 0));
        for key in 0..KEYS {
            eventually("its key is free", || flight.run(key, || (key, usize::MAX)).0 == (key, usize::MAX));
        }
    });
}
