//! The end of a runtime: what becomes of goroutines in every state, and of those who still reach for it.
#![allow(non_snake_case)]

mod common;

use common::values::Counted;
use common::{bounded, modes, panic_text};
use gosched::goroutine::{Builder, ShutDown};
use gosched::{Runtime, chan, go, go_async, time, yield_now};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// Blocks inside its poll until the channel ends.
struct BlocksInPoll(chan::Receiver<()>, Arc<AtomicUsize>, #[allow(dead_code)] Counted);

impl Future for BlocksInPoll {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let _ = self.0.recv();
        Poll::Ready(())
    }
}

#[test]
fn a_runtime_is_dropped_with_goroutines_in_every_state() {
    for mode in modes() {
        bounded(move || {
            let name = mode.name;
            let (tx, rx) = chan::bounded::<()>(0);
            let (free, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (free2, stuck2) = (free.clone(), stuck.clone());
            let runtime = mode.runtime;
            let mut handles = runtime.run(move || {
                let (free, stuck) = (free2, stuck2);
                let mut handles = Vec::new();
                let started = Arc::new(AtomicUsize::new(0));
                let start = || {
                    let started = started.clone();
                    move || {
                        started.fetch_add(1, Ordering::SeqCst);
                    }
                };
                // Parked on a stack.
                let (counted, from, start_1) = (Counted::new(stuck.clone()), rx.clone(), start());
                handles.push(go(move || {
                    start_1();
                    drop((from.recv(), counted));
                }));
                // Asleep on a stack.
                let (counted, start_2) = (Counted::new(stuck.clone()), start());
                handles.push(go(move || {
                    let _counted = counted;
                    start_2();
                    time::sleep(Duration::from_secs(3600));
                }));
                // In the middle of a poll.
                handles.push(go_async(BlocksInPoll(
                    rx.clone(),
                    started.clone(),
                    Counted::new(stuck.clone()),
                )));
                // Between two polls.
                let (counted, from, start_3) = (Counted::new(free.clone()), rx.clone(), start());
                handles.push(go_async(async move {
                    start_3();
                    drop((from.recv_async().await, counted));
                }));
                let (counted, start_4) = (Counted::new(free.clone()), start());
                handles.push(go_async(async move {
                    let _counted = counted;
                    start_4();
                    time::sleep_async(Duration::from_secs(3600)).await;
                }));
                // Yielding for ever: abandoned in a queue, or while it runs.
                let (counted, start_5) = (Counted::new(stuck.clone()), start());
                handles.push(go(move || {
                    let _counted = counted;
                    start_5();
                    loop {
                        yield_now();
                    }
                }));
                common::eventually("all have started", || started.load(Ordering::SeqCst) == 6);
                time::sleep(Duration::from_millis(2));
                // Queued and unstarted (one may have been stolen and have started: it ends by itself).
                for _ in 0..20 {
                    let counted = Counted::new(free.clone());
                    handles.push(go(move || drop(counted)));
                    let counted = Counted::new(free.clone());
                    handles.push(go_async(async move { drop(counted) }));
                }
                handles
            });
            let start = Instant::now();
            drop(runtime);
            assert!(start.elapsed() < Duration::from_secs(5), "{name}: {:?}", start.elapsed());
            common::eventually("what can be dropped is dropped", || free.load(Ordering::SeqCst) == 0);
            assert_eq!(stuck.load(Ordering::SeqCst), 4, "{name}");
            for handle in &handles {
                assert!(handle.is_finished(), "{name}");
            }
            for handle in handles.drain(..6) {
                assert!(handle.join().unwrap_err().is::<ShutDown>(), "{name}");
            }
            for handle in handles {
                assert!(handle.join().err().is_none_or(|error| error.is::<ShutDown>()), "{name}");
            }
            // Wakes of what was abandoned do nothing.
            drop(tx);
            thread::sleep(Duration::from_millis(2));
            assert_eq!(stuck.load(Ordering::SeqCst), 4, "{name}");
        });
    }
}

#[test]
fn a_runtime_is_dropped_while_a_goroutine_is_in_blocking() {
    for mode in modes() {
        bounded(move || {
            let (go_on, wait_for) = chan::bounded::<()>(1);
            let (done, is_done) = chan::bounded(1);
            let (started, is_started) = chan::bounded(1);
            let runtime = mode.runtime;
            runtime.run(move || {
                drop(go(move || {
                    let mut local = vec![1, 2, 3];
                    gosched::blocking(|| {
                        started.send(()).unwrap();
                        wait_for.recv().unwrap();
                        // The frame of the abandoned goroutine is still there.
                        local.push(4);
                        done.send(local.iter().sum::<i32>()).unwrap();
                    });
                    unreachable!("an abandoned goroutine does not go on");
                }));
                is_started.recv().unwrap();
            });
            drop(runtime);
            go_on.send(()).unwrap();
            assert_eq!(is_done.recv().unwrap(), 10);
        });
    }
}

#[test]
fn a_goroutine_in_the_middle_of_something_is_given_time() {
    for mode in modes() {
        bounded(move || {
            let runtime = mode.runtime;
            let (started, is_started) = std::sync::mpsc::channel();
            let handle = runtime.handle().go(move || {
                started.send(()).unwrap();
                thread::sleep(Duration::from_millis(20));
                7
            });
            is_started.recv().unwrap();
            drop(runtime);
            assert_eq!(handle.join().unwrap(), 7, "{}", mode.name);
        });
    }
}

#[test]
fn a_goroutine_that_stalls_the_shutdown_ends_later_by_itself() {
    for mode in modes() {
        bounded(move || {
            let runtime = mode.runtime;
            let (started, is_started) = std::sync::mpsc::channel();
            let handle = runtime.handle().go(move || {
                started.send(()).unwrap();
                thread::sleep(Duration::from_millis(250));
                7
            });
            let (_never, rx) = chan::bounded::<()>(0);
            let late = runtime.handle().go(move || {
                thread::sleep(Duration::from_millis(250));
                rx.recv()
            });
            is_started.recv().unwrap();
            drop(runtime);
            assert_eq!(handle.join().unwrap(), 7, "{}", mode.name);
            // Either it had started, and is abandoned when it blocks; or it never started.
            assert!(late.join().unwrap_err().is::<ShutDown>(), "{}", mode.name);
        });
    }
}

#[test]
fn spawning_after_the_shutdown_is_an_error() {
    for mode in modes() {
        bounded(move || {
            let handle = mode.runtime.handle();
            drop(mode.runtime);
            for said in [panic_text(|| handle.go(|| ())), panic_text(|| handle.go_async(async {}))] {
                assert_eq!(said, "cannot start a goroutine: the runtime has been shut down");
            }
            let _entered = handle.enter();
            let live = Arc::new(AtomicUsize::new(0));
            let counted = Counted::new(live.clone());
            let error = Builder::new().spawn(move || drop(counted)).unwrap_err();
            assert_eq!(error.to_string(), "the runtime has been shut down");
            assert_eq!(live.load(Ordering::SeqCst), 0);
            assert!(panic_text(|| go(|| ())).contains("shut down"));
            // A scope says so too, and does not hang.
            assert!(panic_text(|| gosched::scope(|s| drop(s.go(|| ())))).contains("shut down"));
        });
    }
}

#[test]
fn a_goroutine_may_drop_its_own_runtime() {
    for mode in modes() {
        bounded(move || {
            let runtime = mode.runtime;
            let (tx, rx) = std::sync::mpsc::channel();
            let (sent, owned) = chan::bounded::<Runtime>(1);
            let handle = runtime.handle().go(move || {
                drop(owned.recv().unwrap());
                tx.send(Builder::new().spawn(|| ()).is_err()).unwrap();
            });
            sent.send(runtime).unwrap();
            assert!(rx.recv().unwrap());
            handle.join().unwrap();
        });
    }
}

#[test]
fn spawning_races_with_the_shutdown() {
    bounded(|| {
        for round in 0..200u32 {
            let runtime = Runtime::builder().workers(1 + round as usize % 2).build().unwrap();
            let live = Arc::new(AtomicUsize::new(0));
            let spawners: Vec<_> = (0..2)
                .map(|_| {
                    let (handle, live) = (runtime.handle(), live.clone());
                    thread::spawn(move || {
                        let _entered = handle.enter();
                        let mut handles = Vec::new();
                        loop {
                            let (a, b) = (Counted::new(live.clone()), Counted::new(live.clone()));
                            let stackful = Builder::new().spawn(move || drop(a));
                            let stackless = Builder::new().spawn_async(async move { drop(b) });
                            match (stackful, stackless) {
                                (Ok(a), Ok(b)) => handles.extend([a, b]),
                                (a, b) => {
                                    handles.extend(a.ok().into_iter().chain(b.ok()));
                                    return handles;
                                }
                            }
                        }
                    })
                })
                .collect();
            (0..round * 10).for_each(|_| std::hint::spin_loop());
            drop(runtime);
            for spawner in spawners {
                for handle in spawner.join().unwrap() {
                    // Every one of them has ended, one way or the other.
                    assert!(handle.join().err().is_none_or(|error| error.is::<ShutDown>()));
                }
            }
            common::eventually("all bodies are dropped", || live.load(Ordering::SeqCst) == 0);
        }
    });
}

#[test]
fn wakes_race_with_the_shutdown() {
    for mode in 0..4 {
        bounded(move || {
            for round in 0..50u32 {
                let runtime = modes().swap_remove(mode).runtime;
                let on = Arc::new(AtomicBool::new(true));
                let (tx, rx) = chan::bounded::<u32>(1);
                let (back, answers) = chan::unbounded::<u32>();
                let handles: Vec<_> = (0..8)
                    .map(|i| {
                        let (rx, back) = (rx.clone(), back.clone());
                        if i % 2 == 0 {
                            runtime.handle().go(move || rx.iter().try_for_each(|n| back.send(n)).is_ok())
                        } else {
                            runtime.handle().go_async(async move {
                                while let Ok(n) = rx.recv_async().await {
                                    time::sleep(Duration::from_micros(5));
                                    let _ = back.send(n);
                                }
                                true
                            })
                        }
                    })
                    .collect();
                let waker = {
                    let on = on.clone();
                    thread::spawn(move || {
                        while on.load(Ordering::Relaxed) {
                            let _ = tx.try_send(1);
                        }
                    })
                };
                (0..round * 100).for_each(|_| std::hint::spin_loop());
                drop(runtime);
                on.store(false, Ordering::Relaxed);
                waker.join().unwrap();
                drop((rx, answers));
                for handle in handles {
                    assert!(handle.join().err().is_none_or(|error| error.is::<ShutDown>()));
                }
            }
        });
    }
}
