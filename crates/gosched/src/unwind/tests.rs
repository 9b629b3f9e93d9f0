//! What a dump will show of parked goroutines. (Functions in modules named `tests` count as the user's.)

use super::{Backtrace, Frame, SHOWN, Trace, frames, look, symbolise};
use crate::chan::{Receiver, Sender, bounded};
use crate::fiber::stack;
use crate::goroutine::Builder;
use crate::runtime::Runtime;
use crate::sync::Mutex;
use crate::task::TaskRef;
use crate::task::current::current_task;
use crate::{WaitReason, go, select, wait};
use corosensei::{Coroutine, Yielder};
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A goroutine, and the one its header served when it was started.
#[derive(Clone, Copy)]
struct Target(TaskRef, u64);

/// The goroutine this runs in.
fn me() -> Target {
    let task = current_task().expect("in a goroutine");
    Target(task, task.id.get())
}

impl Target {
    /// Where it is parked, once it is.
    fn trace(self) -> Trace {
        until(|| frames(self.0, self.1))
    }

    fn backtrace(self) -> Arc<Backtrace> {
        symbolise(&self.trace())
    }
}

fn until<R>(mut look: impl FnMut() -> Option<R>) -> R {
    let start = Instant::now();
    loop {
        if let Some(result) = look() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "it does not come to it");
        thread::sleep(Duration::from_micros(200));
    }
}

/// The runtimes in which goroutines have stacks to look at.
fn runtimes() -> Vec<Runtime> {
    if has_no_stacks() {
        return Vec::new();
    }
    let pinned = |workers| Runtime::builder().workers(workers);
    // SAFETY: nothing here holds anything of its thread across a blocking call.
    let migrating = unsafe { Runtime::builder().workers(2).migrate() };
    [pinned(1), pinned(2), migrating].map(|builder| builder.build().unwrap()).into()
}

fn has_no_stacks() -> bool {
    std::env::var_os("GOSCHED_OS_THREADS").is_some_and(|value| value == "1")
}

/// Starts a goroutine that blocks in `op`.
fn start(runtime: &Runtime, op: impl FnOnce() + Send + 'static) -> (Target, crate::JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let handle = runtime.handle().go(move || {
        tell.send(me()).unwrap();
        op();
    });
    (told.recv_timeout(PATIENCE).unwrap(), handle)
}

/// The last segment of a function's path: the function's own name.
fn name(frame: &Frame) -> &str {
    let path = frame.function.as_deref().expect("test programs have symbols");
    path.rsplit("::").next().unwrap()
}

fn names(backtrace: &Backtrace) -> Vec<&str> {
    backtrace.innermost.iter().chain(&backtrace.outermost).map(|frame| name(frame)).collect()
}

fn is_here(frame: &Frame) -> bool {
    frame.file.as_deref().is_some_and(|file| file.ends_with("unwind/tests.rs"))
}

#[inline(never)]
fn first(rx: &Receiver<u32>) {
    second(rx);
    black_box(());
}

#[inline(never)]
fn second(rx: &Receiver<u32>) {
    black_box(third(rx));
}

const RECEIVE_LINE: u32 = line!() + 4;

#[inline(never)]
fn third(rx: &Receiver<u32>) -> Option<u32> {
    let value = rx.recv().ok();
    black_box(value)
}

#[test]
fn U03_a_receive_three_calls_deep_shows_the_calls_and_nothing_else() {
    for runtime in runtimes() {
        let (tx, rx) = bounded::<u32>(0);
        let (target, handle) = start(&runtime, move || first(&rx));
        let backtrace = target.backtrace();
        let names = names(&backtrace);
        assert_eq!(names[..3], ["third", "second", "first"], "{backtrace:#?}");
        // Below them only the goroutine's own function, and the closure that `start` has put around it.
        assert!((4..=5).contains(&names.len()), "{backtrace:#?}");
        assert!(names[3..].iter().all(|name| name.contains("closure")), "{backtrace:#?}");
        assert!(backtrace.innermost.iter().all(|frame| is_here(frame)), "{backtrace:#?}");
        assert_eq!(backtrace.innermost[0].line, Some(RECEIVE_LINE));
        assert_eq!((backtrace.elided, backtrace.cut), (0, false));
        drop(tx);
        handle.join().unwrap();
    }
}

#[inline(never)]
fn selects(a: &Receiver<u32>, b: &Sender<u32>) {
    black_box(select! { recv(a) -> _ => 1, send(b, 7) -> _ => 2 });
}

#[inline(never)]
fn locks(mutex: &Mutex<u32>) {
    *black_box(mutex.lock()) += 1;
}

#[inline(never)]
fn waits(rx: &Receiver<u32>) {
    black_box(wait(polls(rx)));
}

/// A future that blocks in the middle of its poll.
fn polls(rx: &Receiver<u32>) -> impl Future<Output = u32> {
    poll_fn(move |_| Poll::Ready(nested(rx)))
}

#[inline(never)]
fn nested(rx: &Receiver<u32>) -> u32 {
    black_box(wait(rx.recv_async()).unwrap_or(0))
}

#[test]
fn U03_a_select_and_a_lock_show_the_users_call_first() {
    for runtime in runtimes() {
        let (close, never) = bounded::<u32>(0);
        let (full, keep) = bounded::<u32>(0);
        let (target, handle) = start(&runtime, move || selects(&never, &full));
        let backtrace = target.backtrace();
        assert_eq!(names(&backtrace)[0], "selects", "{backtrace:#?}");
        drop((close, keep));
        handle.join().unwrap();

        let mutex = Arc::new(Mutex::new(0));
        let held = mutex.lock();
        let theirs = mutex.clone();
        let (target, handle) = start(&runtime, move || locks(&theirs));
        let backtrace = target.backtrace();
        assert_eq!(names(&backtrace)[0], "locks", "{backtrace:#?}");
        drop(held);
        handle.join().unwrap();
    }
}

#[test]
fn U03_a_wait_inside_a_poll_shows_both() {
    for runtime in runtimes() {
        let (tx, rx) = bounded::<u32>(0);
        let theirs = rx.clone();
        let (target, handle) = start(&runtime, move || waits(&theirs));
        let backtrace = target.backtrace();
        let shown = names(&backtrace);
        assert_eq!(shown[0], "nested", "{backtrace:#?}");
        assert!(shown.contains(&"waits"), "{backtrace:#?}");
        drop(tx);
        handle.join().unwrap();

        // A stackless goroutine is on a stack only while it blocks inside a poll.
        let (tx, rx) = bounded::<u32>(0);
        let (tell, told) = mpsc::channel();
        let handle = runtime.handle().go_async(async move {
            tell.send(me()).unwrap();
            let blocked = polls(&rx).await;
            tell.send(me()).unwrap();
            (blocked, rx.recv_async().await)
        });
        let target = told.recv_timeout(PATIENCE).unwrap();
        let backtrace = target.backtrace();
        assert_eq!(names(&backtrace)[0], "nested", "{backtrace:#?}");
        tx.send(1).unwrap();
        let target = told.recv_timeout(PATIENCE).unwrap();
        until(|| target.0.state.is_idle().then_some(()));
        assert_eq!(frames(target.0, target.1), None, "between two polls there is no stack");
        tx.send(2).unwrap();
        assert_eq!(handle.join().unwrap(), (1, Ok(2)));
    }
}

#[test]
fn G35_a_goroutine_is_seen_while_its_home_worker_is_stuck() {
    if has_no_stacks() {
        return;
    }
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded::<u32>(0);
    let (target, handle) = start(&runtime, move || first(&rx));
    let (stop, stuck) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let hog = {
        let (stop, stuck) = (stop.clone(), stuck.clone());
        runtime.handle().go(move || {
            stuck.store(true, Ordering::Release);
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    };
    until(|| stuck.load(Ordering::Acquire).then_some(()));
    let backtrace = target.backtrace();
    assert_eq!(names(&backtrace)[..3], ["third", "second", "first"], "{backtrace:#?}");
    assert!(!hog.is_finished());
    stop.store(true, Ordering::Relaxed);
    drop(tx);
    handle.join().unwrap();
    hog.join().unwrap();
}

#[test]
fn U03_nothing_is_shown_of_what_is_not_parked_on_a_stack() {
    // Running, and over; its header may serve another by then.
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tell, told) = mpsc::channel();
    let running = runtime.handle().go(move || {
        let Target(task, id) = me();
        assert_eq!(frames(task, id), None, "it runs");
        tell.send(Target(task, id)).unwrap();
    });
    running.join().unwrap();
    let ended = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(frames(ended.0, ended.1), None);
    // An OS thread for each goroutine.
    let runtime = Runtime::builder().workers(1).os_threads().build().unwrap();
    let (tx, rx) = bounded::<u32>(0);
    let (target, handle) = start(&runtime, move || first(&rx));
    let reason = || target.0.reason.get();
    let looked = until(|| look(target.0, target.1, reason));
    assert_eq!(looked, (WaitReason::ChanReceive as u8, None), "parked, and without a stack to look at");
    assert_eq!(frames(target.0, target.1), None);
    drop(tx);
    handle.join().unwrap();
}

#[test]
fn U03_a_header_that_serves_another_goroutine_is_not_taken_for_the_first() {
    for runtime in runtimes() {
        let (tx, rx) = bounded::<u32>(0);
        let (target, handle) = start(&runtime, move || first(&rx));
        let (reason, trace) = until(|| look(target.0, target.1, || target.0.reason.get()));
        assert_eq!((reason, trace.is_some()), (WaitReason::ChanReceive as u8, true));
        assert_eq!(frames(target.0, target.1 + 1), None);
        // It was left as it was.
        target.trace();
        drop(tx);
        handle.join().unwrap();
    }
}

#[test]
fn U03_a_goroutine_on_a_stack_of_the_users_own_shows_nothing() {
    for runtime in runtimes() {
        let (tx, rx) = bounded::<u32>(0);
        let (target, handle) = start(&runtime, move || {
            let stack = stack::acquire(64 << 10).unwrap();
            let mut own = Coroutine::with_stack(stack, move |_: &Yielder<(), ()>, ()| first(&rx));
            assert!(own.resume(()).as_return().is_some());
            drop(own);
            // SAFETY: acquired above; what ran on it has ended.
            unsafe { stack::release(stack) };
        });
        until(|| target.0.state.is_idle().then_some(()));
        assert_eq!(frames(target.0, target.1), None);
        drop(tx);
        handle.join().unwrap();
    }
}

#[inline(never)]
fn recurses<const BYTES: usize>(depth: usize, rx: &Receiver<u32>) {
    let frame = black_box([0u8; BYTES]);
    match depth {
        0 => drop(third(rx)),
        _ => recurses::<BYTES>(depth - 1, rx),
    }
    black_box(&frame);
}

/// The backtrace of a recursion that deep, on a stack that is large enough.
fn deep<const BYTES: usize>(depth: usize) -> Arc<Backtrace> {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded::<u32>(0);
    let (tell, told) = mpsc::channel();
    let body = move || {
        tell.send(me()).unwrap();
        recurses::<BYTES>(depth, &rx);
    };
    let inner = runtime.run(move || Builder::new().stack_size(4 << 20).spawn(body).unwrap());
    let backtrace = told.recv_timeout(PATIENCE).unwrap().backtrace();
    drop(tx);
    inner.join().unwrap();
    backtrace
}

#[test]
fn U02_the_middle_of_a_long_backtrace_is_counted_not_shown() {
    if has_no_stacks() {
        return;
    }
    let backtrace = deep::<16>(300);
    assert_eq!((backtrace.innermost.len(), backtrace.outermost.len()), (SHOWN, SHOWN));
    // `third`, 301 times `recurses`, the goroutine's function; and what is inlined into it.
    let all = backtrace.elided + 2 * SHOWN;
    assert!((303..=304).contains(&all), "{all}");
    let names = names(&backtrace);
    assert_eq!(names[0], "third");
    assert!(names.last().unwrap().contains("closure"), "{names:?}");
    assert!(!backtrace.cut);
}

#[test]
fn U02_of_a_very_long_stack_the_inner_part_is_shown() {
    if has_no_stacks() {
        return;
    }
    let backtrace = deep::<8192>(100);
    assert!(backtrace.cut);
    let names = names(&backtrace);
    assert_eq!(names[0], "third");
    assert!(names.len() > 10 && names[1..].iter().all(|name| name.starts_with("recurses")), "{names:?}");
}

#[inline(never)]
fn plays(rx: &Receiver<u32>, tx: &Sender<u32>) {
    while let Ok(ball) = rx.recv() {
        if tx.send(black_box(ball) + 1).is_err() {
            break;
        }
    }
}

#[test]
fn U03_goroutines_that_talk_are_looked_at_all_the_time_and_lose_nothing() {
    const PAIRS: usize = 4;
    const ENOUGH: usize = 1_000;
    for runtime in runtimes() {
        let (tell, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let pairs: Vec<_> = (0..PAIRS)
            .map(|_| {
                let ((to, from), (back, home)) = (bounded::<u32>(0), bounded::<u32>(0));
                let (tell, stop) = (tell.clone(), stop.clone());
                let teller = tell.clone();
                runtime.handle().go(move || {
                    let echo = go(move || {
                        teller.send(me()).unwrap();
                        plays(&from, &back);
                    });
                    tell.send(me()).unwrap();
                    let mut ball = 0;
                    while !stop.load(Ordering::Relaxed) {
                        to.send(ball).unwrap();
                        ball += 1;
                        assert_eq!(home.recv(), Ok(ball));
                    }
                    drop(to);
                    echo.join().unwrap();
                    ball
                })
            })
            .collect();
        let targets: Vec<Target> = told.iter().take(2 * PAIRS).collect();
        let begun = Instant::now();
        let mut seen = 0;
        while seen < ENOUGH {
            assert!(begun.elapsed() < PATIENCE, "seen {seen} times only");
            for trace in targets.iter().filter_map(|target| frames(target.0, target.1)) {
                seen += 1;
                // One that was torn would show others than the calls in this file, or not come to the end.
                let backtrace = symbolise(&trace);
                let ours = backtrace.innermost.iter().all(|frame| is_here(frame));
                assert!(!backtrace.cut && ours, "{backtrace:#?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        for pair in pairs {
            until(|| pair.is_finished().then_some(()));
            assert!(pair.join().unwrap() > 0);
        }
    }
}

#[test]
fn U03_goroutines_that_end_while_they_are_looked_at_are_not_mixed_up() {
    const EACH: usize = 3_000;
    for runtime in runtimes() {
        let (tell, told) = mpsc::sync_channel(64);
        let maker = runtime.handle().go(move || {
            for _ in 0..EACH {
                let (tx, rx) = bounded::<u32>(0);
                let tell = tell.clone();
                let child = go(move || {
                    let _ = tell.try_send(me());
                    first(&rx);
                });
                crate::yield_now();
                drop(tx);
                child.join().unwrap();
            }
        });
        let mut recent: Vec<Target> = Vec::new();
        let start = Instant::now();
        while !maker.is_finished() {
            assert!(start.elapsed() < PATIENCE * 2, "it hangs");
            recent.extend(told.try_iter());
            let old = recent.len().saturating_sub(16);
            recent.drain(..old);
            for target in &recent {
                if let Some(trace) = frames(target.0, target.1) {
                    let backtrace = symbolise(&trace);
                    assert_eq!(names(&backtrace)[..3], ["third", "second", "first"], "{backtrace:#?}");
                }
            }
        }
        maker.join().unwrap();
    }
}

/// Counts how many of these are gone.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn G05_a_shutdown_ends_what_is_being_looked_at() {
    const PARKED: usize = 8;
    for _ in 0..100 {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let gone = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel();
        for _ in 0..PARKED {
            let (tell, counted) = (tell.clone(), Counted(gone.clone()));
            drop(runtime.handle().go_async(async move {
                let _counted = counted;
                tell.send(me()).unwrap();
                std::future::pending::<()>().await;
            }));
        }
        let targets: Vec<Target> = told.iter().take(PARKED).collect();
        for target in &targets {
            until(|| target.0.state.is_idle().then_some(()));
        }
        let (stop, looking) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let looker = {
            let (stop, looking) = (stop.clone(), looking.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for target in &targets {
                        let _ = target.0.inspect(target.1, || looking.fetch_add(1, Ordering::SeqCst));
                    }
                }
            })
        };
        until(|| (looking.load(Ordering::SeqCst) > PARKED).then_some(()));
        drop(runtime);
        until(|| (gone.load(Ordering::SeqCst) == PARKED).then_some(()));
        stop.store(true, Ordering::Relaxed);
        looker.join().unwrap();
    }
}

#[test]
fn equal_traces_share_one_backtrace() {
    let Some(runtime) = runtimes().pop() else { return };
    let (tx, rx) = bounded::<u32>(0);
    let others: Vec<_> = (0..3)
        .map(|_| {
            let rx = rx.clone();
            start(&runtime, move || first(&rx))
        })
        .collect();
    let backtraces: Vec<_> = others.iter().map(|(target, _)| target.backtrace()).collect();
    assert!(backtraces.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
    drop(tx);
    others.into_iter().for_each(|(_, handle)| handle.join().unwrap());
}
