//! The feature `tokio`: futures that need its runtime, from goroutines, stackless ones and threads. Whatever suspends,
//! moves or panics, everybody is in the context, and no guard is dropped out of order.
#![allow(non_snake_case)]

mod common;

use common::hand::until;
use common::own_stack::OwnStack;
use common::{MS, PATIENCE, everywhere, ms};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use gosched::runtime::tokio_handle;
use gosched::{Runtime, blocking, chan, go, go_async, scope, wait, yield_now};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::time::sleep;

/// Whether this is in the context of the reactor in the background.
fn is_inside() -> bool {
    Handle::try_current().is_ok_and(|here| here.id() == tokio_handle().unwrap().id())
}

/// A runtime of the user's own.
fn theirs() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn timers_and_sockets_of_tokio_work_in_goroutines() {
    everywhere(|| {
        wait(sleep(MS));
        let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let server = go(move || {
            let (stream, _) = wait(listener.accept()).unwrap();
            wait(stream.writable()).unwrap();
            // So little goes in one piece.
            assert_eq!(stream.try_write(b"from a goroutine").unwrap(), 16);
        });
        let client = go_async(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut text = [0; 100];
            loop {
                stream.readable().await.unwrap();
                match stream.try_read(&mut text) {
                    Ok(n) => return String::from_utf8_lossy(&text[..n]).into_owned(),
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
            }
        });
        assert_eq!(client.join().unwrap(), "from a goroutine");
        server.join().unwrap();
        // On the reactor's thread, awaited here.
        assert_eq!(
            wait(tokio::spawn(async {
                sleep(MS).await;
                7
            }))
            .unwrap(),
            7
        );
    });
}

#[test]
fn everybody_who_runs_here_is_in_the_context() {
    everywhere(|| {
        assert!(is_inside(), "the main goroutine");
        assert!(go(is_inside).join().unwrap());
        assert!(go_async(async { is_inside() }).join().unwrap());
        assert!(blocking(is_inside));
        assert!(wait(gosched::blocking_async(is_inside)));
        scope(|s| assert!(s.go(is_inside).join().unwrap()));
    });
}

/// A future that waits inside its own polls, so many times inside each other, and is pending now and then.
fn nested(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    let mut polls = 0;
    let mut inner = (depth > 0).then(|| Box::pin(sleep(ms(u64::from(depth % 3)))));
    Box::pin(poll_fn(move |cx| {
        assert!(is_inside(), "at the start of a poll");
        polls += 1;
        let below = if depth > 0 { wait(nested(depth - 1)) } else { 0 };
        yield_now();
        assert!(is_inside(), "after suspensions inside a poll");
        if let Some(timer) = &mut inner
            && timer.as_mut().poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        inner = None;
        if polls < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(below + 1)
    }))
}

#[test]
fn goroutines_that_block_inside_polls_take_turns_without_leaving_the_context() {
    everywhere(|| {
        let all: Vec<_> = (0..40)
            .map(|i| match i % 2 {
                0 => go(move || wait(nested(i % 4))),
                _ => go_async(async move { nested(i % 4).await }),
            })
            .collect();
        for (i, one) in (0u32..).zip(all) {
            assert_eq!(one.join().unwrap(), i % 4 + 1);
        }
        assert!(is_inside());
    });
}

#[test]
fn a_panic_in_the_middle_of_nested_polls_leaves_everybody_in_the_context() {
    everywhere(|| {
        let all: Vec<_> = (0..20)
            .map(|i| {
                go(move || {
                    wait(poll_fn(|_| {
                        wait(nested(i % 3));
                        if i % 2 == 0 {
                            panic!("on purpose");
                        }
                        Poll::Ready(is_inside())
                    }))
                })
            })
            .collect();
        for (i, one) in (0..).zip(all) {
            assert_eq!(one.join().ok(), (i % 2 == 1).then_some(true), "goroutine {i}");
        }
        // Those who wait while they unwind keep their thread.
        let unwinds = go(|| {
            struct Waits;
            impl Drop for Waits {
                fn drop(&mut self) {
                    wait(sleep(MS));
                    assert!(is_inside());
                }
            }
            let _waits = Waits;
            panic!("on purpose");
        });
        assert_eq!(unwinds.join().unwrap_err().downcast_ref(), Some(&"on purpose"));
        assert!(go(is_inside).join().unwrap());
    });
}

#[test]
fn a_runtime_of_the_users_own_is_left_alone() {
    everywhere(|| {
        let own = theirs();
        {
            let _guard = own.enter();
            assert!(!is_inside());
            assert_eq!(wait(async { Handle::current().id() }), own.handle().id());
        }
        assert!(is_inside());
        // It blocks the worker, as any such call.
        assert_eq!(own.block_on(async { Handle::current().id() }), own.handle().id());
        assert!(is_inside());
        blocking(|| drop(own));
    });
    // On its own thread, too.
    let own = theirs();
    let id = own.handle().id();
    own.block_on(async { assert_eq!(wait(async { Handle::current().id() }), id) });
}

#[test]
fn guards_that_users_interleave_harm_only_themselves() {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (first, second) = (Arc::new(theirs()), Arc::new(theirs()));
    let (one, other) = (first.clone(), second.clone());
    runtime.run(move || {
        let (tell_first, first_is_told) = chan::bounded(0);
        let (tell_second, second_is_told) = chan::bounded::<()>(0);
        let goes_first = go(move || {
            let _guard = one.enter();
            tell_second.send(()).unwrap();
            first_is_told.recv().unwrap();
            // Here the guard is dropped, and then the channel closed.
        });
        let goes_last = go(move || {
            second_is_told.recv().unwrap();
            let _guard = other.enter();
            tell_first.send(()).unwrap();
            assert!(second_is_told.recv().is_err());
        });
        let both = [goes_first, goes_last].map(|one| one.join().is_err());
        let on_one_thread = std::env::var_os("GOSCHED_OS_THREADS").is_none_or(|value| value == "0");
        assert_eq!(both, [on_one_thread, false]);
    });
    drop(runtime);
    // The thread, which was left in one of their contexts, serves others next.
    for _ in 0..4 {
        assert!(Runtime::builder().workers(1).build().unwrap().run(is_inside));
    }
}

#[test]
fn a_thread_is_in_the_context_while_it_polls_and_only_then() {
    let thread = thread::spawn(|| {
        assert!(Handle::try_current().is_err());
        wait(async {
            assert!(is_inside());
            sleep(MS).await;
            wait(nested(2));
            assert!(is_inside());
        });
        assert!(Handle::try_current().is_err());
        let panics = catch_unwind(AssertUnwindSafe(|| {
            wait(async {
                sleep(MS).await;
                panic!("on purpose");
            })
        }));
        assert!(panics.is_err() && Handle::try_current().is_err());
        // Inside the user's guard it is the user's.
        let own = theirs();
        let guard = own.enter();
        assert_eq!(wait(async { Handle::current().id() }), own.handle().id());
        drop(guard);
        assert!(Handle::try_current().is_err());
    });
    thread.join().unwrap();
}

#[test]
fn a_future_that_is_dropped_with_its_runtime_is_dropped_in_the_context() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    struct Looks;
    impl Drop for Looks {
        fn drop(&mut self) {
            INSIDE.fetch_add(usize::from(is_inside()), Ordering::SeqCst);
        }
    }
    for workers in 1..=2 {
        let before = INSIDE.load(Ordering::SeqCst);
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        runtime.run(|| {
            for _ in 0..10 {
                let looks = Looks;
                go_async(async move {
                    let _looks = looks;
                    sleep(PATIENCE * 100).await;
                });
            }
            yield_now();
        });
        drop(runtime);
        until("all are dropped", || INSIDE.load(Ordering::SeqCst) == before + 10);
    }
}

/// One that may change threads.
struct Coro(Coroutine<(), (), (), OwnStack>);

// SAFETY: what the test runs in it is bound to no thread.
unsafe impl Send for Coro {}

#[test]
fn a_users_coroutine_that_leaves_a_poll_for_another_thread_does_not_take_the_context_along() {
    let mut coroutine = Coro(Coroutine::with_stack(OwnStack::new(), |yielder: &Yielder<(), ()>, ()| {
        let mut first = true;
        let mut rest = pin!(async {});
        wait(poll_fn(|cx| {
            if std::mem::take(&mut first) {
                yielder.suspend(());
            }
            rest.as_mut().poll(cx)
        }))
    }));
    assert!(matches!(coroutine.0.resume(()), CoroutineResult::Yield(())));
    let elsewhere = thread::spawn(move || {
        let mut coroutine = coroutine;
        let own = theirs();
        let guard = own.enter();
        let ended = matches!(coroutine.0.resume(()), CoroutineResult::Return(()));
        // In the right order, as far as this thread knows.
        drop(guard);
        ended && Handle::try_current().is_err()
    });
    assert!(elsewhere.join().unwrap());
}
