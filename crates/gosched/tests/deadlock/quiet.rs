//! Programs in which all goroutines sleep, for longer than it takes to find a deadlock, and something still wakes them:
//! nothing is said.

use super::common::{Child, PATIENCE, eventually, ms, stderr};
use super::{Test, program, result};
use gosched::chan::{after, bounded, never, tick};
use gosched::context::{background, signal_context};
use gosched::net::UnixListener;
use gosched::{Runtime, blocking, blocking_async, debug, go, go_async, time, wait};
use std::future::{Future, poll_fn};
use std::io::Read as _;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const TESTS: &[Test] = &[
    ("D03_a_sleeping_main", says_nothing, sleeping_main),
    ("D03_a_pending_after_func", says_nothing, after_func),
    ("D03_receivers_of_after_and_tick", says_nothing, after_and_tick),
    ("D03_a_limited_wait", says_nothing, limited_wait),
    ("D03_a_context_with_a_deadline", says_nothing, context_deadline),
    ("D03_a_timer_in_another_runtime", says_nothing, other_runtime),
    ("D03_a_blocking_call", says_nothing, blocking_call),
    ("D03_a_blocking_call_that_is_a_future", says_nothing, blocking_future),
    ("D03_a_system_call_without_the_library", says_nothing, system_call),
    ("D03_standard_input_is_read", says_nothing_with_input, standard_input),
    ("D03_somebody_waits_for_a_signal", says_nothing_at_a_signal, awaited_signal),
    ("D03_a_main_that_accepts", says_nothing_to_a_client, main_that_accepts),
    ("D03_all_wait_for_one_who_accepts", says_nothing_to_a_client, one_who_accepts),
    ("D03_a_socket_awaited_beside_a_channel", says_nothing_to_a_client, socket_beside_a_channel),
    ("D03_a_plain_thread_that_waits_for_a_socket", says_nothing_to_a_client, thread_at_a_socket),
    #[cfg(feature = "tokio")]
    ("D03_a_timer_of_tokio_beside_a_channel", says_nothing, timer_of_tokio_beside_a_channel),
    #[cfg(feature = "tokio")]
    ("D03_a_timer_of_tokio_stays_for_long", says_nothing, timer_of_tokio),
    #[cfg(feature = "tokio")]
    ("D03_a_task_of_tokio_stays_for_long", says_nothing, task_of_tokio),
    ("D05_a_goroutine_that_computes", says_nothing, computing),
    ("D05_one_worker_with_goroutines_behind_it", says_nothing, behind_a_hog),
    ("D03_a_plain_thread_with_a_sender", says_nothing, plain_thread),
    ("D03_a_plain_thread_that_waits_for_a_while", says_nothing, plain_thread_waits),
    ("D03_a_task_of_another_executor_with_a_sender", says_nothing, foreign_executor),
    ("D03_a_future_of_another_library", says_nothing, foreign_future),
    ("D01_no_main_goroutine_and_a_thread_at_work", says_nothing, goroutines_beside_a_program),
    ("D01_goroutines_that_were_abandoned", says_nothing, abandoned),
    ("D01_threads_that_wake_and_end", says_nothing, threads_that_wake_and_end),
    ("D01_it_can_be_switched_off", is_switched_off, switched_off),
];

/// Longer than it takes to find a deadlock, shorter than it takes until there is a warning.
const A_WHILE: Duration = Duration::from_millis(400);

fn says_nothing(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

fn says_nothing_with_input(test: &str) {
    let child = program(test).input(A_WHILE, b"line\n");
    let (code, err) = result(&child.output());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

fn says_nothing_at_a_signal(test: &str) {
    let (code, err) = result(&program(test).signal(A_WHILE * 4, libc::SIGINT).output());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

const SOCKET: &str = "GOSCHED_TEST_SOCKET";

/// Somebody connects to it, from outside of the process.
fn says_nothing_to_a_client(test: &str) {
    let path = std::env::temp_dir().join(format!("gosched-{}-{test}", std::process::id()));
    let child = program(test).env(SOCKET, path.to_str().expect("a path that is text"));
    let client = thread::spawn({
        let path = path.clone();
        move || {
            // For so long that all looks that find something have been taken.
            thread::sleep(A_WHILE * 4);
            eventually("it is connected", || std::os::unix::net::UnixStream::connect(&path).is_ok());
        }
    });
    let (code, err) = result(&child.output());
    client.join().unwrap();
    let _ = std::fs::remove_file(path);
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

/// It still waits after a time in which it would have been told.
fn is_switched_off(test: &str) {
    let child: Child = program(test).env("GOSCHED_DEADLOCK_CHECK", "0").signal(A_WHILE * 4, libc::SIGKILL);
    let output = child.output();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (None, ""));
}

#[gosched::main]
fn sleeping_main() {
    drop(go(|| never::<u8>().recv()));
    time::sleep(A_WHILE);
}

#[gosched::main]
fn after_func() {
    let (tx, rx) = bounded(0);
    let _pending = time::after_func(A_WHILE, move || tx.send(()).unwrap());
    rx.recv().unwrap();
}

#[gosched::main]
fn after_and_tick() {
    after(A_WHILE).recv().unwrap();
    let ticks = tick(A_WHILE);
    go_async(async move { ticks.recv_async().await }).join().unwrap().unwrap();
}

#[gosched::main]
fn limited_wait() {
    let (tx, rx) = bounded::<u8>(0);
    let kept = rx.clone();
    let child = go(move || kept.recv());
    assert!(rx.recv_timeout(A_WHILE).is_err());
    drop(tx);
    assert!(child.join().unwrap().is_err());
}

#[gosched::main]
fn context_deadline() {
    let ctx = background().with_timeout(A_WHILE);
    assert!(ctx.done().recv().is_err());
}

fn other_runtime() {
    let other = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded(0);
    drop(other.handle().go(move || {
        time::sleep(A_WHILE);
        tx.send(()).unwrap();
    }));
    gosched::run(|| rx.recv().unwrap());
}

#[gosched::main]
fn blocking_call() {
    blocking(|| thread::sleep(A_WHILE));
    blocking(|| thread::sleep(A_WHILE));
}

#[gosched::main]
fn blocking_future() {
    let (tx, rx) = bounded(0);
    drop(blocking_async(move || {
        thread::sleep(Duration::from_millis(1200));
        tx.send(()).unwrap();
    }));
    rx.recv().unwrap();
}

#[gosched::main(workers = 2)]
fn system_call() {
    let (tx, rx) = bounded(0);
    drop(go(move || {
        thread::sleep(Duration::from_millis(1200));
        tx.send(()).unwrap();
    }));
    rx.recv().unwrap();
}

#[gosched::main]
fn standard_input() {
    let line = blocking(|| {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(line, "line\n");
}

#[gosched::main]
fn awaited_signal() {
    let ctx = signal_context(&background()).unwrap();
    let below = ctx.with_cancel();
    // Others that do not wait for it.
    drop(go(|| never::<u8>().recv()));
    assert!(below.done().recv().is_err());
}

fn listener() -> UnixListener {
    UnixListener::bind(std::env::var(SOCKET).unwrap()).unwrap()
}

/// Others wait for what will never come; but main may go on.
#[gosched::main]
fn main_that_accepts() {
    let (_kept, rx) = bounded::<u8>(0);
    drop(go(move || rx.recv()));
    drop(listener().accept().unwrap());
}

#[gosched::main]
fn one_who_accepts() {
    let (listener, (tx, rx)) = (listener(), bounded(0));
    drop(go(move || {
        let (stream, _) = listener.accept().unwrap();
        // And then for one who says nothing, and goes.
        tx.send((&stream).read(&mut [0]).unwrap()).unwrap();
    }));
    assert_eq!(rx.recv().unwrap(), 0);
}

/// What the goroutine waits for last is the channel.
#[gosched::main]
fn socket_beside_a_channel() {
    let listener = listener();
    let (_kept, rx) = bounded::<u8>(0);
    wait(async {
        let (mut accept, mut recv) = (pin!(listener.accept_async()), pin!(rx.recv_async()));
        poll_fn(|cx| {
            let accepted = accept.as_mut().poll(cx).map(|accepted| drop(accepted.unwrap()));
            assert!(recv.as_mut().poll(cx).is_pending());
            accepted
        })
        .await
    });
}

/// The reactor's thread is as good as somebody else's.
#[cfg(feature = "tokio")]
#[gosched::main]
fn timer_of_tokio_beside_a_channel() {
    let (_kept, rx) = bounded::<u8>(0);
    wait(async {
        let (mut timer, mut recv) = (pin!(tokio::time::sleep(A_WHILE * 2)), pin!(rx.recv_async()));
        poll_fn(|cx| {
            let passed = timer.as_mut().poll(cx);
            assert!(recv.as_mut().poll(cx).is_pending());
            passed
        })
        .await
    });
}

/// Longer than it takes until there would be a warning.
#[cfg(feature = "tokio")]
const LONG: Duration = Duration::from_millis(2500);

#[cfg(feature = "tokio")]
#[gosched::main]
fn timer_of_tokio() {
    wait(tokio::time::sleep(LONG));
}

#[cfg(feature = "tokio")]
#[gosched::main]
fn task_of_tokio() {
    let (tx, rx) = bounded(0);
    tokio::spawn(async move {
        tokio::time::sleep(LONG).await;
        tx.send_async(()).await.unwrap();
    });
    rx.recv().unwrap();
}

/// The goroutines wait for a thread that sleeps in the library.
#[gosched::main]
fn thread_at_a_socket() {
    let listener = listener();
    let (tx, rx) = bounded(0);
    let thread = thread::spawn(move || {
        drop(listener.accept().unwrap());
        tx.send(()).unwrap();
    });
    rx.recv().unwrap();
    thread.join().unwrap();
}

#[gosched::main(workers = 2)]
fn computing() {
    let (tx, rx) = bounded(0);
    drop(go(move || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1200) {
            std::hint::spin_loop();
        }
        tx.send(()).unwrap();
    }));
    rx.recv().unwrap();
}

#[gosched::main(workers = 1)]
fn behind_a_hog() {
    let (tx, rx) = bounded(0);
    let (first, second) = (tx.clone(), tx);
    drop(go(move || {
        let start = Instant::now();
        while start.elapsed() < A_WHILE {
            std::hint::spin_loop();
        }
        first.send(()).unwrap();
    }));
    drop(go(move || second.send(()).unwrap()));
    rx.recv().unwrap();
    rx.recv().unwrap();
}

#[gosched::main]
fn plain_thread() {
    let (tx, rx) = bounded(0);
    let thread = thread::spawn(move || {
        thread::sleep(A_WHILE);
        tx.send(()).unwrap();
    });
    rx.recv().unwrap();
    thread.join().unwrap();
}

#[gosched::main]
fn plain_thread_waits() {
    let (tx, rx) = bounded(0);
    let (_none, nothing) = bounded::<u8>(0);
    let thread = thread::spawn(move || {
        assert!(nothing.recv_timeout(Duration::from_millis(1500)).is_err());
        tx.send(()).unwrap();
    });
    rx.recv().unwrap();
    thread.join().unwrap();
}

/// A task that waits for something of its own world before it sends.
#[gosched::main]
fn foreign_executor() {
    let (tx, rx) = bounded(0);
    let (ring, rung) = mpsc::channel::<()>();
    let executor = thread::spawn(move || {
        super::common::block_on(async {
            ring.send(()).unwrap();
            tx.send_async(1).await.unwrap();
            thread::sleep(A_WHILE);
            tx.send_async(2).await.unwrap();
        })
    });
    rung.recv().unwrap();
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.recv(), Ok(2));
    executor.join().unwrap();
}

#[gosched::main]
fn foreign_future() {
    // It is woken by a thread that does not exist before that.
    let mut started = false;
    let (tell, told) = mpsc::channel::<()>();
    wait(poll_fn(move |cx| {
        if started {
            return if told.try_recv().is_ok() { Poll::Ready(()) } else { Poll::Pending };
        }
        started = true;
        let (waker, tell) = (cx.waker().clone(), tell.clone());
        thread::spawn(move || {
            thread::sleep(A_WHILE);
            tell.send(()).unwrap();
            waker.wake();
        });
        Poll::Pending
    }));
}

/// The goroutines of the default runtime wait for work, as they should; the program is elsewhere.
fn goroutines_beside_a_program() {
    let (tx, rx) = bounded::<u8>(0);
    let worker = go(move || rx.into_iter().count());
    for n in 0..3 {
        thread::sleep(Duration::from_millis(700));
        tx.send(n).unwrap();
    }
    drop(tx);
    assert_eq!(worker.join().unwrap(), 3);
}

fn abandoned() {
    for _ in 0..2 {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let left = runtime.handle();
        drop(left.go(|| never::<u8>().recv()));
        eventually("it waits", || debug::goroutines().iter().any(|info| info.waiting.is_some()));
        drop(runtime);
        // None of these is left to be dead.
        blocked_thread(A_WHILE);
    }
}

/// This thread sleeps in the library, and a helper wakes it, which has said that it is harmless.
fn blocked_thread(time: Duration) {
    let (tx, rx) = bounded(0);
    let helper = thread::spawn(move || {
        debug::ignore_thread();
        thread::sleep(time);
        tx.send(()).unwrap();
    });
    rx.recv().unwrap();
    helper.join().unwrap();
}

/// Each wakes the main goroutine at a moment when the monitor may be looking, starts the next one, and is gone.
#[gosched::main(workers = 2)]
fn threads_that_wake_and_end() {
    const COUNT: u64 = 60;
    fn next(n: u64, tx: gosched::chan::Sender<u64>) {
        if n < COUNT {
            thread::spawn(move || {
                thread::sleep(ms(15 + n % 20));
                let _ = tx.send(n);
                next(n + 1, tx);
            });
        }
    }
    let (tx, rx) = bounded(0);
    next(0, tx);
    assert_eq!(rx.into_iter().count() as u64, COUNT);
}

fn switched_off() {
    struct Alarm(thread::Thread);
    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    // Until it is killed.
    let mut waits = pin!(poll_fn(|_| Poll::<()>::Pending));
    let waker = Arc::new(Alarm(thread::current())).into();
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    gosched::run(|| {
        let _ = never::<u8>().recv_timeout(PATIENCE * 10);
        let _ = never::<u8>().recv();
    });
}
