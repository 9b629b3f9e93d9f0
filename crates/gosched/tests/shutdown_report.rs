//! `Runtime::shutdown`: what would not end, as data.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::until;
use common::{HOUR, MS, PATIENCE, bounded_as, eventually, modes, ms, panic_text};
use gosched::chan;
use gosched::debug::{self, GoroutineInfo, GoroutineState};
use gosched::goroutine::{Builder, ShutDown};
use gosched::runtime::Unfinished;
use gosched::time::clock::Clock;
use gosched::{Runtime, WaitReason, blocking, current, go, go_async, no_suspend, time, yield_now};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Calls `body` with a runtime of each mode, bounded in time.
#[track_caller]
fn each(body: fn(Runtime)) {
    for mode in modes() {
        bounded_as(mode.name, move || body(mode.runtime));
    }
}

fn state_of(id: u64) -> Option<GoroutineState> {
    debug::goroutines().iter().find(|info| info.id == id).map(|info| info.state)
}

/// Waits until that goroutine waits for that.
#[track_caller]
fn until_waiting(id: u64, reason: WaitReason) {
    eventually("it waits", || state_of(id) == Some(GoroutineState::Waiting(reason)));
}

/// The one in a list.
#[track_caller]
fn only(list: &[GoroutineInfo]) -> &GoroutineInfo {
    assert_eq!(list.len(), 1, "{list:?}");
    &list[0]
}

fn is_empty(left: &Unfinished) -> bool {
    left.is_empty() && left.to_string() == "0 goroutines still running, 0 abandoned, 0 dropped"
}

#[test]
fn nothing_is_left_of_a_runtime_whose_goroutines_have_ended() {
    each(|runtime| {
        runtime.run(|| {
            let handles: Vec<_> = (0..50).map(|n| go(move || n)).collect();
            assert_eq!(handles.into_iter().map(|handle| handle.join().unwrap()).sum::<i32>(), 1225);
        });
        let handle = runtime.handle();
        let start = Instant::now();
        let left = runtime.shutdown(HOUR);
        assert!(is_empty(&left), "{left}");
        assert!(start.elapsed() < PATIENCE);
        assert!(panic_text(|| handle.go(|| ())).contains("has been shut down"));
    });
    // Nothing has ever run.
    assert!(is_empty(&Runtime::new().unwrap().shutdown(Duration::ZERO)));
    assert!(is_empty(&Runtime::new().unwrap().shutdown(Duration::MAX)));
}

#[test]
fn what_is_parked_is_abandoned_and_named() {
    each(|runtime| {
        let (tx, rx) = chan::bounded::<()>(0);
        let dropped = Arc::new(AtomicBool::new(false));
        struct Raises(Arc<AtomicBool>);
        impl Drop for Raises {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let raises = Raises(dropped.clone());
        let lines = (line!() + 3, line!() + 5);
        let (id, main) = runtime.run(|| {
            let forgotten = Builder::new().name("forgotten");
            let forgotten = forgotten.spawn(move || {
                let _raises = raises;
                let _ = rx.recv();
            });
            let id = forgotten.unwrap().id();
            until_waiting(id, WaitReason::ChanReceive);
            (id, current().id())
        });
        // However long the patience: it does not come back by itself.
        let left = runtime.shutdown(HOUR);
        let info = only(&left.abandoned);
        assert_eq!((info.id, info.parent, info.name.as_deref()), (id, main, Some("forgotten")));
        assert_eq!(info.state, GoroutineState::Waiting(WaitReason::ChanReceive));
        assert_eq!((info.created_at.line(), info.waits_at.unwrap().line()), lines);
        assert!(info.stackful && info.runtime.is_some() && info.waiting.is_some());
        assert!(left.running.is_empty() && left.dropped == 0, "{left}");
        let text = left.to_string();
        assert!(
            text.starts_with("0 goroutines still running, 1 abandoned, 0 dropped\n\ngoroutine "),
            "{text}"
        );
        assert!(text.contains(" \"forgotten\" [chan receive]:"), "{text}");
        // It is not among the goroutines any more, and is not woken.
        assert_eq!(state_of(id), None);
        drop(tx);
        thread::sleep(ms(2));
        assert!(!dropped.load(Ordering::SeqCst), "abandoned on its stack");
    });
}

#[test]
fn what_can_be_dropped_is_dropped_and_counted() {
    each(|runtime| {
        let drops = Arc::new(AtomicUsize::new(0));
        struct Counts(Arc<AtomicUsize>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let handles: Vec<_> = runtime.run(|| {
            let handles: Vec<_> = (0..7)
                .map(|_| {
                    let counts = Counts(drops.clone());
                    go_async(async move {
                        let _counts = counts;
                        pending::<()>().await
                    })
                })
                .collect();
            for handle in &handles {
                until_waiting(handle.id(), WaitReason::Future);
            }
            handles
        });
        let left = runtime.shutdown(HOUR);
        assert_eq!((left.dropped, left.running.len(), left.abandoned.len()), (7, 0, 0), "{left}");
        assert!(!left.is_empty());
        assert_eq!(drops.load(Ordering::SeqCst), 7);
        for handle in handles {
            assert!(handle.join().unwrap_err().is::<ShutDown>());
        }
    });
}

#[test]
fn what_runs_is_waited_for_until_the_time_is_up() {
    each(|runtime| {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (tx, rx) = chan::bounded(0);
        let hog = runtime.handle().go(move || {
            // Whoever sees this sees it running.
            no_suspend(|| tx.send(current().id()).unwrap());
            while !stopped.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            7
        });
        let id = rx.recv().unwrap();
        let start = Instant::now();
        let left = runtime.shutdown(30 * MS);
        assert!(start.elapsed() >= 30 * MS);
        let info = only(&left.running);
        assert_eq!((info.id, info.state), (id, GoroutineState::Running));
        assert!(left.abandoned.is_empty() && left.dropped == 0, "{left}");
        // It goes on, and ends as it would have.
        assert!(!hog.is_finished());
        stop.store(true, Ordering::SeqCst);
        assert_eq!(hog.join().unwrap(), 7);
    });
}

#[test]
fn what_comes_back_in_time_is_not_among_the_running() {
    each(|runtime| {
        let (tx, rx) = chan::bounded(2);
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, blocks) = (stop.clone(), stop.clone());
        let (tx1, tx2) = (tx.clone(), tx);
        let ended = runtime.handle().go(move || {
            no_suspend(|| tx1.send(0).unwrap());
            while !ends.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            7
        });
        assert_eq!(rx.recv(), Ok(0));
        // One worker has no place for a second one that runs.
        let two = gosched::runtime::Handle::clone(&runtime.handle());
        let blocked = two.go(move || {
            no_suspend(|| tx2.send(1).unwrap());
            while !blocks.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            time::sleep(HOUR);
        });
        let runs_both = rx.recv_timeout(20 * MS).is_ok();
        let stopper = thread::spawn(move || {
            thread::sleep(20 * MS);
            stop.store(true, Ordering::SeqCst);
        });
        let left = runtime.shutdown(HOUR);
        stopper.join().unwrap();
        assert_eq!(ended.join().unwrap(), 7);
        assert!(left.running.is_empty(), "{left}");
        if runs_both {
            let info = only(&left.abandoned);
            assert_eq!((info.id, info.state), (blocked.id(), GoroutineState::Waiting(WaitReason::Sleep)));
        }
        assert!(blocked.join().unwrap_err().is::<ShutDown>());
    });
}

#[test]
fn what_is_in_a_blocking_call_is_abandoned_and_its_call_goes_on() {
    each(|runtime| {
        let (began, begins) = chan::bounded(0);
        let (end, ends) = chan::bounded::<()>(0);
        let (done, is_done) = chan::bounded(0);
        let waits = runtime.handle().go(move || {
            blocking(|| {
                began.send(()).unwrap();
                let _ = ends.recv();
                done.send("to its end").unwrap();
            });
            unreachable!("its runtime is gone");
        });
        begins.recv().unwrap();
        until_waiting(waits.id(), WaitReason::Blocking);
        let start = Instant::now();
        let left = runtime.shutdown(HOUR);
        assert!(start.elapsed() < PATIENCE, "nobody waits for the call");
        let info = only(&left.abandoned);
        assert_eq!((info.id, info.state), (waits.id(), GoroutineState::Waiting(WaitReason::Blocking)));
        assert!(left.running.is_empty(), "{left}");
        drop(end);
        assert_eq!(is_done.recv(), Ok("to its end"));
        assert!(waits.join().map(|never: ()| never).unwrap_err().is::<ShutDown>());
    });
}

#[test]
fn what_yields_for_ever_is_abandoned_in_the_queue() {
    each(|runtime| {
        let (tx, rx) = chan::bounded(1);
        let yields = runtime.handle().go(move || {
            tx.send(()).unwrap();
            loop {
                yield_now();
            }
        });
        rx.recv().unwrap();
        let left = runtime.shutdown(HOUR);
        let info = only(&left.abandoned);
        assert_eq!((info.id, info.state, info.waits_at), (yields.id(), GoroutineState::Runnable, None));
        assert!(left.running.is_empty(), "{left}");
    });
}

#[test]
fn inside_a_goroutine_it_panics_as_run_does_and_beside_one_it_works() {
    each(|runtime| {
        runtime.run(|| {
            let other = Runtime::builder().workers(1).build().unwrap();
            let text = panic_text(|| other.shutdown(MS));
            assert!(text.contains("inside a goroutine") && text.contains("gosched::blocking"), "{text}");
            let other = Runtime::builder().workers(1).build().unwrap();
            let left = blocking(|| other.shutdown(HOUR));
            assert!(left.is_empty(), "{left}");
            assert_eq!(go(|| 1).join().unwrap(), 1);
        });
        // A goroutine of its own runtime, in a blocking call: it is among the abandoned.
        let handle = runtime.handle();
        let (told, hears) = chan::bounded(1);
        let own = handle.go(move || blocking(|| told.send(runtime.shutdown(HOUR)).unwrap()));
        let left = hears.recv().unwrap();
        let info = only(&left.abandoned);
        assert_eq!((info.id, info.state), (own.id(), GoroutineState::Waiting(WaitReason::Blocking)));
        assert!(own.join().unwrap_err().is::<ShutDown>());
    });
}

#[test]
fn a_clock_that_is_moved_by_hand_does_not_count() {
    let clock = Clock::manual();
    let runtime = Runtime::builder().workers(1).clock(&clock).build().unwrap();
    bounded_as("a clock that stands still", move || {
        let sleeper = runtime.run(|| {
            let sleeper = go(|| time::sleep(MS));
            until("it sleeps", || state_of(sleeper.id()) == Some(GoroutineState::Waiting(WaitReason::Sleep)));
            sleeper
        });
        let left = runtime.shutdown(20 * MS);
        assert_eq!(only(&left.abandoned).id, sleeper.id());
        clock.advance(HOUR);
        assert!(sleeper.join().unwrap_err().is::<ShutDown>());
    });
}

#[test]
fn thousands_are_all_listed_once() {
    each(|runtime| {
        let (tx, rx) = chan::bounded::<()>(0);
        let many = if common::goroutines_are_threads() { 100 } else { 500 };
        let ids: Vec<u64> = runtime.run(|| {
            let handles: Vec<_> = (0..many)
                .map(|_| {
                    let rx = rx.clone();
                    go(move || rx.recv())
                })
                .collect();
            let ids: Vec<u64> = handles.iter().map(|handle| handle.id()).collect();
            ids.iter().for_each(|&id| until_waiting(id, WaitReason::ChanReceive));
            ids
        });
        let left = runtime.shutdown(HOUR);
        let mut expected = ids;
        expected.sort_unstable();
        assert!(left.abandoned.iter().map(|info| info.id).eq(expected));
        drop(tx);
    });
}
