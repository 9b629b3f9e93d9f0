//! `Runtime::try_run`, which returns the deadlock.

use super::common::ms;
use super::{Test, masked, program, result};
use gosched::chan::{bounded, never};
use gosched::debug::{Deadlock, GoroutineState};
use gosched::sync::Mutex;
use gosched::{Runtime, WaitReason, go, goexit};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const TESTS: &[Test] = &[
    ("D01_try_run_returns_the_deadlock_as_data", succeeds, data),
    ("D01_try_run_returns_what_the_closure_does", succeeds, value),
    ("D01_it_is_found_within_100_ms", succeeds, in_time),
    ("D01_everybody_in_try_run_is_told_and_the_process_goes_on", succeeds, everybody),
    ("D02_try_run_of_a_main_that_calls_goexit", succeeds, goexit_as_data),
    ("D01_a_runtime_can_be_used_after_a_deadlock", succeeds, again),
    ("D01_a_storm_of_deadlocks", succeeds, storm),
];

fn succeeds(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

fn data() {
    let deadlock: Deadlock = runtime(2)
        .try_run(|| {
            let mutex = Arc::new(Mutex::new(()));
            let _held = mutex.lock();
            let other = mutex.clone();
            let child = go(move || drop(other.lock()));
            child.join().unwrap();
        })
        .unwrap_err();
    let states: Vec<_> = deadlock.goroutines.iter().map(|info| info.state).collect();
    let [main, child] = &deadlock.goroutines[..] else { panic!("{deadlock}") };
    assert_eq!(
        states,
        [GoroutineState::Waiting(WaitReason::Join), GoroutineState::Waiting(WaitReason::MutexLock)]
    );
    assert_eq!((main.name.as_deref(), child.parent), (Some("main"), main.id));
    assert!(child.waits_at.unwrap().file().ends_with("data.rs"));
    let text = "fatal error: all goroutines are asleep - deadlock!\n\n\
                goroutine 1 \"main\" [join]:\nwaits at\n\tdata.rs:N\nmain of a runtime, created at\n\tdata.rs:N\n\n\
                goroutine 2 [sync.Mutex.Lock]:\nwaits at\n\tdata.rs:N\ncreated by go in goroutine 1\n\tdata.rs:N\n";
    assert_eq!(masked(&deadlock.to_string()), text, "\n{deadlock}");
    assert_eq!(format!("{deadlock:?}"), deadlock.to_string(), "it is to be read where `unwrap` prints it");
}

fn value() {
    let runtime = runtime(1);
    assert_eq!(runtime.try_run(|| go(|| 7).join().unwrap()).unwrap(), 7);
    let panic =
        std::panic::catch_unwind(|| runtime.try_run(|| std::panic::resume_unwind(Box::new("thrown"))));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"thrown"));
}

/// Somebody else may have the processors for a moment; not each time.
fn in_time() {
    let runtime = runtime(2);
    let quickest = (0..20).map(|_| {
        let (tell, told) = std::sync::mpsc::channel();
        runtime
            .try_run(move || {
                go(gosched::yield_now).join().unwrap();
                tell.send(Instant::now()).unwrap();
                let _ = never::<u8>().recv();
            })
            .unwrap_err();
        told.recv().unwrap().elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest <= Duration::from_millis(100), "{quickest:?}");
}

fn everybody() {
    // All threads sleep in the library, else they would be some that can still do something.
    let (tell, told) = bounded(2);
    for _ in 0..2 {
        let tell = tell.clone();
        drop(thread::spawn(move || {
            let deadlock = runtime(1).try_run(|| never::<u8>().recv().is_ok()).unwrap_err();
            tell.send(deadlock).unwrap();
        }));
    }
    // This one would end the process.
    let (tx, rx) = bounded::<u8>(0);
    let waits = go(move || rx.recv());
    let joins = thread::spawn(move || waits.join().unwrap());
    for _ in 0..2 {
        let deadlock: Deadlock = told.recv().unwrap();
        assert_eq!(deadlock.goroutines.len(), 3, "{deadlock}");
    }
    tx.send(1).unwrap();
    assert_eq!(joins.join().unwrap(), Ok(1));
}

fn goexit_as_data() {
    let runtime = runtime(1);
    let none: Result<(), Deadlock> = runtime.try_run(|| {
        drop(go(|| gosched::time::sleep(ms(150))));
        goexit()
    });
    let none = none.unwrap_err();
    assert_eq!(none.to_string(), "fatal error: no goroutines (main called runtime.Goexit) - deadlock!");
    assert!(none.goroutines.is_empty());
    let some: Result<(), Deadlock> = runtime.try_run(|| {
        drop(go(|| never::<u8>().recv()));
        goexit()
    });
    let some = some.unwrap_err();
    assert_eq!(some.goroutines.len(), 1);
    assert!(
        some.to_string().starts_with("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine "),
        "{some}"
    );
}

fn again() {
    let runtime = runtime(2);
    let (tx, rx) = bounded(0);
    let first = runtime.try_run(move || rx.recv()).unwrap_err();
    assert_eq!(first.goroutines.len(), 1);
    // The goroutine of the first one is still there.
    let second = runtime.try_run(|| never::<u8>().recv()).unwrap_err();
    assert_eq!(second.goroutines.len(), 2);
    tx.send(1).unwrap();
    assert_eq!(runtime.try_run(|| 2).unwrap(), 2);
}

/// Goroutines that wake each other across workers, at random, until the last of them falls asleep: always found, and
/// never before.
fn storm() {
    for round in 0..20u64 {
        let runtime = runtime(1 + round as usize % 3);
        let (tell, told) = std::sync::mpsc::channel();
        let deadlock = runtime.try_run(move || {
            let (tx, rx) = bounded::<u64>(0);
            let children: Vec<_> = (0..8)
                .map(|n| {
                    let (tx, rx) = (tx.clone(), rx.clone());
                    go(move || {
                        for i in 0..200 {
                            if n % 2 == 0 {
                                tx.send(i).is_ok()
                            } else {
                                rx.recv().is_ok()
                            };
                        }
                    })
                })
                .collect();
            children.into_iter().for_each(|child| child.join().unwrap());
            tell.send(()).unwrap();
            rx.recv().unwrap()
        });
        assert_eq!(deadlock.unwrap_err().goroutines.len(), 1);
        told.recv().expect("not before");
    }
}
