//! What the library must not fall into: one test for each trap found before building it.
#![allow(non_snake_case)]

mod common;

use common::{bounded, cheap_modes, everywhere, modes, panic_text, text};
use gosched::goroutine::Goexit;
use gosched::sync::{Mutex, WaitGroup};
use gosched::{Runtime, blocking, chan, go, go_async, goexit, no_suspend, scope, time, wait, yield_now};
use std::cell::RefCell;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

thread_local! {
    static OF_THREAD: AtomicUsize = const { AtomicUsize::new(0) };
}

/// A goroutine parks while a child of `thread::scope` reads its thread's thread-local; then its runtime goes.
/// Returns what the child saw at the end, and whether the thread was still there.
fn read_thread_local_of_an_abandoned_goroutine(patience: Duration) -> (usize, bool) {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (started, is_started) = std::sync::mpsc::channel();
    let (result, results) = std::sync::mpsc::channel();
    let (_never, rx) = chan::bounded::<()>(0);
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    drop(runtime.handle().go(move || {
        OF_THREAD.with(|value| {
            value.store(4711, Ordering::SeqCst);
            let task = std::fs::read_link("/proc/thread-self").unwrap();
            thread::scope(|s| {
                s.spawn(|| {
                    while !seen.load(Ordering::SeqCst) {
                        assert_eq!(value.load(Ordering::SeqCst), 4711);
                        thread::sleep(Duration::from_millis(1));
                    }
                    let there = std::path::Path::new("/proc").join(task).exists();
                    result.send((value.load(Ordering::SeqCst), there)).unwrap();
                });
                started.send(()).unwrap();
                let _ = rx.recv();
            });
        });
    }));
    is_started.recv().unwrap();
    thread::sleep(Duration::from_millis(5));
    drop(runtime);
    // The thread serves others meanwhile, or waits.
    for i in 0..20 {
        assert_eq!(gosched::run(|| go(move || i).join().unwrap()), i);
    }
    thread::sleep(patience);
    stop.store(true, Ordering::SeqCst);
    results.recv().unwrap()
}

#[test]
fn a_home_thread_stays_while_it_hosts_an_unfinished_goroutine() {
    bounded(|| {
        assert_eq!(read_thread_local_of_an_abandoned_goroutine(Duration::from_millis(50)), (4711, true))
    });
}

#[test]
#[ignore = "takes as long as a thread without a job lives: twelve seconds"]
fn a_home_thread_stays_beyond_the_time_limit_of_idle_threads() {
    bounded(|| {
        assert_eq!(read_thread_local_of_an_abandoned_goroutine(Duration::from_secs(12)), (4711, true))
    });
}

#[test]
fn wakes_of_abandoned_goroutines_do_nothing() {
    for mode in modes() {
        bounded(move || {
            let (tx, rx) = chan::unbounded::<u32>();
            let wg = WaitGroup::new();
            wg.add(1);
            let mutex = Arc::new(Mutex::new(0));
            let woken = Arc::new(AtomicUsize::new(0));
            let guard = mutex.lock();
            mode.runtime.run(|| {
                for _ in 0..10 {
                    let (rx, wg, mutex) = (rx.clone(), wg.clone(), mutex.clone());
                    let woken = [0; 4].map(|_| woken.clone());
                    let [a, b, c, d] = woken;
                    let count = |woken: &AtomicUsize| {
                        woken.fetch_add(1, Ordering::SeqCst);
                    };
                    drop(go(move || {
                        let _ = rx.recv();
                        count(&a);
                    }));
                    drop(go(move || {
                        wg.wait();
                        count(&b);
                    }));
                    drop(go(move || {
                        drop(mutex.lock());
                        count(&c);
                    }));
                    drop(go(move || {
                        time::sleep(Duration::from_millis(30));
                        count(&d);
                    }));
                }
                time::sleep(Duration::from_millis(5));
            });
            drop(mode.runtime);
            // On a busy machine some have slept enough before.
            let before = woken.load(Ordering::SeqCst);
            // Headers serve new goroutines while the old ones' wakers are called.
            gosched::run(|| {
                let handles: Vec<_> = (0..100).map(|i| go(move || (yield_now(), i).1)).collect();
                (0..30).for_each(|n| tx.send(n).unwrap());
                drop(tx);
                wg.done();
                drop(guard);
                time::sleep(Duration::from_millis(40));
                for (i, handle) in handles.into_iter().enumerate() {
                    assert_eq!(handle.join().unwrap(), i);
                }
            });
            assert_eq!(woken.load(Ordering::SeqCst), before, "{}", mode.name);
        });
    }
}

/// A future that, inside its poll, blocks on a channel; its own wake comes while it does.
struct BlocksInPoll {
    news: Arc<News>,
    rx: chan::Receiver<()>,
    polls: usize,
}

#[derive(Default)]
struct News {
    there: AtomicBool,
    waker: std::sync::Mutex<Option<Waker>>,
}

impl Future for BlocksInPoll {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        self.polls += 1;
        if self.news.there.load(Ordering::Relaxed) {
            return Poll::Ready(self.polls);
        }
        *self.news.waker.lock().unwrap() = Some(cx.waker().clone());
        if self.polls == 1 {
            // The wake for the poll around us comes to this wait, which does not need it.
            self.rx.recv().unwrap();
        }
        Poll::Pending
    }
}

/// Starts what wakes the future in the middle of its inner wait, and returns the future.
fn blocks_in_poll(round: usize) -> BlocksInPoll {
    let news = Arc::<News>::default();
    let (tx, rx) = chan::bounded(0);
    let future = BlocksInPoll { news: news.clone(), rx, polls: 0 };
    drop(go(move || {
        let waker = loop {
            if let Some(waker) = news.waker.lock().unwrap().take() {
                break waker;
            }
            time::sleep(Duration::from_micros(10));
        };
        let pause = |n: usize| {
            if n % 3 == 1 {
                yield_now();
            } else if n % 3 == 2 {
                time::sleep(Duration::from_micros(20));
            }
        };
        pause(round);
        news.there.store(true, Ordering::Relaxed);
        waker.wake();
        pause(round / 3);
        tx.send(()).unwrap();
    }));
    future
}

#[test]
fn a_blocking_call_inside_a_poll_loses_no_wake() {
    everywhere(|| {
        for round in 0..100 {
            assert!(wait(blocks_in_poll(round)) >= 1);
            assert!(go_async(blocks_in_poll(round)).join().unwrap() >= 1);
            let future = blocks_in_poll(round);
            assert!(blocking(move || wait(future)) >= 1);
            // One more level.
            assert!(wait(async { wait(blocks_in_poll(round)) }) >= 1);
        }
    });
}

/// Runs a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn blocking_in_a_destructor_during_a_panic_blocks_the_thread_and_comes_back() {
    everywhere(|| {
        for by_goexit in [false, true] {
            let (tx, rx) = chan::bounded(0);
            let outside = thread::spawn(move || {
                thread::sleep(Duration::from_millis(1));
                tx.send(5).unwrap();
            });
            let handle = go(move || {
                let _on_drop = OnDrop(|| {
                    assert!(thread::panicking());
                    assert_eq!(rx.recv(), Ok(5));
                    time::sleep(Duration::from_millis(1));
                    yield_now();
                    assert_eq!(blocking(|| 6), 6);
                    assert!(rx.recv_timeout(Duration::from_millis(1)).is_err());
                    assert!(thread::panicking());
                });
                if by_goexit { goexit() } else { resume_unwind(Box::new("the panic")) }
            });
            let ended = handle.join().unwrap_err();
            assert_eq!(ended.is::<Goexit>(), by_goexit);
            gosched::blocking(|| outside.join().unwrap());
            assert!(!thread::panicking());
        }
        assert_eq!(go(|| (yield_now(), 1).1).join().unwrap(), 1);
    });
}

#[test]
fn thread_local_destructors_may_block() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    struct Blocks;
    impl Drop for Blocks {
        fn drop(&mut self) {
            let (tx, rx) = chan::bounded(0);
            let (back, answer) = chan::bounded(0);
            drop(go(move || rx.iter().for_each(|n: u32| back.send(n + 1).unwrap())));
            tx.send(1).unwrap();
            assert_eq!(answer.recv(), Ok(2));
            assert_eq!(wait(async { 3 }), 3);
            time::sleep(Duration::from_micros(100));
            assert!(answer.recv_timeout(Duration::from_micros(100)).is_err());
            yield_now();
            assert_eq!(blocking(|| 4), 4);
            assert_eq!(scope(|s| s.go(|| 5).join().unwrap()), 5);
            assert_eq!(gosched::num_goroutine(), 0);
            ENDED.fetch_add(1, Ordering::SeqCst);
        }
    }
    thread_local! {
        static BLOCKS: RefCell<Option<Blocks>> = const { RefCell::new(None) };
    }
    bounded(|| {
        // The library's own thread-locals are made before the user's, or after, so they go after or before.
        for first in [true, false] {
            let block = || {
                let (tx, rx) = chan::bounded(0);
                drop(go(move || tx.send(1)));
                assert_eq!(rx.recv(), Ok(1));
            };
            thread::spawn(move || {
                if first {
                    block();
                }
                BLOCKS.with(|blocks| *blocks.borrow_mut() = Some(Blocks));
                if !first {
                    block();
                }
            })
            .join()
            .unwrap();
        }
        assert_eq!(ENDED.load(Ordering::SeqCst), 2);
    });
}

#[cfg(all(debug_assertions, target_os = "linux", target_arch = "x86_64"))]
mod affinity {
    use super::*;

    scoped_tls::scoped_thread_local!(static SCOPED: usize);

    fn caught(payload: &(dyn std::any::Any + Send)) {
        let said = text(payload);
        assert!(said.contains("points into its stack") && said.contains("gosched::no_suspend"), "{said}");
        assert!(said.contains(file!()), "{said}");
    }

    #[test]
    fn the_reverse_check_catches_a_scoped_thread_local_across_a_blocking_call() {
        if crate::common::goroutines_are_threads() {
            // Threads do not share their thread-locals: nothing to catch.
            return;
        }
        for mode in cheap_modes() {
            bounded(move || {
                mode.runtime.run(|| {
                    let calls: [fn(); 3] = [
                        yield_now,
                        || time::sleep(Duration::from_secs(1)),
                        || {
                            let (_open, rx) = chan::bounded::<()>(0);
                            let _ = rx.recv_timeout(Duration::from_secs(1));
                        },
                    ];
                    for call in calls {
                        let stackful = go(move || {
                            let local = 5;
                            SCOPED.set(&local, call);
                        });
                        caught(&*stackful.join().unwrap_err());
                        let stackless = go_async(async move {
                            let local = 5;
                            SCOPED.set(&local, call);
                        });
                        caught(&*stackless.join().unwrap_err());
                    }
                    // Gone by the panic, so others are left alone.
                    assert_eq!(go(|| (yield_now(), 1).1).join().unwrap(), 1);
                });
            });
        }
    }

    #[test]
    fn the_reverse_check_lets_no_suspend_pass() {
        everywhere(|| {
            let handle = go(|| {
                let local = 5;
                SCOPED.set(&local, || {
                    no_suspend(|| {
                        yield_now();
                        time::sleep(Duration::from_micros(100));
                    });
                    SCOPED.with(|value| *value)
                })
            });
            assert_eq!(handle.join().unwrap(), 5);
        });
    }

    #[test]
    fn the_reverse_check_does_not_unwind_what_others_still_use() {
        if crate::common::goroutines_are_threads() {
            // Threads do not share their thread-locals: nothing to catch.
            return;
        }
        // Not in migrating mode: these waits suspend in spite of the pointer and report it afterwards, and a
        // goroutine that came back on another thread would leave the pointer behind on the first.
        for mode in cheap_modes().into_iter().take(2) {
            bounded(move || {
                mode.runtime.run(|| {
                    let ended = Arc::new(AtomicUsize::new(0));
                    let seen = ended.clone();
                    // A scope's children, and the thread of a blocking call, use this frame until they end.
                    let handle = go(move || {
                        let local = 5;
                        let children = panic_text(|| {
                            SCOPED.set(&local, || {
                                scope(|s| {
                                    s.go(|| {
                                        time::sleep(Duration::from_millis(2));
                                        seen.fetch_add(1, Ordering::SeqCst)
                                    });
                                })
                            })
                        });
                        assert_eq!(seen.load(Ordering::SeqCst), 1);
                        let call = panic_text(|| {
                            SCOPED.set(&local, || {
                                blocking(|| {
                                    thread::sleep(Duration::from_millis(2));
                                    seen.fetch_add(1, Ordering::SeqCst)
                                })
                            })
                        });
                        assert_eq!(seen.load(Ordering::SeqCst), 2);
                        (children, call)
                    });
                    let (children, call) = handle.join().unwrap();
                    caught(&children);
                    caught(&call);
                });
            });
        }
    }
}

#[test]
fn goexit_poisons_std_mutexes_as_documented() {
    everywhere(|| {
        let mutex = Arc::new(std::sync::Mutex::new(1));
        let held = mutex.clone();
        let ended = go(move || {
            let _guard = held.lock().unwrap();
            goexit();
        });
        assert!(ended.join().unwrap_err().is::<Goexit>());
        assert!(mutex.is_poisoned());
    });
}
