//! The rows of FEATURES.md about goroutines that ask who may do what to whom: panics, ends, what is inherited,
//! and how many run at once (G07, G11, G15, G16, G18, G28). The rest is in `goroutines.rs` and `scheduling.rs`.
//!
//! G02 (`go` of a nil function) and G17 (Go's names of a goroutine's states) have no meaning here: a closure is
//! never nil, and our states are `task::state`'s.
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, everywhere, is_child, modes, one_worker, start, text};
use gosched::goroutine::Builder;
use gosched::runtime::Handle;
use gosched::sync::WaitGroup;
use gosched::{
    Runtime, chan, current, go, go_async, goroutine_local, no_suspend, select, time, wait, yield_now,
};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn G07_a_goroutine_catches_its_own_panics_and_nobody_elses() {
    everywhere(|| {
        let panics = |what: &'static str| -> Box<dyn FnOnce() + Send> {
            Box::new(move || resume_unwind(Box::new(what)))
        };
        // Its own, also between two blocking calls, and goes on.
        let handle = go(move || {
            yield_now();
            let caught = catch_unwind(AssertUnwindSafe(panics("own"))).unwrap_err();
            yield_now();
            assert!(!std::thread::panicking());
            text(&*caught)
        });
        assert_eq!(handle.join().unwrap(), "own");
        // A child's does not come up through the call that started it, whatever is around that.
        let around = catch_unwind(AssertUnwindSafe(|| {
            let child = go(panics("child's"));
            let polled = go_async(async move { panics("task's")() });
            (0..10).for_each(|_| yield_now());
            (child, polled)
        }));
        let (child, polled) = around.expect("nothing reached this goroutine");
        assert_eq!(text(&*child.join().unwrap_err()), "child's");
        assert_eq!(text(&*polled.join().unwrap_err()), "task's");
        // While one unwinds others run, and see nothing of it.
        let catches =
            go(|| catch_unwind(|| (0..20).for_each(|_| yield_now())).is_ok() && !std::thread::panicking());
        (0..5).for_each(|_| assert!(go(panics("again")).join().is_err()));
        assert!(catches.join().unwrap());
    });
}

#[test]
fn G11_exit_ends_the_process_at_once_from_any_goroutine() {
    struct Says(&'static str);
    impl Drop for Says {
        fn drop(&mut self) {
            println!("dropped: {}", self.0);
        }
    }
    if is_child() {
        for mode in modes() {
            if std::env::var("MODE").unwrap() == mode.name {
                mode.runtime.run(|| {
                    let _main = Says("main's");
                    let (_open, rx) = chan::bounded::<()>(0);
                    let waits = go(move || {
                        let _parked = Says("a parked goroutine's");
                        let _ = rx.recv();
                    });
                    yield_now();
                    let exits = go(|| {
                        let _own = Says("its own");
                        std::process::exit(7)
                    });
                    let never: Result<(), _> = exits.join();
                    drop((never, waits));
                });
            }
        }
        return;
    }
    for mode in modes() {
        let child = Child::new("G11_exit_ends_the_process_at_once_from_any_goroutine");
        let output = child.env("MODE", mode.name).output();
        assert_eq!(output.status.code(), Some(7), "{}: {}", mode.name, common::stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("dropped"), "{}: {said}", mode.name);
    }
}

#[test]
fn G15_a_child_inherits_its_runtime_and_nothing_else_that_can_be_seen() {
    goroutine_local! {
        static OWN: Cell<u32> = Cell::new(1);
    }
    everywhere(|| {
        let parent = Builder::new().name("parent").spawn(|| {
            OWN.with(|own| own.set(5));
            let seen = || {
                (OWN.with(Cell::get), current().name().map(str::to_owned), Handle::try_current().is_some())
            };
            // Started where nothing may suspend: the child may all the same.
            let child = no_suspend(|| {
                go(move || {
                    let before = Instant::now();
                    time::sleep(Duration::from_millis(1));
                    assert!(before.elapsed() >= Duration::from_millis(1));
                    seen()
                })
            });
            let task = go_async(async move { seen() });
            [seen(), child.join().unwrap(), task.join().unwrap()]
        });
        let [own, child, task] = parent.unwrap().join().unwrap();
        assert_eq!(own, (5, Some("parent".to_owned()), true));
        assert_eq!((&child, &task), (&(1, None, true), &(1, None, true)));
        assert_eq!(OWN.with(Cell::get), 1);
    });
}

#[test]
fn G16_nobody_ends_a_goroutine_but_itself() {
    everywhere(|| {
        // Cancelling is asking: over a channel that is closed, which all of them see.
        let (stop, stopped) = chan::bounded::<()>(0);
        let (turns, ended) = (Arc::new(AtomicUsize::new(0)), WaitGroup::new());
        for _ in 0..5 {
            let (stopped, turns, ended) = (stopped.clone(), turns.clone(), ended.clone());
            ended.add(1);
            // Dropping the handle lets it go on.
            drop(go(move || {
                while select! { recv(stopped) -> _ => false, default => true } {
                    turns.fetch_add(1, Ordering::SeqCst);
                    yield_now();
                }
                ended.done();
            }));
        }
        let before = turns.load(Ordering::SeqCst);
        common::eventually("they go on", || turns.load(Ordering::SeqCst) > before + 100);
        stop.close();
        ended.wait();
        // A join that is given up ends nobody, either.
        let (tx, rx) = chan::bounded(1);
        let done = Arc::new(AtomicBool::new(false));
        let does = done.clone();
        let mut handle = go(move || {
            let _ = rx.recv();
            does.store(true, Ordering::SeqCst);
        });
        let polled = wait(std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut handle).poll(cx).is_pending())
        }));
        assert!(polled);
        drop(handle);
        tx.send(()).unwrap();
        common::eventually("it has gone on to its end", || done.load(Ordering::SeqCst));
    });
}

#[test]
fn G18_no_more_goroutines_run_at_once_than_there_are_workers() {
    let pinned = |workers| Runtime::builder().workers(workers);
    // SAFETY: nothing here is bound to a thread.
    let migrating = unsafe { pinned(2).migrate() };
    let modes = [
        ("one", 1, pinned(1)),
        ("two", 2, pinned(2)),
        ("migrating", 2, migrating),
        ("threads", 2, pinned(2).os_threads()),
    ];
    for (name, workers, builder) in modes {
        bounded(move || {
            // On a busy machine somebody would stand in for a worker that the system has interrupted.
            let runtime = builder.max_threads(workers).build().unwrap();
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            runtime.run(|| {
                let handles: Vec<_> = (0..8)
                    .map(|i| {
                        let (running, most) = (running.clone(), most.clone());
                        let work = move || {
                            for _ in 0..10 {
                                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                                most.fetch_max(now, Ordering::SeqCst);
                                let end = Instant::now() + Duration::from_micros(300);
                                while Instant::now() < end {
                                    std::hint::spin_loop();
                                }
                                running.fetch_sub(1, Ordering::SeqCst);
                                yield_now();
                            }
                        };
                        if i % 4 == 3 { go_async(async move { work() }) } else { go(work) }
                    })
                    .collect();
                handles.into_iter().for_each(|handle| handle.join().unwrap());
            });
            let most = most.load(Ordering::SeqCst);
            assert!((1..=workers).contains(&most), "{name}: {most} ran at once");
        });
    }
}

#[test]
fn G28_who_wakes_another_goes_on_itself() {
    one_worker(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |who: &'static str| {
            let log = log.clone();
            move || log.lock().unwrap().push(who)
        };
        let (tx, rx) = chan::bounded::<()>(0);
        let (wg, mutex) = (WaitGroup::new(), Arc::new(gosched::sync::Mutex::new(())));
        wg.add(1);
        let (waits, locks, own, own_mutex) = (note("waiter"), note("locker"), wg.clone(), mutex.clone());
        let receives = note("receiver");
        let guard = mutex.lock();
        let handles = [
            start(move || {
                rx.recv().unwrap();
                receives();
            }),
            start(move || {
                own.wait();
                waits();
            }),
            start(move || {
                drop(own_mutex.lock());
                locks();
            }),
        ];
        let main = note("main");
        tx.send(()).unwrap();
        main();
        wg.done();
        main();
        drop(guard);
        main();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        let log = log.lock().unwrap();
        assert_eq!(log[..3], ["main"; 3], "{log:?}");
        assert_eq!(log.len(), 6);
    });
}
