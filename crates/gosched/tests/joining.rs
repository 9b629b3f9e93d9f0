//! Waiting for goroutines: `JoinHandle`, `scope`, `Builder`, and what belongs to a goroutine.
#![allow(non_snake_case)]

mod common;

use common::values::Counted;
use common::{block_on, bounded, everywhere, in_each, modes, panic_text, parallel_modes};
use gosched::goroutine::{Builder, ShutDown};
use gosched::{JoinHandle, Runtime, chan, current, go, go_async, goexit, num_goroutine, wait, yield_now};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn join_returns_the_output_and_is_finished_says_when() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(0);
        let handle = go(move || rx.recv().unwrap());
        yield_now();
        assert!(!handle.is_finished());
        tx.send(vec![1, 2, 3]).unwrap();
        common::eventually("it is finished", || handle.is_finished());
        assert_eq!(handle.join().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn a_handle_is_a_future_for_us_and_for_any_executor() {
    everywhere(|| {
        let awaited = go_async(async { go(|| 3).await.unwrap() + go_async(async { 4 }).await.unwrap() });
        assert_eq!(awaited.join().unwrap(), 7);
        assert_eq!(wait(go(|| 5)).unwrap(), 5);
        let slow = go(|| {
            gosched::time::sleep(Duration::from_millis(2));
            6
        });
        assert_eq!(gosched::blocking(|| block_on(slow)).unwrap(), 6);
    });
}

#[test]
fn a_handle_is_joined_from_a_plain_thread_and_from_another_runtime() {
    for mode in modes() {
        bounded(move || {
            let make = |n: u64| {
                mode.runtime.handle().go(move || {
                    gosched::time::sleep(Duration::from_millis(n));
                    n
                })
            };
            for n in 0..5 {
                assert_eq!(make(n).join().unwrap(), n);
                let there = make(n);
                assert_eq!(gosched::run(|| go(move || there.join().unwrap()).join().unwrap()), n);
                let there = make(n);
                assert_eq!(thread::spawn(move || block_on(there)).join().unwrap().unwrap(), n);
            }
        });
    }
}

#[test]
fn a_dropped_handle_drops_the_result_once() {
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    everywhere(|| {
        for i in 0..300 {
            let handle = go(move || {
                let counted = Counted::new(&LIVE);
                if i % 3 == 0 {
                    yield_now();
                }
                counted
            });
            // Before, while and after it runs.
            if i % 2 == 0 {
                yield_now();
            }
            drop(handle);
        }
        common::eventually("all have ended", || num_goroutine() == 1);
        common::eventually("all results are dropped", || LIVE.load(Ordering::SeqCst) == 0);
        let (go_on, waits) = chan::bounded::<()>(0);
        let polled = go_async(async move {
            let _ = waits.recv_async().await;
            Counted::new(&LIVE)
        });
        // A joiner that gives up leaves its waker behind.
        wait(async {
            let mut polled = polled;
            std::future::poll_fn(|cx| {
                assert!(std::pin::Pin::new(&mut polled).poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        });
        drop(go_on);
        common::eventually("all have ended", || num_goroutine() == 1 && LIVE.load(Ordering::SeqCst) == 0);
    });
}

#[test]
fn a_result_that_blocks_in_its_destructor_may_do_so() {
    struct Blocks(chan::Receiver<()>, chan::Sender<()>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            self.0.recv().unwrap();
            self.1.send(()).unwrap();
        }
    }
    everywhere(|| {
        for round in 0..50 {
            let (go_on, wait_for) = chan::bounded(0);
            let (done, ended) = chan::bounded(0);
            let handle = go(move || Blocks(wait_for, done));
            // Dropped about when the goroutine ends: whoever is last drops the result, and may block.
            drop(go(move || {
                (0..round % 3).for_each(|_| yield_now());
                drop(handle);
            }));
            go_on.send(()).unwrap();
            ended.recv().unwrap();
        }
    });
}

#[test]
fn a_forgotten_handle_harms_nobody() {
    everywhere(|| {
        for i in 0..100 {
            std::mem::forget(go(move || vec![i]));
        }
        common::eventually("all have ended", || num_goroutine() == 1);
    });
}

#[test]
fn a_handle_outlives_its_runtime() {
    for mode in modes() {
        bounded(move || {
            let runtime = mode.runtime;
            let (_never, rx) = chan::bounded::<()>(0);
            let started = Arc::new(AtomicUsize::new(0));
            let (parked, polled, ended) = runtime.run(|| {
                let (on_stack, in_poll, seen) = (rx.clone(), rx.clone(), started.clone());
                let parked = go(move || {
                    started.fetch_add(1, Ordering::SeqCst);
                    on_stack.recv()
                });
                let again = seen.clone();
                let polled = go_async(async move {
                    again.fetch_add(1, Ordering::SeqCst);
                    in_poll.recv_async().await
                });
                let ended = go(|| 5);
                common::eventually("both wait", || seen.load(Ordering::SeqCst) == 2 && ended.is_finished());
                gosched::time::sleep(Duration::from_millis(1));
                (parked, polled, ended)
            });
            drop(runtime);
            for handle in [parked, polled] {
                assert!(handle.is_finished());
                assert!(handle.join().unwrap_err().is::<ShutDown>());
            }
            assert_eq!(ended.join().unwrap(), 5);
        });
    }
}

#[test]
fn builder_gives_names_and_stacks_and_refuses_bad_sizes() {
    /// Uses `depth` KiB of stack, at least.
    fn deep(depth: usize) -> usize {
        let block = std::hint::black_box([1u8; 1024]);
        if depth == 0 { 0 } else { deep(depth - 1) + usize::from(block[depth % 1024]) }
    }
    everywhere(|| {
        let big = Builder::new().name("deep").stack_size(8 << 20).spawn(|| deep(3000)).unwrap();
        assert_eq!(big.join().unwrap(), 3000);
        let small = Builder::new().stack_size(16 << 10).spawn(yield_now).unwrap();
        small.join().unwrap();
        for bad in [0, 1, (16 << 10) - 1, usize::MAX, 1 << 40] {
            let error = Builder::new().stack_size(bad).spawn(|| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&bad.to_string()), "{error}");
        }
        common::eventually("only main is left", || num_goroutine() == 1);
    });
}

#[test]
fn goroutine_locals_belong_to_one_goroutine_and_end_with_it() {
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    gosched::goroutine_local! {
        static COUNTER: Cell<usize> = Cell::new(10);
        static OWNED: RefCell<Option<Counted<&'static AtomicUsize>>> = RefCell::new(None);
    }
    everywhere(|| {
        COUNTER.with(|counter| counter.set(0));
        let handles: Vec<JoinHandle<usize>> = (0..50)
            .map(|i| {
                let body = move || {
                    OWNED.with(|owned| *owned.borrow_mut() = Some(Counted::new(&LIVE)));
                    for _ in 0..i {
                        COUNTER.with(|counter| counter.set(counter.get() + 1));
                        yield_now();
                    }
                    COUNTER.with(Cell::get)
                };
                if i % 2 == 0 { go(body) } else { go_async(async move { body() }) }
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), 10 + i);
        }
        // Dropped before the join returns.
        assert_eq!(LIVE.load(Ordering::SeqCst), 0);
        assert_eq!(COUNTER.with(Cell::get), 0);
    });
    bounded(|| assert_eq!(COUNTER.with(Cell::get), 10));
}

#[test]
fn goroutine_locals_may_use_others_in_their_destructors_and_panic_there() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
            SECOND.with(|second| second.0.set(second.0.get() + 1));
        }
    }
    struct Last(Cell<u32>);
    impl Drop for Last {
        fn drop(&mut self) {
            assert_eq!(self.0.get(), 1);
            THIRD.with(|third| third.set(1));
            yield_now();
            DROPS.fetch_add(1, Ordering::SeqCst);
            resume_unwind(Box::new("of a local"));
        }
    }
    gosched::goroutine_local! {
        static FIRST: Again = Again;
        static SECOND: Last = Last(Cell::new(0));
        static THIRD: Cell<u32> = Cell::new(0);
    }
    everywhere(|| {
        DROPS.store(0, Ordering::SeqCst);
        for _ in 0..10 {
            // The goroutine itself has ended well, so that is what the join says.
            assert_eq!(go(|| FIRST.with(|_| 3)).join().unwrap(), 3);
            drop(go_async(async { FIRST.with(|_| 3) }));
        }
        common::eventually("all have ended", || num_goroutine() == 1);
        assert_eq!(DROPS.load(Ordering::SeqCst), 40);
    });
}

#[test]
fn a_panic_in_one_of_many_leaves_the_others_alone() {
    in_each(parallel_modes(), || {
        let sum = Arc::new(Mutex::new(0));
        let handles: Vec<_> = (0..200)
            .map(|i| {
                let sum = sum.clone();
                go(move || match i % 4 {
                    0 => resume_unwind(Box::new(i)),
                    1 => goexit(),
                    _ => *sum.lock().unwrap() += 1,
                })
            })
            .collect();
        let failed = handles.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        assert_eq!((failed, *sum.lock().unwrap()), (100, 100));
        assert!(current().id() > 0);
    });
}

#[test]
fn run_returns_borrows_and_passes_panics_on() {
    for mode in modes() {
        bounded(move || {
            let words = ["a".to_owned(), "b".to_owned()];
            assert_eq!(mode.runtime.run(|| words.iter().map(String::as_str).collect::<String>()), "ab");
            assert_eq!(panic_text(|| mode.runtime.run(|| resume_unwind(Box::new("from main")))), "from main");
            assert_eq!(mode.runtime.run(|| 1), 1);
        });
    }
    bounded(|| assert_eq!(Runtime::new().unwrap().run(|| 1), 1));
}
