//! `time::sleep`, `after` and `Timer` (FEATURES T01 to T05, T07, T13, T14, T18).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::{Dice, HOUR, MS, block_on, bounded, everywhere, poll_once};
use futures_core::Stream;
use gosched::chan::{Receiver, bounded as channel, never};
use gosched::time::{self, Timer};
use gosched::{JoinHandle, Select, go, go_async, select, select_async};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn T01_sleep_lasts_at_least_its_duration() {
    everywhere(|| {
        for duration in [MS, 3 * MS] {
            let start = Instant::now();
            time::sleep(duration);
            assert!(start.elapsed() >= duration);
            time::sleep_until(start + 2 * duration);
            assert!(start.elapsed() >= 2 * duration);
            gosched::wait(time::sleep_async(duration));
            assert!(start.elapsed() >= 3 * duration);
        }
    });
}

#[test]
fn T01_nothing_to_sleep_for_returns_at_once() {
    by_hand(|clock| {
        time::sleep(Duration::ZERO);
        time::sleep_until(time::now());
        assert_eq!(clock.timers(), 0);
    });
}

#[test]
fn T01_a_duration_beyond_the_clock_sleeps_for_ever() {
    by_hand(|clock| {
        let sleeper = go(|| time::sleep(Duration::MAX));
        let timer = Timer::new(Duration::MAX);
        let mut future = pin!(time::sleep_async(Duration::MAX));
        for _ in 0..10 {
            clock.advance(1000 * HOUR);
            gosched::yield_now();
            assert!(poll_once(future.as_mut()).is_pending());
            assert!(timer.receiver().try_recv().is_err());
        }
        assert!(!sleeper.is_finished());
        assert!(time::after(Duration::MAX).try_recv().is_err());
        assert!(timer.stop(), "it had not fired");
    });
}

#[test]
fn T02_one_value_after_at_least_the_duration() {
    by_hand(|clock| {
        let start = time::now();
        let timer = Timer::new(10 * MS);
        for rx in [timer.receiver(), &time::after(10 * MS)] {
            assert!(rx.try_recv().is_err());
            clock.advance_to(start + 10 * MS - Duration::from_nanos(1));
            assert!(rx.try_recv().is_err());
        }
        clock.advance(Duration::from_nanos(1));
        assert_eq!(timer.receiver().recv(), Ok(start + 10 * MS));
        clock.advance(HOUR);
        assert!(timer.receiver().try_recv().is_err());
    });
}

#[test]
fn T02_one_of_many_receivers_gets_the_value() {
    by_hand(|clock| {
        let timer = Timer::new(10 * MS);
        let got = Arc::new(AtomicUsize::new(0));
        for i in 0..6 {
            let (rx, got) = (timer.receiver().clone(), got.clone());
            go(move || {
                match i % 2 {
                    0 => drop(rx.recv().unwrap()),
                    _ => select! { recv(rx) -> _ => {}, recv(never::<i32>()) -> _ => {} },
                }
                got.fetch_add(1, Ordering::SeqCst);
            });
        }
        until_asleep(clock, 6);
        // Set again and again, each is told, and one of them gets the message.
        for n in 1..=6 {
            clock.advance(10 * MS);
            until("one has it", || got.load(Ordering::SeqCst) == n);
            assert!(!timer.reset(10 * MS));
            until_asleep(clock, 6 - n);
        }
        assert!(timer.stop());
    });
}

#[test]
fn T03_no_stale_value_after_stop_or_reset() {
    by_hand(|clock| {
        let timer = Timer::new(MS);
        clock.advance(10 * MS);
        assert_eq!(timer.receiver().len(), 1, "as crossbeam's `at` says");
        assert!(timer.stop());
        assert!(timer.receiver().try_recv().is_err() && timer.receiver().is_empty());
        timer.reset(MS);
        clock.advance(10 * MS);
        let set = time::now();
        assert!(timer.reset(MS));
        assert!(timer.receiver().try_recv().is_err(), "that was due before the reset");
        select! { recv(timer.receiver()) -> _ => panic!("stale"), default => {} }
        clock.advance(HOUR);
        assert_eq!(timer.receiver().recv(), Ok(set + MS));
    });
}

#[test]
fn T04_stop_says_whether_it_kept_a_value_from_being_received() {
    by_hand(|clock| {
        let timer = Timer::new(MS);
        assert!(timer.stop(), "not due yet");
        assert!(!timer.stop(), "stopped already");
        timer.reset(MS);
        clock.advance(MS);
        assert!(timer.stop(), "due, and not received");
        timer.reset(MS);
        clock.advance(MS);
        timer.receiver().recv().unwrap();
        assert!(!timer.stop(), "received");
    });
}

#[test]
fn T05_reset_says_whether_a_value_was_still_to_come() {
    by_hand(|clock| {
        let timer = Timer::at(time::now() + MS);
        assert!(timer.reset(MS), "not due yet");
        clock.advance(MS);
        assert!(timer.reset(MS), "due, and not received");
        clock.advance(MS);
        timer.receiver().recv().unwrap();
        assert!(!timer.reset(MS), "received");
        timer.stop();
        let when = time::now() + 2 * MS;
        assert!(!timer.reset_at(when), "stopped");
        clock.advance(3 * MS);
        assert_eq!(timer.receiver().try_recv(), Ok(when));
    });
}

/// Ways to wait for a timer, each in a goroutine of its own.
const WAYS: [fn(Receiver<Instant>) -> JoinHandle<Instant>; 7] = [
    |rx| go(move || rx.recv().unwrap()),
    |rx| go(move || rx.recv_timeout(1000 * HOUR).unwrap()),
    |rx| {
        go(move || {
            let quiet = never::<i32>();
            select! { recv(quiet) -> _ => unreachable!(), recv(rx) -> time => time.unwrap() }
        })
    },
    |rx| {
        go(move || {
            let mut select = Select::new();
            select.recv(&rx);
            assert_eq!(select.ready(), 0);
            rx.try_recv().unwrap()
        })
    },
    |rx| go_async(async move { rx.recv_async().await.unwrap() }),
    |rx| {
        go_async(async move {
            let quiet = never::<i32>();
            select_async! { recv(rx) -> time => time.unwrap(), recv(quiet) -> _ => unreachable!() }
        })
    },
    |rx| {
        go_async(async move {
            let mut stream = rx.into_stream();
            poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await.unwrap()
        })
    },
];

#[test]
fn T05_a_receiver_that_waits_takes_the_new_time() {
    by_hand(|clock| {
        // Earlier; from no time at all; later, which wakes nobody, and then earlier; and by a point in time.
        let settings: [fn(&Timer); 4] = [
            |timer| assert!(timer.reset(MS)),
            |timer| {
                assert!(timer.stop());
                assert!(!timer.reset(MS));
            },
            |timer| {
                assert!(timer.reset(2 * HOUR));
                assert!(timer.reset(MS));
            },
            |timer| assert!(timer.reset_at(time::now() + MS)),
        ];
        for set in settings {
            let timers = [(); WAYS.len()].map(|()| Timer::new(HOUR));
            let waiting: Vec<_> =
                timers.iter().zip(WAYS).map(|(timer, way)| way(timer.receiver().clone())).collect();
            until_asleep(clock, WAYS.len());
            let due = time::now() + MS;
            timers.iter().for_each(set);
            clock.advance(MS);
            for (way, handle) in waiting.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), due, "way {way}");
            }
        }
    });
}

#[test]
fn T05_a_later_time_is_waited_for() {
    by_hand(|clock| {
        let timer = Arc::new(Timer::new(MS));
        let start = time::now();
        let handle = go({
            let timer = timer.clone();
            move || timer.receiver().recv()
        });
        until_asleep(clock, 1);
        assert!(timer.reset(10 * MS));
        clock.advance(MS);
        until("it waits on", || clock.next_timer() == Some(start + 10 * MS));
        clock.advance(9 * MS);
        assert_eq!(handle.join().unwrap(), Ok(start + 10 * MS));
    });
}

#[test]
fn T07_the_value_is_the_time_it_was_due() {
    by_hand(|clock| {
        let start = time::now();
        let ways: [fn(&Receiver<Instant>) -> Instant; 4] = [
            |rx| rx.recv().unwrap(),
            |rx| select! { recv(rx) -> time => time.unwrap() },
            |rx| block_on(rx.recv_async()).unwrap(),
            |rx| rx.try_recv().unwrap(),
        ];
        let timers: Vec<_> = (0..ways.len()).map(|_| Timer::new(10 * MS)).collect();
        clock.advance(500 * MS);
        for (timer, way) in timers.iter().zip(ways) {
            assert_eq!(way(timer.receiver()), start + 10 * MS);
        }
        let after = time::after(10 * MS);
        clock.advance(500 * MS);
        assert_eq!(after.recv(), Ok(start + 510 * MS));
    });
}

#[test]
fn T13_timers_fire_in_the_order_of_their_times() {
    by_hand(|clock| {
        let (tx, rx) = channel(100);
        let start = time::now();
        for i in 0..100 {
            let (tx, due) = (tx.clone(), start + (i * 37 % 100 + 1) * MS);
            go(move || {
                time::sleep_until(due);
                tx.send(due).unwrap();
            });
        }
        until_asleep(clock, 100);
        for i in 1..=100 {
            assert_eq!(clock.next_timer(), Some(start + i * MS));
            clock.advance(MS);
            assert_eq!(rx.recv(), Ok(start + i * MS));
        }
    });
}

#[test]
fn T14_a_message_that_was_chosen_and_not_taken_is_not_lost() {
    by_hand(|clock| {
        let timer = Timer::new(MS);
        let rx = timer.receiver().clone();
        clock.advance(MS);
        let mut select = Select::new();
        let index = select.recv(timer.receiver());
        let operation = select.select();
        assert_eq!(operation.index(), index);
        let waiting = go(move || rx.recv());
        for _ in 0..100 {
            gosched::yield_now();
        }
        assert!(!waiting.is_finished(), "the select has it");
        // crossbeam's rule: an operation that is not completed panics.
        catch_unwind(AssertUnwindSafe(|| drop(operation))).unwrap_err();
        assert!(waiting.join().unwrap().is_ok());
        assert!(!timer.stop());
    });
}

/// Settings made, and what became of them.
#[derive(Default)]
struct Account {
    set: AtomicUsize,
    kept: AtomicUsize,
    received: AtomicUsize,
}

impl Account {
    /// Each setting was received once, or prevented by one stop or reset that said so.
    fn settle(&self) {
        let [set, kept, received] =
            [&self.set, &self.kept, &self.received].map(|counter| counter.load(Ordering::SeqCst));
        assert_eq!(set, kept + received, "{kept} prevented, {received} received");
        assert!(received > 0 && kept > 0, "{kept} prevented, {received} received");
    }
}

fn count(counter: &AtomicUsize, yes: bool) {
    counter.fetch_add(usize::from(yes), Ordering::SeqCst);
}

/// Resets and stops one timer at random, `rounds` times.
fn disturb(timer: &Timer, account: &Account, rounds: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    for _ in 0..rounds {
        let random = dice.throw();
        match random >> 61 {
            0 => count(&account.kept, timer.stop()),
            kind => {
                count(&account.set, true);
                let micros = if kind < 5 { 0 } else { (random >> 40) % 300 };
                count(&account.kept, timer.reset(Duration::from_micros(micros)));
            }
        }
        if (random >> 50).is_multiple_of(16) {
            gosched::yield_now();
        }
    }
}

#[test]
fn T14_each_setting_is_received_or_prevented_once() {
    everywhere(|| {
        let (timer, account) = (Arc::new(Timer::new(HOUR)), Arc::new(Account::default()));
        count(&account.set, true);
        let receivers: Vec<_> = (0..4)
            .map(|way| {
                let (timer, account) = (timer.clone(), account.clone());
                let (end, ends) = channel::<()>(0);
                let handle = go(move || {
                    loop {
                        let got = match way {
                            0 => select! {
                                recv(timer.receiver()) -> time => time.is_ok(),
                                recv(ends) -> _ => return,
                            },
                            1 => timer.receiver().recv_timeout(MS).is_ok(),
                            2 => time::timeout(MS, timer.receiver().recv_async()).is_ok(),
                            _ => gosched::wait(async {
                                select_async! {
                                    recv(timer.receiver()) -> time => time.is_ok(),
                                    default(MS) => false,
                                }
                            }),
                        };
                        count(&account.received, got);
                        if ends.is_closed() {
                            return;
                        }
                    }
                });
                (end, handle)
            })
            .collect();
        let disturbers: Vec<_> = (0..2)
            .map(|seed| {
                let (timer, account) = (timer.clone(), account.clone());
                go(move || disturb(&timer, &account, 3000, seed))
            })
            .collect();
        let thread = {
            let (timer, account) = (timer.clone(), account.clone());
            thread::spawn(move || disturb(&timer, &account, 3000, 7))
        };
        disturbers.into_iter().for_each(|handle| handle.join().unwrap());
        gosched::blocking(|| thread.join().unwrap());
        for (end, handle) in receivers {
            drop(end);
            handle.join().unwrap();
        }
        count(&account.kept, timer.stop());
        account.settle();
    });
}

#[test]
fn storm_dropped_receives_lose_no_message() {
    everywhere(|| {
        let (timer, account) = (Arc::new(Timer::new(HOUR)), Arc::new(Account::default()));
        count(&account.set, true);
        let serving = go({
            let (timer, account) = (timer.clone(), account.clone());
            move || {
                while timer.receiver().recv_timeout(300 * MS).is_ok() {
                    count(&account.received, true);
                }
            }
        });
        for i in 0..3000 {
            // Futures that wait, are told, and are dropped at any of these moments.
            let mut doomed: Vec<_> = (0..3).map(|_| Box::pin(timer.receiver().recv_async())).collect();
            for future in doomed.iter_mut().take(i % 4) {
                count(&account.received, poll_once(future.as_mut()).is_ready());
            }
            count(&account.set, true);
            count(&account.kept, timer.reset(Duration::from_micros(i as u64 % 50)));
            if i % 3 == 0 {
                gosched::yield_now();
                count(&account.received, poll_once(doomed[2].as_mut()).is_ready());
            }
        }
        // The last one is for the goroutine, which all those that were dropped have not stopped.
        serving.join().unwrap();
        count(&account.kept, timer.stop());
        account.settle();
    });
}

#[test]
fn T18_an_earlier_time_wakes_whoever_waits() {
    // By the machine's clock: the sleeping worker, thread, or timer thread must look again.
    everywhere(|| {
        for _ in 0..20 {
            let timer = Arc::new(Timer::new(HOUR));
            let waiting = go({
                let timer = timer.clone();
                move || timer.receiver().recv()
            });
            gosched::yield_now();
            timer.reset(MS);
            waiting.join().unwrap().unwrap();
        }
    });
    bounded(|| {
        for foreign in [false, true] {
            let timer = Arc::new(Timer::new(HOUR));
            let waiting = thread::spawn({
                let timer = timer.clone();
                move || {
                    if foreign { block_on(timer.receiver().recv_async()) } else { timer.receiver().recv() }
                }
            });
            thread::sleep(5 * MS);
            timer.reset(MS);
            waiting.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_dropped_timer_leaves_its_receivers_working() {
    by_hand(|clock| {
        let rx = Timer::new(MS).receiver().clone();
        clock.advance(MS);
        assert!(rx.recv().is_ok());
    });
}
