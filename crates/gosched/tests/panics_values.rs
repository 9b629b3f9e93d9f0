//! Values in channels whose destructors panic, and functions that look at goroutines: whatever drops the value or calls
//! the function gets the panic; nothing stays locked and nobody who waits is forgotten (FEATURES G06, C10).
#![allow(non_snake_case)]

mod common;

use common::{eventually, everywhere, ms, panic_text};
use gosched::chan::{self, RecvTimeoutError};
use gosched::debug::leak::{self, Options};
use gosched::{go, go_async, num_goroutine, select, time, wait};
use std::future::pending;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// Panics when dropped, after it has counted that.
#[derive(Debug)]
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if !std::thread::panicking() {
            resume_unwind(Box::new("boom"));
        }
    }
}

/// Makes bombs, and knows how many were dropped.
#[derive(Clone, Default)]
struct Arsenal(Arc<AtomicUsize>);

impl Arsenal {
    fn bomb(&self) -> Bomb {
        Bomb(self.0.clone())
    }

    fn dropped(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn C10_the_last_receiver_goes_with_bombs_in_the_buffer_and_every_sender_gets_its_own_back() {
    everywhere(|| {
        let (arsenal, (tx, rx)) = (Arsenal::default(), chan::bounded(2));
        tx.send(arsenal.bomb()).unwrap();
        tx.send(arsenal.bomb()).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|i| {
                let (tx, bomb) = (tx.clone(), arsenal.bomb());
                let back = |result: Result<(), chan::SendError<Bomb>>| {
                    std::mem::forget(result.expect_err("nobody receives").into_inner());
                };
                if i % 2 == 0 {
                    go(move || back(tx.send(bomb)))
                } else {
                    go_async(async move { back(tx.send_async(bomb).await) })
                }
            })
            .collect();
        eventually("all wait", || {
            leak::find(&Options::new().attempts(1)).is_err_and(|leaks| {
                let waits = |info: &&gosched::debug::GoroutineInfo| info.waiting.is_some();
                leaks.goroutines().iter().filter(waits).count() == 4
            })
        });
        assert_eq!(panic_text(|| drop(rx)), "boom");
        senders.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(arsenal.dropped(), 2, "those of the buffer, both in spite of the first one's panic");
        assert!(tx.is_closed());
    });
}

#[test]
fn G06_a_goroutine_that_ends_with_the_last_of_a_channel_ends_by_its_values_panic() {
    everywhere(|| {
        let (arsenal, (tx, rx)) = (Arsenal::default(), chan::unbounded());
        (0..100).for_each(|_| tx.send(arsenal.bomb()).unwrap());
        drop(tx);
        let panic = go(move || drop(rx)).join().unwrap_err();
        assert_eq!(common::text(&*panic), "boom");
        assert_eq!(arsenal.dropped(), 100);
        eventually("only main is left", || num_goroutine() == 1);
    });
}

#[test]
fn C10_a_goroutine_that_drops_what_it_received_takes_nothing_else_with_it() {
    everywhere(|| {
        let (arsenal, (tx, rx)) = (Arsenal::default(), chan::bounded(0));
        let receivers: Vec<_> = (0..10)
            .map(|i| {
                let rx = rx.clone();
                go(move || match i % 3 {
                    0 => drop(rx.recv()),
                    1 => select! { recv(rx) -> bomb => drop(bomb) },
                    _ => wait(async move { drop(rx.recv_async().await) }),
                })
            })
            .collect();
        (0..10).for_each(|_| tx.send(arsenal.bomb()).unwrap());
        assert!(receivers.into_iter().all(|handle| handle.join().is_err()));
        assert_eq!(arsenal.dropped(), 10);
        assert!(matches!(rx.recv_timeout(ms(1)), Err(RecvTimeoutError::Timeout)));
    });
}

#[test]
fn C29_a_send_that_is_given_up_drops_its_value_and_leaves_its_queue() {
    everywhere(|| {
        let (arsenal, (tx, rx)) = (Arsenal::default(), chan::bounded(0));
        let poll_once = || {
            let mut send = pin!(tx.send_async(arsenal.bomb()));
            let polled = send.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
        };
        assert_eq!(panic_text(poll_once), "boom");
        let late = || wait(async { drop(time::timeout_async(ms(1), tx.send_async(arsenal.bomb())).await) });
        assert_eq!(panic_text(late), "boom");
        assert_eq!(arsenal.dropped(), 2);
        assert!(rx.is_empty() && rx.try_recv().is_err(), "nobody is in the queue");
        // A whole one goes through.
        let sender = go(move || tx.send(arsenal.bomb()).unwrap());
        std::mem::forget(rx.recv().unwrap());
        sender.join().unwrap();
    });
}

#[test]
fn L06_a_filter_that_panics_leaves_the_next_look_alone() {
    everywhere(|| {
        let stays = go_async(pending::<()>());
        let options = Options::new().ignore(|_| resume_unwind(Box::new("boom")));
        assert_eq!(panic_text(|| leak::find(&options).is_ok()), "boom");
        assert!(leak::find(&Options::new().attempts(1)).is_err());
        drop(stays);
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}
