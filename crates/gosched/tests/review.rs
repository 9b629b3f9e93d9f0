//! What a review of the core found, once each: foreign code that panics where the library calls it, goroutine-local
//! values that use themselves, busy workers, shutdowns that race with wakes, wakes that reach the wrong one.
//!
//! What needs a process of its own is in `review_process`; users' coroutines have `coroutines`, the reverse affinity
//! check is in `traps`.
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, modes, text};
use gosched::goroutine::ShutDown;
use gosched::{
    JoinHandle, Runtime, blocking, blocking_async, chan, go, go_async, goroutine_local, num_goroutine, time,
    yield_now,
};
use std::any::Any;
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Panics when it is dropped, also as the payload of a panic. (Quietly: no hook is called.)
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("from a bomb"));
    }
}

/// Panics with a bomb for a payload when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        resume_unwind(Box::new(Bomb));
    }
}

#[track_caller]
fn is_bomb(payload: Box<dyn Any + Send>) {
    assert!(payload.is::<Bomb>(), "{}", text(&*payload));
    forget(payload);
}

/// Calls `f`, and turns a bomb that it lets escape into an ordinary failure: the test harness does not survive one.
#[track_caller]
fn contained(f: impl FnOnce()) {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => {}
        Err(payload) if payload.is::<Bomb>() => {
            forget(payload);
            panic!("a panic of a destructor has escaped");
        }
        Err(payload) => resume_unwind(payload),
    }
}

/// A foreign waker that panics, and whose panic's payload panics in its turn.
#[derive(Default)]
struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        resume_unwind(Box::new(Bomb));
    }
}

impl Panics {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

// ---- foreign code that panics ---------------------------------------------------------------

/// Ten timers of a waker that panics, among ten others, all due at once.
fn timers_beside_a_panicking_waker() {
    let panics = Arc::new(Panics::default());
    let waker = Waker::from(panics.clone());
    let mut cx = Context::from_waker(&waker);
    let due = Instant::now() + Duration::from_millis(200);
    let mut polled = Vec::new();
    let others: Vec<_> = (0..10)
        .map(|i| {
            let mut sleep = Box::pin(time::sleep_until_async(due));
            assert!(sleep.as_mut().poll(&mut cx).is_pending());
            polled.push(sleep);
            match i % 2 {
                0 => go_async(async move { time::sleep_until_async(due).await }),
                _ => go(move || time::sleep_until(due)),
            }
        })
        .collect();
    others.into_iter().for_each(|other| other.join().unwrap());
    common::eventually("each has been woken", || panics.count() == 10);
    // The thread that woke them goes on.
    time::sleep(Duration::from_millis(1));
    assert_eq!(go(|| 1).join().unwrap(), 1);
    for mut sleep in polled {
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }
}

#[test]
fn a_foreign_wakers_panic_harms_neither_the_worker_nor_other_timers() {
    everywhere(|| contained(timers_beside_a_panicking_waker));
}

#[test]
fn a_foreign_wakers_panic_does_not_harm_the_timers_of_plain_threads() {
    bounded(|| contained(timers_beside_a_panicking_waker));
}

#[test]
fn a_foreign_joiners_panic_does_not_harm_the_worker() {
    everywhere(|| {
        let panics = Arc::new(Panics::default());
        let waker = Waker::from(panics.clone());
        let mut cx = Context::from_waker(&waker);
        for round in 0..20 {
            let (go_on, waits) = chan::bounded::<()>(0);
            let mut handle = match round % 2 {
                0 => go(move || waits.recv().is_err()),
                _ => go_async(async move { waits.recv_async().await.is_err() }),
            };
            assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
            drop(go_on);
            common::eventually("the joiner has been woken", || panics.count() == round + 1);
            assert!(handle.join().unwrap());
        }
        common::eventually("only main is left", || num_goroutine() == 1);
    });
}

#[test]
fn G06_payloads_outputs_and_futures_that_panic_when_dropped_harm_nobody() {
    everywhere(|| contained(payloads_outputs_and_futures));
}

fn payloads_outputs_and_futures() {
    for round in 0..4 {
        // Joined: the payload is the joiner's.
        is_bomb(go(|| resume_unwind(Box::new(Bomb))).join().unwrap_err());
        is_bomb(go_async(async { drop(Mine) }).join().unwrap_err());
        // The future's own destructor, once its output is there.
        let held = Mine;
        let future = poll_fn(move |_| {
            let _ = &held;
            Poll::Ready(round)
        });
        drop(go_async(future).join());
        // Not joined: payloads, outputs, and both with the handle dropped at the end.
        drop(go(|| resume_unwind(Box::new(Bomb))));
        drop(go(|| Mine));
        drop(go_async(async { Mine }));
        for handle in [go(|| drop(Mine)), go_async(async { drop(Mine) })] {
            common::eventually("it has ended", || handle.is_finished());
            drop(handle);
        }
        let output = go(|| Mine);
        common::eventually("it has ended", || output.is_finished());
        drop(output);
        // What a blocking call leaves.
        is_bomb(catch_unwind(|| blocking(|| drop(Mine))).unwrap_err());
        // Dropped here or there, by who comes last.
        is_quiet(|| drop(blocking_async(|| Mine)));
    }
    common::eventually("only main is left", || num_goroutine() == 1);
    assert_eq!(go(|| 1).join().unwrap(), 1);
    assert_eq!(blocking(|| 2), 2);
}

/// Calls `f`, whose panics are its own affair.
fn is_quiet(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        forget(payload);
    }
}

#[test]
fn G06_panics_of_what_a_shutdown_drops_harm_nobody() {
    goroutine_local! {
        static MINE: Mine = Mine;
    }
    fn drop_it(runtime: Runtime) {
        let handle = runtime.handle();
        let started = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..24)
            .map(|i| {
                let (started, mine) = (started.clone(), (i % 2 == 0).then(|| Mine));
                handle.go_async(async move {
                    let _mine = mine;
                    MINE.with(|_| started.fetch_add(1, Ordering::SeqCst));
                    pending::<()>().await
                })
            })
            .collect();
        common::eventually("all have started", || started.load(Ordering::SeqCst) == 24);
        // Some that never start, in the queue behind one that is busy.
        let busy = handle.go(|| thread::sleep(Duration::from_millis(20)));
        let queued: Vec<_> =
            (0..24).map(|_| (Mine, &handle)).map(|(mine, on)| on.go(|| drop(mine))).collect();
        drop(runtime);
        for handle in handles {
            assert!(handle.join().unwrap_err().is::<ShutDown>());
        }
        for handle in queued.into_iter().chain([busy]) {
            if let Err(payload) = handle.join() {
                forget(payload);
            }
        }
    }
    for mode in modes() {
        bounded(move || contained(|| drop_it(mode.runtime)));
    }
}

#[test]
fn G06_goroutine_locals_whose_destructors_panic_harm_nobody() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Local;
    impl Drop for Local {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
            drop(Mine);
        }
    }
    goroutine_local! {
        static FIRST: Local = Local;
        static SECOND: Local = Local;
    }
    everywhere(|| {
        DROPS.store(0, Ordering::SeqCst);
        for _ in 0..10 {
            let both = || {
                FIRST.with(|_| ());
                SECOND.with(|_| 5)
            };
            assert_eq!(go(both).join().unwrap(), 5);
            assert_eq!(go_async(async move { both() }).join().unwrap(), 5);
            drop((go(both), go_async(async move { both() })));
            // A panic is not replaced by theirs.
            let own = go(move || {
                both();
                resume_unwind(Box::new("own"))
            });
            assert_eq!(text(&*own.join().map(|never: ()| never).unwrap_err()), "own");
        }
        common::eventually("only main is left", || num_goroutine() == 1);
        assert_eq!(DROPS.load(Ordering::SeqCst), 100);
    });
}

// ---- goroutine-local values that use themselves -----------------------------------------------

/// Goes through a key whose first expression uses the same key, three times deep.
fn recursive_initialiser() {
    struct Made(u32);
    impl Drop for Made {
        fn drop(&mut self) {
            if self.0 < 3 {
                OTHER.with(|other| other.set(other.get() + 1));
            }
        }
    }
    goroutine_local! {
        static DEPTH: Cell<u32> = Cell::new(0);
        static OTHER: Cell<u32> = Cell::new(0);
        static ITSELF: Made = {
            let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
            if depth < 3 {
                ITSELF.with(|_| ());
            }
            Made(depth)
        };
    }
    // The value that was made first stays; the others are dropped at once, and may use other keys then.
    assert_eq!(ITSELF.with(|made| made.0), 3);
    assert_eq!(OTHER.with(Cell::get), 3);
    assert_eq!(ITSELF.with(|made| made.0), 3);
    assert_eq!(DEPTH.with(Cell::get), 4);
}

#[test]
fn goroutine_locals_may_use_their_own_key_while_they_are_made() {
    everywhere(|| {
        recursive_initialiser();
        go(recursive_initialiser).join().unwrap();
        go_async(async { recursive_initialiser() }).join().unwrap();
    });
    bounded(recursive_initialiser);
}

#[test]
fn goroutine_locals_made_by_destructors_do_not_reach_the_next_goroutine() {
    struct MakesNext;
    impl Drop for MakesNext {
        fn drop(&mut self) {
            NEXT.with(|_| ());
        }
    }
    struct MakesLast;
    impl Drop for MakesLast {
        fn drop(&mut self) {
            LAST.with(|last| last.set(77));
        }
    }
    goroutine_local! {
        static FIRST: MakesNext = MakesNext;
        static NEXT: MakesLast = MakesLast;
        static LAST: Cell<u32> = Cell::new(0);
    }
    /// An output that makes them when it is dropped, after the goroutine's own were.
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            FIRST.with(|_| ());
        }
    }
    everywhere(|| {
        let look = || LAST.with(Cell::get);
        for round in 0..60 {
            match round % 6 {
                0 => drop(go(|| FIRST.with(|_| ()))),
                1 => drop(go_async(async { FIRST.with(|_| ()) })),
                2 => go(|| FIRST.with(|_| ())).join().unwrap(),
                3 => go_async(async { FIRST.with(|_| ()) }).join().unwrap(),
                4 => drop(go(|| Late)),
                _ => drop(go_async(async { Late })),
            }
            common::eventually("it has ended", || num_goroutine() == 1);
            // They get the header that was freed last.
            assert_eq!(go(look).join().unwrap(), 0, "round {round}");
            assert_eq!(go_async(async move { look() }).join().unwrap(), 0, "round {round}");
        }
        assert_eq!(look(), 0);
    });
}

#[test]
fn a_goroutine_local_whose_destructor_makes_it_again_ends_nevertheless() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Again(Cell<u32>);
    impl Drop for Again {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
            AGAIN.with(|again| again.0.set(1));
        }
    }
    goroutine_local! {
        static AGAIN: Again = Again(Cell::new(0));
    }
    everywhere(|| {
        DROPS.store(0, Ordering::SeqCst);
        for _ in 0..10 {
            // Each finds its own, new one.
            assert_eq!(go(|| AGAIN.with(|again| again.0.get())).join().unwrap(), 0);
            assert_eq!(go_async(async { AGAIN.with(|again| again.0.get()) }).join().unwrap(), 0);
        }
        let drops = DROPS.load(Ordering::SeqCst);
        assert!((20..1000).contains(&drops), "{drops}");
    });
}

// ---- joins -------------------------------------------------------------------------------------

#[test]
fn joins_that_are_given_up_take_no_other_joiners_waker() {
    // The race itself is a few instructions wide: `task::join` has its model for loom. Here is the rest around it.
    bounded(|| {
        let runtime = Runtime::builder().workers(3).build().unwrap();
        let on = Arc::new(AtomicBool::new(true));
        let rounds: Vec<_> = (0..6)
            .map(|_| {
                let on = on.clone();
                runtime.handle().go(move || {
                    let mut rounds = 0u32;
                    while on.load(Ordering::Relaxed) {
                        let child = |n| move || (yield_now(), n).1;
                        let children: Vec<_> = (0..4).map(|n| go(child(n))).collect();
                        let sum: u32 = children.into_iter().map(|child| child.join().unwrap()).sum();
                        assert_eq!(sum, 6);
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        // Threads that poll a join once and drop it just when its goroutine ends and its header is used again.
        let givers_up: Vec<_> = (0..2)
            .map(|_| {
                let (handle, on) = (runtime.handle(), on.clone());
                thread::spawn(move || {
                    while on.load(Ordering::Relaxed) {
                        let mut handles: Vec<_> = (0..8).map(|_| handle.go(|| ())).collect();
                        for handle in &mut handles {
                            let _ = Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()));
                        }
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_secs(1));
        on.store(false, Ordering::Relaxed);
        givers_up.into_iter().for_each(|thread| thread.join().unwrap());
        // Whoever has lost its waker never gets here.
        for rounds in rounds {
            assert!(rounds.join().unwrap() > 0);
        }
    });
}

// ---- scheduling --------------------------------------------------------------------------------

#[test]
fn G21_a_pair_that_alternates_between_queue_and_slot_does_not_starve_the_ring() {
    // The pair's rhythm has two phases; either must do.
    for shift in 0..2 {
        bounded(move || {
            let runtime = Runtime::builder().workers(1).build().unwrap();
            runtime.run(|| {
                let (tx, rx) = chan::bounded::<()>(1);
                let wake_the_other = || {
                    tx.send(()).unwrap();
                    yield_now();
                };
                drop(go(move || rx.iter().for_each(drop)));
                (0..10).for_each(|_| wake_the_other());
                if shift == 1 {
                    drop(go(|| ()));
                    (0..4).for_each(|_| yield_now());
                }
                (0..10).for_each(|_| wake_the_other());
                let ran = Arc::new(AtomicBool::new(false));
                let runs = ran.clone();
                // The second goroutine drives the first out of the slot, into the ring.
                drop(go(move || runs.store(true, Ordering::SeqCst)));
                drop(go(|| ()));
                let turns = (0..10_000).take_while(|_| {
                    wake_the_other();
                    !ran.load(Ordering::SeqCst)
                });
                let turns = turns.count();
                assert!(turns < 1000, "it has not run after {turns} turns");
            });
        });
    }
}

/// Keeps a worker from everything else until `done`, or for two seconds.
fn hog(done: &AtomicBool) {
    let start = Instant::now();
    while !done.load(Ordering::SeqCst) && start.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Judges how late timers were: none may have waited for a hog to end, and on the whole they are punctual.
#[track_caller]
fn punctual(mut late: Vec<Duration>) {
    late.sort();
    assert!(late[late.len() - 1] < Duration::from_secs(1), "{late:?}");
    assert!(late[late.len() / 2] < Duration::from_millis(100), "{late:?}");
}

#[test]
fn G25_timers_are_punctual_while_others_hog_and_some_sleep() {
    bounded(|| {
        let runtime = Runtime::builder().workers(3).build().unwrap();
        let handle = runtime.handle();
        let late = (0..8).map(|_| {
            // Long enough for all to fall asleep.
            thread::sleep(Duration::from_millis(60));
            let done = Arc::new(AtomicBool::new(false));
            let fired = done.clone();
            let timer = handle.go_async(async move {
                let due = Instant::now() + Duration::from_millis(30);
                time::sleep_until_async(due).await;
                fired.store(true, Ordering::SeqCst);
                Instant::now() - due
            });
            thread::sleep(Duration::from_millis(10));
            // One of the two gets the worker that slept until the timer.
            let hogs = [0, 3].map(|later| {
                thread::sleep(Duration::from_millis(later));
                let done = done.clone();
                handle.go(move || hog(&done))
            });
            let late = timer.join().unwrap();
            hogs.into_iter().for_each(|hog| hog.join().unwrap());
            late
        });
        punctual(late.collect());
    });
}

#[test]
fn G25_a_timer_set_just_before_a_long_computation_is_punctual() {
    /// When it was woken.
    struct Woken(chan::Sender<Instant>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.send(Instant::now()).unwrap();
        }
    }
    bounded(|| {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let late = (0..10).map(|_| {
            let (start, starts) = chan::bounded::<()>(1);
            let (woken, wakes) = chan::bounded(1);
            let done = Arc::new(AtomicBool::new(false));
            let fired = done.clone();
            let hogs = runtime.handle().go(move || {
                // Parked at home, so its own worker is woken, and nobody else.
                starts.recv().unwrap();
                let due = Instant::now() + Duration::from_millis(50);
                let mut sleep = Box::pin(time::sleep_until_async(due));
                let waker = Waker::from(Arc::new(Woken(woken)));
                let set = sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
                if set {
                    hog(&fired);
                }
                set.then_some(due)
            });
            // Long enough for both to fall asleep.
            thread::sleep(Duration::from_millis(30));
            start.send(()).unwrap();
            let woken = wakes.recv();
            done.store(true, Ordering::SeqCst);
            // None: this machine is so busy that it was due before it could be set.
            let due = hogs.join().unwrap()?;
            Some(
                woken.expect("it has not been woken while the other computed").saturating_duration_since(due),
            )
        });
        punctual(late.flatten().collect());
    });
}

// ---- shutdown ----------------------------------------------------------------------------------

/// Two goroutines outlast the patience of their runtime's shutdown; one wakes the other just as it parks.
fn wake_at_the_end(delay: u32) -> [JoinHandle<()>; 2] {
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let (started, parks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let both = |started: &AtomicUsize| {
        started.fetch_add(1, Ordering::SeqCst);
        while started.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
    };
    let (tx, rx) = chan::bounded::<()>(1);
    let (starts, parked) = (started.clone(), parks.clone());
    let woken = runtime.handle().go(move || {
        both(&starts);
        thread::sleep(Duration::from_millis(150));
        parked.store(true, Ordering::SeqCst);
        let _ = rx.recv();
    });
    let starts = started.clone();
    let wakes = runtime.handle().go(move || {
        both(&starts);
        thread::sleep(Duration::from_millis(130));
        while !parks.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        (0..delay).for_each(|_| std::hint::spin_loop());
        let _ = tx.send(());
        thread::sleep(Duration::from_millis(5));
    });
    while started.load(Ordering::SeqCst) < 2 {
        thread::yield_now();
    }
    drop(runtime);
    [wakes, woken]
}

#[test]
fn a_wake_between_workers_that_outlast_the_shutdown_leaves_no_joiner_waiting() {
    bounded(|| {
        for round in 0..8 {
            let threads: Vec<_> =
                (0..16).map(|i| thread::spawn(move || wake_at_the_end((round * 16 + i) * 10))).collect();
            for handle in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
                assert!(handle.join().err().is_none_or(|error| error.is::<ShutDown>()));
            }
        }
    });
}

/// Says when it is dropped.
struct SaysSo(Arc<AtomicBool>);

impl Drop for SaysSo {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

thread_local! {
    static OF_THREAD: Mutex<Vec<SaysSo>> = const { Mutex::new(Vec::new()) };
}

/// A goroutine borrows its thread's thread-local while it blocks; then its runtime goes. Returns whether the
/// thread-local has been destroyed while it was still being used.
fn is_destroyed_under_a_blocking_call(stackful: bool, patience: Duration) -> bool {
    let destroyed = Arc::new(AtomicBool::new(false));
    let (started, starts) = std::sync::mpsc::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
    let (seen, sees) = std::sync::mpsc::channel();
    let says = SaysSo(destroyed.clone());
    let body = move || {
        OF_THREAD.with(|value| {
            value.lock().unwrap().push(says);
            blocking(move || {
                started.send(()).unwrap();
                goes_on.recv().unwrap();
                // Here a borrow of the thread-local is used.
                seen.send(destroyed.load(Ordering::SeqCst) || value.lock().unwrap().is_empty()).unwrap();
            });
        });
    };
    let runtime = Runtime::builder().workers(1).build().unwrap();
    drop(if stackful { runtime.handle().go(body) } else { runtime.handle().go_async(async { body() }) });
    starts.recv().unwrap();
    thread::sleep(Duration::from_millis(5));
    drop(runtime);
    thread::sleep(patience);
    go_on.send(()).unwrap();
    sees.recv().unwrap()
}

#[test]
#[ignore = "takes as long as a thread without a job lives: twelve seconds (the quick one is in `runtime::tests`)"]
fn the_thread_of_a_goroutine_abandoned_in_a_blocking_call_stays() {
    let both = [false, true].map(|stackful| {
        thread::spawn(move || {
            bounded(move || is_destroyed_under_a_blocking_call(stackful, Duration::from_secs(12)))
        })
    });
    for thread in both {
        assert!(!thread.join().unwrap(), "the thread has ended, and its thread-locals with it");
    }
}
