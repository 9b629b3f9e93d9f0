//! Runtimes: side by side, one after the other, and their end.
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, is_child, modes, panic_text, proc_status};
use gosched::goroutine::{Builder, ShutDown};
use gosched::runtime::Handle;
use gosched::{Runtime, chan, current, go, go_async, num_goroutine, time, wait, yield_now};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// Counts the values that live.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(live.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn two_runtimes_talk_over_a_channel() {
    for (first, second) in modes().into_iter().zip(modes().into_iter().rev()) {
        bounded(move || {
            let (ask, asked) = chan::bounded(0);
            let (answer, answered) = chan::bounded(0);
            let server = second.runtime.handle().go(move || {
                for n in asked {
                    answer.send((n * 2, current().id())).unwrap();
                }
            });
            first.runtime.run(|| {
                for n in 0..200 {
                    ask.send(n).unwrap();
                    let (twice, id) = answered.recv().unwrap();
                    assert_eq!(twice, n * 2);
                    assert_ne!(id, current().id());
                }
            });
            drop(ask);
            server.join().unwrap();
        });
    }
}

#[test]
fn thousands_of_short_runtimes_leave_no_threads_and_no_memory() {
    if !is_child() {
        let test = "thousands_of_short_runtimes_leave_no_threads_and_no_memory";
        return drop(Child::new(test).passes());
    }
    let once = |i: usize| {
        assert_eq!(gosched::run(|| go(move || i).join().unwrap()), i);
    };
    (0..200).for_each(once);
    let (threads, rss) = (proc_status("Threads:"), proc_status("VmRSS:"));
    (0..3000).for_each(once);
    let (threads_after, rss_after) = (proc_status("Threads:"), proc_status("VmRSS:"));
    assert!(threads_after <= threads + 8, "{threads} threads before, {threads_after} after");
    assert!(rss_after <= rss + 8 * 1024, "{rss} KiB before, {rss_after} KiB after");
}

#[test]
fn runtimes_with_parked_goroutines_left_behind_cost_what_those_cost() {
    if !is_child() {
        return drop(Child::new("runtimes_with_parked_goroutines_left_behind_cost_what_those_cost").passes());
    }
    // Each leaves a goroutine on a stack, whose home thread stays, and serves the next runtime.
    let (_never, rx) = chan::bounded::<()>(0);
    let once = || {
        let rx = rx.clone();
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime.run(move || {
            drop(go(move || rx.recv()));
            yield_now();
        });
    };
    (0..20).for_each(|_| once());
    let threads = proc_status("Threads:");
    (0..500).for_each(|_| once());
    assert!(proc_status("Threads:") <= threads + 4, "{threads} threads before, {}", proc_status("Threads:"));
}

#[test]
fn many_runtimes_at_once() {
    bounded(|| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                thread::spawn(move || {
                    for i in 0..50 {
                        assert_eq!(gosched::run(|| go(move || t + i).join().unwrap()), t + i);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

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
                let (counted, from, start_1) = (Counted::new(&stuck), rx.clone(), start());
                handles.push(go(move || {
                    start_1();
                    drop((from.recv(), counted));
                }));
                // Asleep on a stack.
                let (counted, start_2) = (Counted::new(&stuck), start());
                handles.push(go(move || {
                    let _counted = counted;
                    start_2();
                    time::sleep(Duration::from_secs(3600));
                }));
                // In the middle of a poll.
                handles.push(go_async(BlocksInPoll(rx.clone(), started.clone(), Counted::new(&stuck))));
                // Between two polls.
                let (counted, from, start_3) = (Counted::new(&free), rx.clone(), start());
                handles.push(go_async(async move {
                    start_3();
                    drop((from.recv_async().await, counted));
                }));
                let (counted, start_4) = (Counted::new(&free), start());
                handles.push(go_async(async move {
                    let _counted = counted;
                    start_4();
                    time::sleep_async(Duration::from_secs(3600)).await;
                }));
                // Yielding for ever: abandoned in a queue, or while it runs.
                let (counted, start_5) = (Counted::new(&stuck), start());
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
                    let counted = Counted::new(&free);
                    handles.push(go(move || drop(counted)));
                    let counted = Counted::new(&free);
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
            let counted = Counted::new(&live);
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
fn handles_enter_and_tell_where_one_is() {
    for mode in modes() {
        bounded(move || {
            assert!(Handle::try_current().is_none());
            assert!(panic_text(Handle::current).contains("entered no runtime"));
            let other = Runtime::builder().workers(1).build().unwrap();
            let (handle, inner) = (mode.runtime.handle(), other.handle());
            {
                let outer = handle.enter();
                let _inner = inner.enter();
                assert_eq!(num_goroutine(), 0);
                // Out of order: the innermost stays.
                drop(outer);
                let (tx, rx) = chan::bounded::<()>(0);
                let waits = go(move || rx.recv());
                assert_eq!(format!("{inner:?}"), "Handle { goroutines: 1 }");
                assert_eq!(format!("{handle:?}"), "Handle { goroutines: 0 }");
                drop(tx);
                let _ = waits.join().unwrap();
                // Inside a goroutine its own runtime comes first.
                let entered = inner.clone();
                let seen = handle.go(move || {
                    let _entered = entered.enter();
                    (num_goroutine(), go(|| format!("{:?}", Handle::current())).join().unwrap())
                });
                let (count, seen) = seen.join().unwrap();
                assert!(count >= 1);
                assert!(seen.starts_with("Handle { goroutines: 2"), "{seen}");
            }
            assert!(Handle::try_current().is_none());
        });
    }
}

#[test]
fn goroutines_of_plain_threads_go_to_the_default_runtime() {
    bounded(|| {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                thread::spawn(move || {
                    (go(move || i).join().unwrap(), wait(go_async(async move { i })).unwrap())
                })
            })
            .collect();
        for (i, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), (i, i));
        }
        // In the default runtime one is in a runtime.
        assert!(go(|| num_goroutine() >= 1 && Handle::try_current().is_some()).join().unwrap());
        // It exists by now, so it cannot be configured any more.
        let error = Runtime::builder().workers(1).build_global().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn build_global_configures_the_default_runtime() {
    if !is_child() {
        return drop(Child::new("build_global_configures_the_default_runtime").passes());
    }
    Runtime::builder().workers(1).name("mine").build_global().unwrap();
    let name = go(|| std::fs::read_to_string("/proc/thread-self/comm").unwrap()).join().unwrap();
    assert_eq!(name.trim(), "mine-0");
}

#[test]
fn run_inside_a_goroutine_panics_and_says_what_to_use() {
    for mode in modes() {
        bounded(move || {
            let inner = Runtime::builder().workers(1).build().unwrap();
            let said = mode.runtime.run(move || {
                let in_stackless = go_async(async { panic_text(|| gosched::run(|| ())) });
                [
                    panic_text(|| gosched::run(|| ())),
                    panic_text(|| inner.run(|| ())),
                    gosched::no_suspend(|| panic_text(|| gosched::run(|| ()))),
                    in_stackless.join().unwrap(),
                ]
            });
            for said in said {
                assert!(
                    said.contains("was called inside a goroutine") && said.contains("gosched::go"),
                    "{said}"
                );
            }
            // On a thread of `blocking` one is outside.
            let other = Runtime::builder().workers(1).build().unwrap();
            assert_eq!(other.run(|| gosched::blocking(|| gosched::run(|| 5))), 5);
        });
    }
}
