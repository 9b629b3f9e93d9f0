//! `time::timeout` and its future.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::{Dice, HOUR, MS, block_on, bounded, everywhere, panic_text, poll_once};
use gosched::chan::{bounded as channel, unbounded};
use gosched::time::{self, Elapsed, sleep_async, timeout, timeout_async, timeout_at, timeout_at_async};
use gosched::{go, go_async};
use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_future_that_is_ready_wins() {
    everywhere(|| {
        assert_eq!(timeout(Duration::ZERO, ready(1)), Ok(1));
        assert_eq!(timeout(HOUR, ready(2)), Ok(2));
        assert_eq!(timeout(Duration::MAX, sleep_async(MS)), Ok(()));
        assert_eq!(timeout_at(Instant::now() - MS, ready(3)), Ok(3));
        assert_eq!(block_on(timeout_async(Duration::ZERO, ready(4))), Ok(4));
    });
}

#[test]
fn the_time_is_up_after_at_least_the_duration() {
    everywhere(|| {
        let start = Instant::now();
        assert_eq!(timeout(2 * MS, pending::<()>()), Err(Elapsed));
        assert!(start.elapsed() >= 2 * MS);
        assert_eq!(timeout_at(start + 4 * MS, pending::<()>()), Err(Elapsed));
        assert!(start.elapsed() >= 4 * MS);
        assert_eq!(timeout(Duration::ZERO, pending::<()>()), Err(Elapsed));
    });
    bounded(|| {
        assert_eq!(timeout(2 * MS, pending::<()>()), Err(Elapsed), "on a plain thread");
        // And on an executor that is not ours.
        let start = Instant::now();
        let future = async { timeout_at_async(start + 2 * MS, pending::<()>()).await };
        assert_eq!(block_on(future), Err(Elapsed));
        assert!(start.elapsed() >= 2 * MS);
    });
}

#[test]
fn it_goes_by_the_clock_of_its_runtime() {
    by_hand(|clock| {
        let blocked = go(|| timeout(HOUR, pending::<()>()));
        let polled = go_async(async { timeout_async(HOUR, pending::<()>()).await });
        until_asleep(clock, 2);
        clock.advance(HOUR - MS);
        assert_eq!(clock.timers(), 2);
        clock.advance(MS);
        assert_eq!(blocked.join().unwrap(), Err(Elapsed));
        assert_eq!(polled.join().unwrap(), Err(Elapsed));
        // The end comes first: no timer stays behind.
        let (tx, rx) = channel(1);
        let waiting = go(move || timeout(HOUR, rx.recv_async()));
        until_asleep(clock, 1);
        tx.send(5).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(Ok(5)));
        assert_eq!(clock.timers(), 0);
    });
}

#[test]
fn both_at_the_same_time_is_the_future_s() {
    by_hand(|clock| {
        let mut future = pin!(timeout_async(MS, sleep_async(MS)));
        assert!(poll_once(future.as_mut()).is_pending());
        clock.advance(MS);
        assert_eq!(poll_once(future), Poll::Ready(Ok(())));
    });
}

#[test]
fn the_future_is_dropped_when_the_time_is_up() {
    everywhere(|| {
        let held = Arc::new(());
        let inside = held.clone();
        let future = async move {
            let _inside = inside;
            pending::<()>().await;
        };
        assert_eq!(timeout(MS, future), Err(Elapsed));
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_shorter_one_inside_a_longer_one() {
    everywhere(|| {
        let inner = || timeout_async(MS, pending::<()>());
        assert_eq!(timeout(HOUR, inner()), Ok(Err(Elapsed)));
        let outer = timeout(MS, timeout_async(HOUR, pending::<()>()));
        assert_eq!(outer, Err(Elapsed));
        // A blocking call inside the poll has its own time.
        assert_eq!(timeout(HOUR, async { timeout(MS, pending::<()>()) }), Ok(Err(Elapsed)));
    });
}

#[test]
fn a_panic_of_the_future_is_passed_on() {
    everywhere(|| {
        let text = panic_text(|| {
            timeout(HOUR, async {
                sleep_async(MS).await;
                panic!("meant to be");
            })
        });
        assert_eq!(text, "meant to be");
    });
}

#[test]
fn elapsed_is_an_error() {
    let error: Box<dyn std::error::Error + Send + Sync> = Elapsed.into();
    assert_eq!(error.to_string(), "timed out");
    let error = std::io::Error::from(Elapsed);
    assert_eq!((error.kind(), error.to_string()), (std::io::ErrorKind::TimedOut, "timed out".into()));
}

#[test]
fn storm_receives_that_time_out_lose_no_message() {
    everywhere(|| {
        const MESSAGES: usize = 4000;
        let received = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = channel::<usize>(0);
        let receive = |seed: u64| {
            let (rx, received) = (rx.clone(), received.clone());
            move || {
                let mut dice = Dice::new(seed);
                loop {
                    let random = dice.throw();
                    let duration = Duration::from_micros((random >> 33) % 40);
                    match timeout(duration, rx.recv_async()) {
                        Ok(Ok(_)) => {
                            received.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(Err(_)) => return,
                        Err(Elapsed) => {}
                    }
                }
            }
        };
        let goroutines: Vec<_> = (1..4).map(|seed| go(receive(seed))).collect();
        let thread = thread::spawn(receive(4));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let tx = tx.clone();
                go(move || {
                    for i in 0..MESSAGES / 2 {
                        // Senders give up now and then as well: the message is theirs again.
                        let mut sent = tx.send_timeout(i, Duration::from_micros(i as u64 % 30));
                        while let Err(error) = sent {
                            sent = tx.send_timeout(error.into_inner(), MS);
                        }
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        drop(tx);
        goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
        gosched::blocking(|| thread.join().unwrap());
        assert_eq!(received.load(Ordering::SeqCst), MESSAGES);
    });
}

#[test]
fn storm_sleeps_dropped_at_random_leave_no_timer() {
    by_hand(|clock| {
        let (tx, rx) = unbounded();
        let sleepers: Vec<_> = (0..4u64)
            .map(|seed| {
                let tx = tx.clone();
                go_async(async move {
                    let mut dice = Dice::new(seed + 1);
                    let mut slept = 0;
                    for _ in 0..1000 {
                        let random = dice.throw();
                        // The sleep, or the time-out that drops it, or both at the same time.
                        let (sleep, limit) = ((random >> 40) % 5, (random >> 50) % 5);
                        let limited = timeout_async(limit as u32 * MS, sleep_async(sleep as u32 * MS)).await;
                        slept += usize::from(limited.is_ok());
                    }
                    tx.send(slept).unwrap();
                })
            })
            .collect();
        // Time goes on whenever somebody waits for it.
        until("all have slept", || {
            if clock.timers() > 0 {
                clock.advance(MS);
            }
            sleepers.iter().all(gosched::JoinHandle::is_finished)
        });
        assert_eq!(clock.timers(), 0);
        assert!(rx.try_iter().all(|slept| slept > 0 && slept < 1000));
        assert!(time::now() > clock.now() - HOUR);
    });
}
