//! `sync::RwLock` under load: goroutines, threads and async tasks mixed, cancellation, fairness (FEATURES Y05,
//! Y06, Y11, Y13).
#![cfg(not(loom))]
#![allow(non_snake_case)]
// Guards here may be held across an `.await`: waiting for them blocks no thread.
#![allow(clippy::await_holding_lock)]

use gosched::sync::{RwLock, RwLockAsync, RwLockReadFuture, RwLockWriteGuard, WaitGroup};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

mod common;
use common::{MS, block_on, bounded, everywhere};

/// Data that notices when a writer is not alone.
struct Watched {
    lock: RwLock<u64>,
    readers: AtomicUsize,
    writing: AtomicBool,
    writes: AtomicUsize,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: RwLock::new(0),
            readers: AtomicUsize::new(0),
            writing: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
        })
    }

    fn look(&self, value: u64) -> u64 {
        self.readers.fetch_add(1, Ordering::Relaxed);
        assert!(!self.writing.load(Ordering::Relaxed), "a reader beside a writer");
        self.readers.fetch_sub(1, Ordering::Relaxed);
        value
    }

    fn add(&self, value: &mut u64) {
        assert!(!self.writing.swap(true, Ordering::Relaxed), "two writers");
        assert_eq!(self.readers.load(Ordering::Relaxed), 0, "a writer beside a reader");
        *value += 1;
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.writing.store(false, Ordering::Relaxed);
    }

    /// Every kind of lock in turn.
    fn visit(&self, turn: usize) {
        match turn % 9 {
            0 => self.add(&mut self.lock.write()),
            1 => {
                let mut guard = self.lock.write();
                self.add(&mut guard);
                RwLockWriteGuard::unlock_fair(guard);
            }
            2 => {
                let mut guard = self.lock.write();
                self.add(&mut guard);
                let seen = *guard;
                let guard = RwLockWriteGuard::downgrade(guard);
                assert_eq!(self.look(*guard), seen);
            }
            3 => {
                if let Some(mut guard) = self.lock.try_write_for(MS / 20) {
                    self.add(&mut guard);
                }
            }
            4 => {
                if let Some(mut guard) = self.lock.try_write() {
                    self.add(&mut guard);
                }
            }
            5 => {
                if let Some(guard) = self.lock.try_read_for(MS / 20) {
                    self.look(*guard);
                }
            }
            6 => {
                if let Some(guard) = self.lock.try_read() {
                    self.look(*guard);
                }
            }
            _ => {
                self.look(*self.lock.read());
            }
        }
    }

    async fn visit_async(&self, turn: usize) {
        match turn % 4 {
            0 => self.add(&mut *self.lock.write_async().await),
            _ => {
                self.look(*self.lock.read_async().await);
            }
        }
    }

    #[track_caller]
    fn assert_exact(&self) {
        assert!(!self.lock.is_locked());
        let total = *self.lock.try_write().expect("free in the end");
        assert_eq!(total, self.writes.load(Ordering::Relaxed) as u64);
        assert_eq!(*self.lock.try_read().expect("open in the end"), total);
    }
}

#[test]
fn Y11_to_Y14_goroutines_threads_and_tasks_mixed_exclude_each_other() {
    everywhere(|| {
        let watched = Watched::new();
        let wg = WaitGroup::new();
        for k in 0..8 {
            let watched = watched.clone();
            wg.go(move || {
                for i in 0..300 {
                    watched.visit(i + k);
                    if i % 16 == 0 {
                        gosched::yield_now();
                    }
                }
            });
        }
        let tasks: Vec<_> = (0..4)
            .map(|k| {
                let watched = watched.clone();
                gosched::go_async(async move {
                    for i in 0..300 {
                        watched.visit_async(i + k).await;
                    }
                })
            })
            .collect();
        let plain = thread::spawn({
            let watched = watched.clone();
            move || {
                for i in 0..300 {
                    watched.visit(i);
                }
                block_on(async {
                    for i in 0..100 {
                        watched.visit_async(i).await;
                    }
                });
            }
        });
        wg.wait();
        for task in tasks {
            task.join().unwrap();
        }
        gosched::blocking(move || plain.join().unwrap());
        watched.assert_exact();
    });
}

#[test]
fn futures_dropped_at_random_moments_lose_no_lock_and_no_wake_up() {
    bounded(|| {
        let watched = Watched::new();
        let threads: Vec<_> = (0..4)
            .map(|k: usize| {
                let watched = watched.clone();
                thread::spawn(move || {
                    let mut cx = Context::from_waker(Waker::noop());
                    for i in 0..4_000 {
                        match (i + k) % 4 {
                            // These must always get through, whatever the others drop.
                            0 => watched.visit(i % 3),
                            1 => {
                                watched.look(*watched.lock.read());
                            }
                            2 => {
                                let mut future = pin!(watched.lock.write_async());
                                for _ in 0..i % 5 {
                                    if let Poll::Ready(mut guard) = future.as_mut().poll(&mut cx) {
                                        watched.add(&mut guard);
                                        break;
                                    }
                                    thread::yield_now();
                                }
                            }
                            _ => {
                                let mut future = pin!(watched.lock.read_async());
                                for _ in 0..i % 5 {
                                    if let Poll::Ready(guard) = future.as_mut().poll(&mut cx) {
                                        watched.look(*guard);
                                        break;
                                    }
                                    thread::yield_now();
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        for t in threads {
            t.join().unwrap();
        }
        watched.assert_exact();
    });
}

#[test]
fn deadlines_that_pass_all_the_time_lose_nothing_either() {
    everywhere(|| {
        let watched = Watched::new();
        let wg = WaitGroup::new();
        for k in 0..6u32 {
            let watched = watched.clone();
            wg.go(move || {
                for i in 0..150 {
                    let patience = Duration::from_micros(u64::from(20 * ((i + k) % 5)));
                    if (i + k).is_multiple_of(2) {
                        if let Some(mut guard) = watched.lock.try_write_for(patience) {
                            watched.add(&mut guard);
                            if i % 8 == 0 {
                                gosched::time::sleep(MS / 20);
                            }
                        }
                    } else if let Some(guard) = watched.lock.try_read_for(patience) {
                        watched.look(*guard);
                        if i % 8 == 1 {
                            gosched::time::sleep(MS / 20);
                        }
                    }
                }
            });
        }
        wg.wait();
        watched.assert_exact();
    });
}

/// Spends time while holding a lock.
fn hold(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn Y11_readers_that_never_pause_let_a_writer_in() {
    bounded(|| {
        let lock = Arc::new(RwLock::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (lock, stop) = (lock.clone(), stop.clone());
                thread::spawn(move || {
                    let mut guard = lock.read();
                    // Two overlap in each thread where no writer is in between, so that the lock is rarely free.
                    while !stop.load(Ordering::Relaxed) {
                        hold(MS / 20);
                        match lock.try_read() {
                            Some(next) => guard = next,
                            None => {
                                drop(guard);
                                guard = lock.read();
                            }
                        }
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            *lock.write() += 1;
        }
        stop.store(true, Ordering::Relaxed);
        for t in readers {
            t.join().unwrap();
        }
        assert_eq!(*lock.read(), 20);
    });
}

#[test]
fn Y13_writers_that_never_pause_let_readers_in() {
    bounded(|| {
        let lock = Arc::new(RwLock::new(0u64));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (lock, stop) = (lock.clone(), stop.clone());
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let mut guard = lock.write();
                        *guard += 1;
                        hold(MS / 20);
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            drop(lock.read());
        }
        stop.store(true, Ordering::Relaxed);
        for t in writers {
            t.join().unwrap();
        }
        assert!(!lock.is_locked());
    });
}

#[test]
fn Y06_a_hog_of_writers_lets_a_writer_in() {
    bounded(|| {
        let lock = Arc::new(RwLock::new(0));
        let (waiting, inside) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let hog = thread::spawn({
            let (lock, waiting, inside) = (lock.clone(), waiting.clone(), inside.clone());
            move || {
                let mut rounds = 0;
                while !inside.load(Ordering::Relaxed) && rounds < 20_000 {
                    let guard = lock.write();
                    hold(MS / 10);
                    rounds += usize::from(waiting.load(Ordering::Relaxed));
                    drop(guard);
                }
                rounds
            }
        });
        common::eventually("the hog has begun", || lock.is_locked());
        waiting.store(true, Ordering::Relaxed);
        let guard = lock.write();
        inside.store(true, Ordering::Relaxed);
        drop(guard);
        let rounds = hog.join().unwrap();
        assert!(rounds < 5_000, "the hog went on for {rounds} rounds");
    });
}

#[test]
fn Y13_a_thousand_that_wait_enter_together() {
    // More than one batch of wake-ups, and a writer behind them that must find all of them gone first.
    common::in_each(common::cheap_modes(), || {
        let lock = Arc::new(RwLock::new(0));
        let (queued, inside) = (Arc::new(AtomicUsize::new(0)), WaitGroup::new());
        inside.add(1000);
        let guard = lock.write();
        let readers: Vec<_> = (0..1000)
            .map(|_| {
                let (lock, queued, inside) = (lock.clone(), queued.clone(), inside.clone());
                gosched::go_async(async move {
                    let mut read = pin!(lock.read_async());
                    let mut first = true;
                    let guard = poll_fn(|cx| {
                        let polled = read.as_mut().poll(cx);
                        queued.fetch_add(usize::from(first && polled.is_pending()), Ordering::Relaxed);
                        first = false;
                        polled
                    })
                    .await;
                    // Nobody leaves before all are in.
                    inside.done();
                    inside.wait_async().await;
                    *guard
                })
            })
            .collect();
        common::eventually("all readers wait", || queued.load(Ordering::Relaxed) == 1000);
        let mut writer = Box::pin(lock.write_async());
        assert!(writer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(guard);
        for r in readers {
            assert_eq!(r.join().unwrap(), 0, "before the writer");
        }
        *gosched::wait(writer) = 1;
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn a_reader_dropped_between_its_admission_and_its_wake_up_gives_its_part_back() {
    // A hundred readers are admitted in one step and told in batches. The first one's waker, called in between,
    // drops the last ones.
    type Reads = Vec<Pin<Box<RwLockReadFuture<'static, u32>>>>;
    struct DropsLast(Arc<Mutex<Reads>>);
    impl Wake for DropsLast {
        fn wake(self: Arc<Self>) {
            let gone: Reads = {
                let mut reads = self.0.lock().unwrap();
                let from = reads.len() - 10;
                reads.drain(from..).collect()
            };
            drop(gone);
        }
    }
    let lock: &'static RwLock<u32> = Box::leak(Box::default());
    let guard = lock.write();
    let reads = Arc::new(Mutex::new(Reads::new()));
    let waker = Waker::from(Arc::new(DropsLast(reads.clone())));
    let mut first = pin!(lock.read_async());
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        let mut read = Box::pin(lock.read_async());
        assert!(read.as_mut().poll(&mut cx).is_pending());
        reads.lock().unwrap().push(read);
    }
    drop(guard);
    assert_eq!(reads.lock().unwrap().len(), 90, "the waker was called, once");
    assert!(first.as_mut().poll(&mut cx).is_ready());
    for mut read in reads.lock().unwrap().drain(..) {
        assert!(lock.try_write().is_none(), "those that were told hold it");
        assert!(read.as_mut().poll(&mut cx).is_ready());
    }
    assert!(lock.try_write().is_some(), "all parts came back");
    assert!(lock.try_read().is_some());
}
