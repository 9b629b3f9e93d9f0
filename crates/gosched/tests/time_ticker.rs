//! `time::Ticker` and `time::tick` (FEATURES T08 to T11).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::hand::{by_hand, until, until_asleep};
use common::{HOUR, MS, block_on, everywhere, panic_text, poll_once};
use gosched::time::{self, Ticker};
use gosched::{go, select};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn T08_a_tick_each_period() {
    by_hand(|clock| {
        let start = time::now();
        let ticker = Ticker::new(10 * MS);
        for i in 1..=5 {
            assert!(ticker.receiver().try_recv().is_err());
            clock.advance(9 * MS);
            assert!(ticker.receiver().try_recv().is_err());
            clock.advance(MS);
            assert_eq!(ticker.receiver().recv(), Ok(start + i * 10 * MS));
        }
        // In every way to receive.
        clock.advance(10 * MS);
        assert_eq!(block_on(ticker.receiver().recv_async()), Ok(start + 60 * MS));
        clock.advance(10 * MS);
        select! { recv(ticker.receiver()) -> tick => assert_eq!(tick, Ok(start + 70 * MS)) }
    });
}

#[test]
fn T08_missed_ticks_are_one_and_the_grid_stays() {
    by_hand(|clock| {
        let start = time::now();
        let ticker = Ticker::new(10 * MS);
        clock.advance(95 * MS);
        assert_eq!(ticker.receiver().len(), 1);
        assert_eq!(ticker.receiver().try_recv(), Ok(start + 10 * MS), "the first of those missed");
        assert!(ticker.receiver().try_recv().is_err(), "at most one waits");
        clock.advance(5 * MS - Duration::from_nanos(1));
        assert!(ticker.receiver().try_recv().is_err());
        clock.advance(Duration::from_nanos(1));
        assert_eq!(ticker.receiver().try_recv(), Ok(start + 100 * MS), "as if nobody had been late");
        // Late by whole periods to the nanosecond: the tick of this moment is among those that were missed.
        clock.advance(30 * MS);
        assert_eq!(ticker.receiver().try_recv(), Ok(start + 110 * MS));
        assert!(ticker.receiver().try_recv().is_err());
        clock.advance(10 * MS);
        assert_eq!(ticker.receiver().try_recv(), Ok(start + 140 * MS));
    });
}

#[test]
fn T08_a_period_of_nothing_panics() {
    assert_eq!(panic_text(|| Ticker::new(Duration::ZERO)), "non-positive interval for NewTicker");
}

#[test]
fn T09_a_stopped_ticker_is_silent_and_not_closed() {
    by_hand(|clock| {
        let ticker = Ticker::new(10 * MS);
        clock.advance(10 * MS);
        ticker.stop();
        assert!(ticker.receiver().try_recv().is_err(), "that was due before");
        let rx = ticker.receiver().clone();
        let waiting = go(move || rx.recv());
        clock.advance(HOUR);
        for _ in 0..100 {
            gosched::yield_now();
        }
        assert!(!waiting.is_finished() && !ticker.receiver().is_closed());
        ticker.stop();
        // It waits for whatever comes, and that is the next setting.
        ticker.reset(MS);
        until_asleep(clock, 1);
        let due = time::now() + MS;
        clock.advance(MS);
        assert_eq!(waiting.join().unwrap(), Ok(due));
    });
}

#[test]
fn T10_reset_begins_a_new_grid() {
    by_hand(|clock| {
        let ticker = Ticker::new(10 * MS);
        clock.advance(15 * MS);
        let start = time::now();
        ticker.reset(20 * MS);
        assert!(ticker.receiver().try_recv().is_err(), "that was due before");
        clock.advance(45 * MS);
        assert_eq!(ticker.receiver().try_recv(), Ok(start + 20 * MS));
        clock.advance(15 * MS);
        assert_eq!(ticker.receiver().try_recv(), Ok(start + 60 * MS));
        assert_eq!(panic_text(|| ticker.reset(Duration::ZERO)), "non-positive interval for Ticker.Reset");
    });
}

#[test]
fn T10_a_receiver_that_waits_takes_the_shorter_period() {
    by_hand(|clock| {
        let ticker = Arc::new(Ticker::new(HOUR));
        let waiting = go({
            let ticker = ticker.clone();
            move || [(); 3].map(|()| ticker.receiver().recv().unwrap())
        });
        until_asleep(clock, 1);
        let start = time::now();
        ticker.reset(MS);
        for i in 1..=3 {
            until("it waits for the next tick", || clock.next_timer() == Some(start + i * MS));
            clock.advance(MS);
        }
        assert_eq!(waiting.join().unwrap(), [start + MS, start + 2 * MS, start + 3 * MS]);
    });
}

#[test]
fn T11_tick_is_a_ticker_for_ever() {
    by_hand(|clock| {
        let start = time::now();
        let rx = time::tick(MS);
        for i in 1..=3 {
            clock.advance(MS);
            assert_eq!(rx.recv(), Ok(start + i * MS));
        }
        let none = time::tick(Duration::ZERO);
        clock.advance(HOUR);
        assert!(none.try_recv().is_err());
        select! { recv(none) -> _ => panic!("Go's nil channel"), default => {} }
    });
}

#[test]
fn a_dropped_ticker_leaves_its_receivers_working() {
    by_hand(|clock| {
        let rx = Ticker::new(MS).receiver().clone();
        for _ in 0..3 {
            clock.advance(MS);
            assert!(rx.recv().is_ok());
        }
    });
}

#[test]
fn storm_each_tick_goes_to_one_receiver_and_lies_on_the_grid() {
    everywhere(|| {
        let start = Instant::now();
        let period = Duration::from_micros(200);
        let ticker = Arc::new(Ticker::new(period));
        let (seen, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let receive = |way: usize| {
            let (ticker, seen, done) = (ticker.clone(), seen.clone(), done.clone());
            move || {
                while !done.load(Ordering::SeqCst) {
                    let rx = ticker.receiver();
                    let tick = match way {
                        0 => rx.recv_timeout(MS).ok(),
                        1 => select! { recv(rx) -> tick => tick.ok(), default(MS) => None },
                        _ => time::timeout(MS, rx.recv_async()).ok().and_then(Result::ok),
                    };
                    seen.lock().unwrap().extend(tick);
                    // And some that are dropped as they wait.
                    let mut doomed = Box::pin(rx.recv_async());
                    if let std::task::Poll::Ready(tick) = poll_once(doomed.as_mut()) {
                        seen.lock().unwrap().push(tick.unwrap());
                    }
                }
            }
        };
        let handles: Vec<_> = (0..3).map(|way| go(receive(way))).collect();
        let thread = thread::spawn(receive(0));
        common::eventually("300 ticks", || seen.lock().unwrap().len() >= 300);
        done.store(true, Ordering::SeqCst);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        gosched::blocking(|| thread.join().unwrap());
        let seen = seen.lock().unwrap();
        let first = seen.iter().min().unwrap();
        assert!(*first >= start + period);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "no tick came twice");
        for tick in seen.iter() {
            let after = tick.duration_since(*first).as_nanos();
            assert_eq!(after % period.as_nanos(), 0, "{after} ns after the first");
        }
    });
}
