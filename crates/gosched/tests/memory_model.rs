//! What happens before what (FEATURES, section 2), with plain data that nothing else orders.
//!
//! Everywhere these check values; under ThreadSanitizer (`.ci/tsan`), where every goroutine is an OS thread, they
//! also prove that each edge is one of synchronisation. So nothing here uses std's locks or threads, of which the
//! sanitizer sees only half.
#![allow(non_snake_case)]

use gosched::chan::{bounded, unbounded};
use gosched::sync::{
    Barrier, Condvar, LazyLock, Mutex, Once, OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard, WaitGroup,
};
use gosched::{blocking, go, go_async, scope, select, yield_now};
use std::cell::UnsafeCell;
use std::future::Future;
use std::sync::Arc;

/// A number that may only be touched where an edge of the memory model orders it.
struct Plain(UnsafeCell<u64>);

// SAFETY: the tests' subject: every access is ordered by the primitive under test.
unsafe impl Sync for Plain {}

impl Plain {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(0)))
    }

    fn set(&self, value: u64) {
        // SAFETY: ordered by the primitive under test.
        unsafe { *self.0.get() = value }
    }

    fn get(&self) -> u64 {
        // SAFETY: ordered by the primitive under test.
        unsafe { *self.0.get() }
    }

    fn add(&self) {
        self.set(self.get() + 1);
    }
}

const ROUNDS: u64 = 100;

fn rounds(f: impl Fn(u64) + Sync) {
    let runtime = gosched::Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| (1..=ROUNDS).for_each(&f));
}

#[test]
fn M01_go_is_before_the_start_and_the_end_before_join() {
    rounds(|i| {
        let data = Plain::new();
        data.set(i);
        let theirs = data.clone();
        let handle = go(move || {
            assert_eq!(theirs.get(), i);
            theirs.add();
        });
        handle.join().unwrap();
        assert_eq!(data.get(), i + 1);
        let theirs = data.clone();
        go_async(async move { theirs.add() }).join().unwrap();
        assert_eq!(data.get(), i + 2);
    });
}

#[test]
fn M02_a_send_is_before_its_receive() {
    for capacity in [Some(0), Some(1), Some(3), None] {
        rounds(|i| {
            let (tx, rx) = capacity.map_or_else(unbounded, bounded);
            let data = Plain::new();
            let theirs = data.clone();
            go(move || {
                theirs.set(i);
                tx.send(()).unwrap();
            });
            if i % 2 == 0 {
                yield_now();
            }
            rx.recv().unwrap();
            assert_eq!(data.get(), i);
        });
    }
}

#[test]
fn M03_closing_is_before_the_receive_that_finds_it() {
    rounds(|i| {
        let (tx, rx) = bounded::<()>(1);
        let data = Plain::new();
        let theirs = data.clone();
        go(move || {
            theirs.set(i);
            if i % 2 == 0 {
                tx.close();
            }
        });
        assert!(rx.recv().is_err());
        assert_eq!(data.get(), i);
    });
}

#[test]
fn M04_an_unbuffered_receive_is_before_the_end_of_its_send() {
    rounds(|i| {
        let (tx, rx) = bounded(0);
        let data = Plain::new();
        let theirs = data.clone();
        go(move || {
            theirs.set(i);
            rx.recv().unwrap();
        });
        tx.send(()).unwrap();
        assert_eq!(data.get(), i);
    });
}

#[test]
fn M05_a_channel_of_capacity_one_is_a_mutex() {
    rounds(|_| {
        let (lock, unlock) = bounded(1);
        let data = Plain::new();
        let wg = WaitGroup::new();
        for _ in 0..4 {
            let (lock, unlock, data) = (lock.clone(), unlock.clone(), data.clone());
            wg.go(move || {
                for _ in 0..5 {
                    lock.send(()).unwrap();
                    data.add();
                    unlock.recv().unwrap();
                }
            });
        }
        wg.wait();
        assert_eq!(data.get(), 20);
    });
}

#[test]
fn M06_a_buffered_send_does_not_wait_for_its_receive() {
    for capacity in [Some(1), Some(3), None] {
        rounds(|i| {
            let (tx, rx) = capacity.map_or_else(unbounded, bounded);
            let data = Plain::new();
            let theirs = data.clone();
            let sends = capacity.unwrap_or(5);
            let sender = go(move || {
                theirs.set(i);
                (0..sends).for_each(|_| tx.send(()).unwrap());
            });
            // It comes to its end with nothing received, so no receive can be before the end of these sends.
            sender.join().unwrap();
            assert_eq!(rx.len(), sends);
            // The edge in the other direction is there all the same.
            let theirs = data.clone();
            let receiver = go(move || {
                (0..sends).for_each(|_| rx.recv().unwrap());
                theirs.get()
            });
            assert_eq!(receiver.join().unwrap(), i);
        });
    }
}

#[test]
fn M07_and_M10_unlock_is_before_lock_and_done_before_wait() {
    rounds(|_| {
        let data = Arc::new((Mutex::new(()), Plain::new()));
        let wg = WaitGroup::new();
        for _ in 0..4 {
            let data = data.clone();
            wg.go(move || {
                for _ in 0..10 {
                    let _held = data.0.lock();
                    data.1.add();
                }
            });
        }
        wg.wait();
        assert_eq!(data.1.get(), 40);
    });
}

#[test]
fn M07_and_M08_of_readers_and_writers() {
    rounds(|_| {
        let data = Arc::new((RwLock::new(()), Plain::new()));
        let wg = WaitGroup::new();
        for k in 0..4 {
            let data = data.clone();
            wg.go(move || {
                for i in 0..10 {
                    match (i + k) % 5 {
                        0 => {
                            let held = data.0.write();
                            data.1.add();
                            // Reading on, with other readers let in.
                            let _held = RwLockWriteGuard::downgrade(held);
                            assert!(data.1.get() > 0);
                        }
                        1 => {
                            let held = data.0.write();
                            data.1.add();
                            RwLockWriteGuard::unlock_fair(held);
                        }
                        2 => {
                            if let Some(_held) = data.0.try_read() {
                                assert!(data.1.get() <= 16);
                            }
                        }
                        3 => {
                            let held = data.0.read();
                            assert!(data.1.get() <= 16);
                            RwLockReadGuard::unlock_fair(held);
                        }
                        _ => {
                            let _held = data.0.read();
                            assert!(data.1.get() <= 16);
                        }
                    }
                }
            });
        }
        wg.wait();
        assert_eq!(data.1.get(), 16);
    });
}

#[test]
fn M09_the_one_call_is_before_the_return_of_any() {
    rounds(|i| {
        let shared = Arc::new((Once::new(), OnceCell::new(), LazyLock::new(Plain::new), Plain::new()));
        let wg = WaitGroup::new();
        for _ in 0..4 {
            let shared = shared.clone();
            wg.go(move || {
                shared.0.call_once(|| shared.3.set(i));
                assert_eq!(shared.3.get(), i);
                let cell = shared.1.get_or_init(|| {
                    let value = Plain::new();
                    value.set(i);
                    value
                });
                assert_eq!(cell.get(), i);
                assert_eq!(shared.2.get(), 0);
            });
        }
        wg.wait();
    });
}

#[test]
fn what_each_did_before_a_barrier_is_before_what_any_does_after_it() {
    rounds(|i| {
        let shared = Arc::new((Barrier::new(3), [Plain::new(), Plain::new(), Plain::new()]));
        let wg = WaitGroup::new();
        for k in 0..3 {
            let shared = shared.clone();
            wg.go(move || {
                for step in 0..3 {
                    shared.1[k].set(i + step);
                    shared.0.wait();
                    assert!(shared.1.iter().all(|data| data.get() == i + step));
                    shared.0.wait();
                }
            });
        }
        wg.wait();
    });
}

#[test]
fn M11_a_notification_is_before_the_wait_it_ends() {
    rounds(|i| {
        let shared = Arc::new((Mutex::new(false), Condvar::new(), Plain::new()));
        let theirs = shared.clone();
        go(move || {
            theirs.2.set(i);
            *theirs.0.lock() = true;
            theirs.1.notify_one();
        });
        let mut ready = shared.0.lock();
        while !*ready {
            shared.1.wait(&mut ready);
        }
        assert_eq!(shared.2.get(), i);
    });
}

#[test]
fn select_orders_like_the_operation_it_performs() {
    rounds(|i| {
        let ((tx0, rx0), (tx1, rx1)) = (bounded(0), bounded(0));
        let (data, answer) = (Plain::new(), Plain::new());
        let (theirs, reply) = (data.clone(), answer.clone());
        go(move || {
            theirs.set(i);
            select! {
                send(tx0, ()) -> sent => sent.unwrap(),
                recv(rx1) -> got => got.unwrap(),
            }
            // Either way the other side is through with its half of the meeting.
            reply.set(i);
        });
        if i % 2 == 0 {
            select! { recv(rx0) -> got => got.unwrap() }
        } else {
            select! { send(tx1, ()) -> sent => sent.unwrap() }
        }
        assert_eq!(data.get(), i);
    });
}

#[test]
fn scopes_and_blocking_calls_end_before_they_return() {
    rounds(|i| {
        let data = Plain::new();
        scope(|s| {
            s.go(|| data.set(i));
        });
        assert_eq!(data.get(), i);
        blocking(|| data.add());
        assert_eq!(data.get(), i + 1);
    });
}

#[test]
fn a_value_handed_over_twice_carries_its_edges_along() {
    rounds(|i| {
        let (tx, rx) = bounded(0);
        let data = Plain::new();
        let theirs = data.clone();
        let mut given_up = Box::pin(rx.recv_async());
        gosched::wait(std::future::poll_fn(|cx| {
            assert!(given_up.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        }));
        go(move || {
            theirs.set(i);
            tx.send(()).unwrap();
        })
        .join()
        .unwrap();
        // It has the message, and is dropped: the message goes back, and to us.
        drop(given_up);
        rx.recv().unwrap();
        assert_eq!(data.get(), i);
    });
}
