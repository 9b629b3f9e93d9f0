//! Regression tests for what the second review found: foreign wakers that block or panic in the middle of a
//! goroutine's blocking call, a failed affinity check inside one, and goroutines that a worker has taken off the
//! global queue and does not get to.
#![allow(non_snake_case)]

mod common;

use common::wakers::{PANIC, Panics};
use common::{PATIENCE, bounded, eventually, everywhere, goroutines_are_threads};
use gosched::goroutine::ShutDown;
use gosched::sync::{Condvar, LockAsync, Mutex};
use gosched::{JoinHandle, Runtime, chan, go, num_goroutine, select, select_async, time, yield_now};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

// ---- foreign wakers that block ------------------------------------------------------------------

/// A foreign waker: wakes its executor's thread, and then waits until that has gone on.
struct Blocks {
    thread: Thread,
    gone_on: chan::Receiver<()>,
}

impl Wake for Blocks {
    fn wake(self: Arc<Self>) {
        self.thread.unpark();
        let _ = self.gone_on.recv();
    }
}

/// A foreign executor on a thread of its own, for one future that is pending at first. Its waker blocks whoever calls
/// it until the future has ended, and `after` has been called.
fn foreign<F: Future<Output = ()> + Send + 'static>(future: F, after: impl FnOnce() + Send + 'static) {
    let (ready, is_ready) = chan::bounded(1);
    thread::spawn(move || {
        let (go_on, gone_on) = chan::bounded(0);
        let waker = Arc::new(Blocks { thread: thread::current(), gone_on }).into();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        assert!(future.as_mut().poll(&mut cx).is_pending());
        ready.send(()).unwrap();
        while future.as_mut().poll(&mut cx).is_pending() {
            thread::park();
        }
        after();
        // The waker waits by now, and what the future has done came before this.
        while go_on.try_send(()).is_err() {
            thread::yield_now();
        }
    });
    is_ready.recv().unwrap();
}

/// Offers 7 on a channel without a buffer, by a select in a foreign executor.
fn foreign_offer() -> chan::Receiver<u32> {
    let (tx, rx) = chan::bounded(0);
    let offer = async move {
        select_async! {
            send(tx, 7) -> sent => sent.unwrap(),
        }
    };
    foreign(offer, || ());
    rx
}

#[test]
fn C27_a_receive_is_not_forgotten_in_a_foreign_waker_that_blocks() {
    everywhere(|| {
        for _ in 0..20 {
            assert_eq!(foreign_offer().recv(), Ok(7));
            assert_eq!(foreign_offer().recv_timeout(common::PATIENCE), Ok(7));
            assert_eq!(foreign_offer().iter().next(), Some(7));
        }
    });
}

#[test]
fn S06_a_select_is_not_forgotten_in_a_foreign_waker_that_blocks() {
    everywhere(|| {
        let (_open, never) = chan::bounded::<u32>(0);
        for _ in 0..20 {
            let rx = foreign_offer();
            let got = select! {
                recv(rx) -> value => value,
                recv(never) -> value => value,
            };
            assert_eq!(got, Ok(7));
            let rx = foreign_offer();
            let mut list = gosched::Select::new();
            list.recv(&never);
            list.recv(&rx);
            assert_eq!(list.select().recv(&rx), Ok(7));
        }
    });
}

#[test]
fn a_wait_for_a_condition_is_not_forgotten_in_a_foreign_waker_that_blocks() {
    everywhere(|| {
        for _ in 0..20 {
            let (mutex, changed) = (Arc::new(Mutex::new(false)), Arc::new(Condvar::new()));
            let mut guard = mutex.lock();
            // Gets the mutex when the wait below gives it back, which wakes it.
            let (mutex2, changed2) = (mutex.clone(), changed.clone());
            let change = async move {
                *mutex2.lock_async().await = true;
                changed2.notify_one();
            };
            foreign(change, || ());
            changed.wait(&mut guard);
            assert!(*guard);
        }
    });
}

/// A foreign waker that lets a goroutine end when it is dropped, and then waits until it has.
struct BlocksInDrop {
    end: Option<chan::Sender<()>>,
    gone_on: chan::Receiver<()>,
}

impl Wake for BlocksInDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for BlocksInDrop {
    fn drop(&mut self) {
        self.end = None;
        let _ = self.gone_on.recv();
    }
}

#[test]
fn a_join_is_not_forgotten_in_a_foreign_waker_that_blocks() {
    everywhere(|| {
        for _ in 0..20 {
            let (end, ends) = chan::bounded::<()>(0);
            let (go_on, gone_on) = chan::bounded(0);
            let mut ending = go(move || ends.recv().is_err());
            // The helper goes on when there is nobody but itself, main and nobody else.
            let helper = go(move || {
                eventually("it has ended", || num_goroutine() == 2);
                while go_on.try_send(()).is_err() {
                    yield_now();
                }
            });
            let waker = Waker::from(Arc::new(BlocksInDrop { end: Some(end), gone_on }));
            assert!(Pin::new(&mut ending).poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            // Puts our waker into the other one's place, which is the last of it.
            assert!(ending.join().unwrap());
            helper.join().unwrap();
        }
    });
}

// ---- foreign wakers that panic ------------------------------------------------------------------

#[test]
fn a_foreign_wakers_panic_inside_a_receive_leaves_the_channel_whole() {
    everywhere(|| {
        let waker = Waker::from(Arc::new(Panics));
        let mut cx = Context::from_waker(&waker);
        for round in 0..20 {
            let (tx, rx) = chan::bounded(0);
            let mut offer = Box::pin(async {
                select_async! {
                    send(tx, round) -> sent => sent.unwrap(),
                }
            });
            assert!(offer.as_mut().poll(&mut cx).is_pending());
            let (rx2, (_open, never)) = (rx.clone(), chan::bounded(0));
            let receives = go(move || {
                if round % 2 == 0 {
                    return rx2.recv();
                }
                select! {
                    recv(rx2) -> value => value,
                    recv(never) -> value => value,
                }
            });
            assert_eq!(common::text(&*receives.join().unwrap_err()), PANIC);
            // The case was chosen, but its receiver has gone: it sends to the next one.
            let mut cx = Context::from_waker(Waker::noop());
            assert!(offer.as_mut().poll(&mut cx).is_pending());
            assert_eq!(rx.recv(), Ok(round));
            assert_eq!(offer.as_mut().poll(&mut cx), Poll::Ready(()));
        }
    });
}

#[test]
fn C10_a_foreign_wakers_panic_keeps_nobody_from_learning_of_the_close() {
    everywhere(|| {
        let waker = Waker::from(Arc::new(Panics));
        for round in 0..8 {
            let (tx, rx) = chan::bounded::<u32>(0);
            let mut foreign = Box::pin(rx.recv_async());
            assert!(foreign.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            // More than one critical section of closing releases.
            let waiting = Arc::new(AtomicUsize::new(0));
            let others: Vec<_> = (0..100)
                .map(|_| {
                    let (rx, waiting) = (rx.clone(), waiting.clone());
                    go(move || {
                        waiting.fetch_add(1, Ordering::SeqCst);
                        rx.recv()
                    })
                })
                .collect();
            eventually("all but wait", || waiting.load(Ordering::SeqCst) == 100);
            time::sleep(Duration::from_millis(1));
            let closes = catch_unwind(AssertUnwindSafe(|| match round % 2 {
                0 => assert!(tx.close()),
                _ => drop(tx),
            }));
            assert_eq!(common::text(&*closes.unwrap_err()), PANIC);
            for other in others {
                assert!(other.join().unwrap().is_err());
            }
        }
        eventually("only main is left", || num_goroutine() == 1);
    });
}

// ---- the affinity check inside a blocking call ---------------------------------------------------

#[cfg(all(debug_assertions, target_os = "linux", target_arch = "x86_64"))]
mod affinity {
    use super::*;

    scoped_tls::scoped_thread_local!(static SCOPED: usize);

    /// Calls what blocks, with a thread-local that points into the goroutine's stack.
    fn pointed_at(blocks: impl FnOnce()) {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let local = 5;
            SCOPED.set(&local, blocks);
        }));
        assert!(common::text(&*caught.unwrap_err()).contains("points into its stack"));
    }

    #[test]
    fn a_failed_check_takes_the_operation_out_of_its_queues() {
        if common::goroutines_are_threads() {
            return;
        }
        for mode in common::cheap_modes() {
            bounded(move || {
                mode.runtime.run(|| {
                    for _ in 0..50 {
                        let (tx, rx) = chan::bounded::<u32>(0);
                        let (open, never) = chan::bounded::<u32>(0);
                        pointed_at(|| _ = rx.recv());
                        assert!(tx.try_send(1).is_err(), "nobody receives any more");
                        pointed_at(|| _ = tx.send(2));
                        assert!(rx.try_recv().is_err(), "nobody sends any more");
                        pointed_at(|| {
                            select! {
                                recv(rx) -> _ => {},
                                send(open, 3) -> _ => {},
                            }
                        });
                        assert!(
                            tx.try_send(4).is_err() && never.try_recv().is_err(),
                            "nobody selects any more"
                        );
                    }
                });
            });
        }
    }

    #[test]
    fn a_failed_check_loses_no_message_that_came_meanwhile() {
        if common::goroutines_are_threads() {
            return;
        }
        bounded(|| {
            let (tx, rx) = chan::bounded::<usize>(0);
            const COUNT: usize = 2000;
            let (tx2, sent) = (tx.clone(), Arc::new(AtomicUsize::new(0)));
            let counts = sent.clone();
            let sender = thread::spawn(move || {
                for i in 0..COUNT {
                    while tx2.try_send(i).is_err() {
                        std::hint::spin_loop();
                    }
                    counts.fetch_add(1, Ordering::SeqCst);
                }
            });
            // A receive either has its message at once, or panics; a message that came just then is still there.
            let got = gosched::run(move || {
                let mut got = 0;
                while got < COUNT {
                    let value = catch_unwind(AssertUnwindSafe(|| {
                        let local = 5;
                        SCOPED.set(&local, || rx.recv())
                    }));
                    got += usize::from(value.is_ok());
                }
                got
            });
            sender.join().unwrap();
            assert_eq!((got, sent.load(Ordering::SeqCst)), (COUNT, COUNT));
            drop(tx);
        });
    }
}

// ---- what a worker has taken and does not get to -------------------------------------------------

/// A runtime of one worker that is about to take `count` goroutines off the global queue: the first of them that runs
/// calls `first`, and keeps the worker until the flag is raised.
fn stuck(
    count: usize,
    first: fn() -> Vec<JoinHandle<()>>,
) -> (Runtime, Arc<AtomicBool>, Vec<JoinHandle<()>>) {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let handle = runtime.handle();
    let (end, injected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (ends, seen) = (end.clone(), injected.clone());
    // Keeps the worker from looking anywhere but in its fair turns.
    let (started, starts) = std::sync::mpsc::channel();
    drop(handle.go(move || {
        started.send(()).unwrap();
        while !ends.load(Ordering::SeqCst) {
            if seen.load(Ordering::SeqCst) {
                yield_now();
            }
        }
    }));
    starts.recv_timeout(common::PATIENCE / 3).unwrap();
    let (made, makes) = std::sync::mpsc::channel();
    let mut handles: Vec<_> = (0..count)
        .map(|_| {
            let (end, made) = (end.clone(), made.clone());
            handle.go(move || {
                made.send(first()).unwrap();
                while !end.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
            })
        })
        .collect();
    injected.store(true, Ordering::SeqCst);
    handles.extend(makes.recv_timeout(common::PATIENCE / 3).unwrap());
    (runtime, end, handles)
}

/// All but the one that keeps the worker end with the runtime.
fn end_although_the_worker_is_kept(count: usize, first: fn() -> Vec<JoinHandle<()>>) {
    bounded(move || {
        let (runtime, end, mut handles) = stuck(count, first);
        drop(runtime);
        eventually("all but one have ended", || {
            handles.iter().filter(|handle| !handle.is_finished()).count() == 1
        });
        handles.retain(|handle| handle.is_finished());
        for handle in handles {
            assert!(handle.join().unwrap_err().is::<ShutDown>());
        }
        end.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_shutdown_ends_what_a_worker_that_is_kept_has_taken_off_the_global_queue() {
    end_although_the_worker_is_kept(20, Vec::new);
}

#[test]
fn a_shutdown_ends_what_waits_in_the_ring_of_a_worker_that_is_kept() {
    end_although_the_worker_is_kept(1, || (0..10).map(|_| go(|| ())).collect());
}

#[test]
fn G23_goroutines_that_a_worker_took_and_does_not_get_to_run_on_a_busy_one() {
    bounded(|| {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let handle = runtime.handle();
        let (end, here) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        // Keep both workers busy for ever, each at home on one of them.
        for _ in 0..2 {
            let (end, here) = (end.clone(), here.clone());
            drop(handle.go(move || {
                here.fetch_add(1, Ordering::SeqCst);
                while here.load(Ordering::SeqCst) < 2 {
                    std::hint::spin_loop();
                }
                while !end.load(Ordering::SeqCst) {
                    yield_now();
                }
            }));
        }
        eventually("both workers are busy", || here.load(Ordering::SeqCst) == 2);
        // Each turn on a busy worker costs two switches, of threads where goroutines are such.
        let (rounds, count) = if goroutines_are_threads() { (5, 10) } else { (20, 40) };
        for _ in 0..rounds {
            let ran = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..count)
                .map(|_| {
                    let ran = ran.clone();
                    handle.go(move || {
                        // The first one keeps its worker until all others have run.
                        if ran.fetch_add(1, Ordering::SeqCst) > 0 {
                            return true;
                        }
                        let deadline = Instant::now() + PATIENCE / 2;
                        while ran.load(Ordering::SeqCst) < count && Instant::now() < deadline {
                            std::hint::spin_loop();
                        }
                        ran.load(Ordering::SeqCst) == count
                    })
                })
                .collect();
            for handle in handles {
                assert!(handle.join().unwrap(), "some waited behind one that keeps its worker");
            }
        }
        end.store(true, Ordering::SeqCst);
        time::sleep(Duration::from_millis(1));
    });
}
