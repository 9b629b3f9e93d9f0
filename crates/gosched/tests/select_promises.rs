//! Goroutines that wait for a message still being made by the chosen `send` case of somebody's select. They are
//! bound to that one peer, out of reach of all others and of their own clocks, until the message comes or the
//! peer gives up; then everything must be as if the two had never met (S06, S20, C18).
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, ms, one_worker, start};
use gosched::chan::{self, Receiver, RecvError, Sender, TryRecvError, TrySendError};
use gosched::{
    JoinHandle, Select, go, go_async, select, select_async_biased, select_biased, time, wait, yield_now,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A goroutine whose select is chosen to send `times` times and makes no message after all, each after a pause.
/// Returns when it waits.
fn gives_up(tx: &Sender<i32>, rx: &Receiver<i32>, times: usize, pause: Duration) -> JoinHandle<()> {
    let tx = tx.clone();
    let peer = go(move || {
        for _ in 0..times {
            select! {
                send(tx, {
                    time::sleep(pause);
                    continue;
                }) -> _ => unreachable!("there was no message")
            }
        }
    });
    let mut watch = Select::new();
    watch.recv(rx);
    watch.ready();
    peer
}

/// A goroutine whose select is chosen to send, and makes its message after a pause. Returns when it waits.
fn is_slow(tx: &Sender<i32>, rx: &Receiver<i32>, message: i32, pause: Duration) -> JoinHandle<()> {
    let tx = tx.clone();
    let peer = go(move || {
        select! { send(tx, { time::sleep(pause); message }) -> sent => sent.unwrap() }
    });
    let mut watch = Select::new();
    watch.recv(rx);
    watch.ready();
    peer
}

/// Every select with a clock that can be written; each says which case fired.
fn with_clock(how: usize, rx: &Receiver<i32>, clock: Duration) -> &'static str {
    let quiet = chan::never::<i32>();
    match how {
        0 => select! { recv(rx) -> _ => "value", recv(chan::after(clock)) -> _ => "clock" },
        // The value is tried first, so no clock has been looked at when a waker is needed.
        1 => select_biased! { recv(rx) -> _ => "value", recv(chan::after(clock)) -> _ => "clock" },
        2 => select_biased! { recv(rx) -> _ => "value", recv(chan::tick(clock)) -> _ => "clock" },
        3 => {
            select_biased! { recv(rx) -> _ => "value", recv(chan::at(Instant::now() + clock)) -> _ => "clock" }
        }
        4 => select! { recv(rx) -> _ => "value", default(clock) => "clock" },
        5 => select! { recv(rx) -> _ => "value", recv(quiet) -> _ => "never", default(clock) => "clock" },
        6 => select_biased! {
            recv(rx) -> _ => "value",
            recv(quiet) -> _ => "never",
            recv(rx) -> _ => "value",
            recv(chan::after(Duration::from_secs(3600))) -> _ => "late",
            recv(rx) -> _ => "value",
            recv(chan::after(clock)) -> _ => "clock",
        },
        7 => {
            let after = chan::after(clock);
            let mut select = Select::new_biased();
            select.recv(rx);
            select.recv(&after);
            let operation = select.select();
            match operation.index() {
                0 => operation.recv(rx).map_or("closed", |_| "value"),
                _ => operation.recv(&after).map_or("closed", |_| "clock"),
            }
        }
        8 => {
            let mut select = Select::new();
            select.recv(rx);
            select.select_timeout(clock).map_or("clock", |operation| {
                operation.recv(rx).unwrap();
                "value"
            })
        }
        9 => wait(async {
            select_async_biased! { recv(rx) -> _ => "value", recv(chan::after(clock)) -> _ => "clock" }
        }),
        10 => rx.recv_timeout(clock).map_or("clock", |_| "value"),
        // Inside a future's poll.
        _ => wait(async {
            select_biased! { recv(rx) -> _ => "value", recv(chan::after(clock)) -> _ => "clock" }
        }),
    }
}

const CLOCKS: usize = 12;

#[test]
fn S20_a_clock_fires_also_in_a_select_that_was_promised_a_value_in_vain() {
    everywhere(|| {
        for how in 0..CLOCKS {
            // It gives up before the clock is due, about then, and after it; once, and again and again.
            for (times, pause) in [(1, ms(0)), (1, ms(3)), (3, ms(1))] {
                let (tx, rx) = chan::bounded(0);
                let peer = gives_up(&tx, &rx, times, pause);
                let begin = Instant::now();
                assert_eq!(with_clock(how, &rx, ms(2)), "clock", "form {how}");
                assert!(begin.elapsed() >= ms(2), "form {how}: too early, {:?}", begin.elapsed());
                // If the clock was first, the peer still waits: for this.
                while !peer.is_finished() {
                    assert!(rx.try_recv().is_err());
                    yield_now();
                }
                peer.join().unwrap();
                assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)), "form {how} has left a case behind");
            }
        }
    });
}

#[test]
fn S20_a_promised_value_comes_although_the_clock_is_due_meanwhile() {
    everywhere(|| {
        // But for the fair one, which may look at the clock first, when that is due on a machine that slept.
        for how in 1..CLOCKS {
            let (tx, rx) = chan::bounded(0);
            let peer = is_slow(&tx, &rx, 7, ms(5));
            assert_eq!(with_clock(how, &rx, ms(2)), "value", "form {how}");
            peer.join().unwrap();
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

#[test]
fn S06_a_select_that_was_promised_a_value_in_vain_takes_another() {
    everywhere(|| {
        for round in 0..30 {
            let ((a, from_a), (b, from_b)) = (chan::bounded(0), chan::bounded(0));
            let peer = gives_up(&a, &from_a, 1 + round % 2, Duration::from_micros(100));
            let other = go(move || {
                (0..round % 4).for_each(|_| yield_now());
                b.send(5).unwrap();
            });
            let got = match round % 3 {
                0 => select! { recv(from_a) -> n => n, recv(from_b) -> n => n },
                1 => select_biased! { recv(from_a) -> n => n, recv(from_b) -> n => n },
                _ => {
                    let mut select = Select::new_biased();
                    select.recv(&from_a);
                    select.recv(&from_b);
                    let operation = select.select();
                    assert_eq!(operation.index(), 1);
                    operation.recv(&from_b)
                }
            };
            assert_eq!(got, Ok(5));
            other.join().unwrap();
            while !peer.is_finished() {
                assert!(from_a.try_recv().is_err());
                yield_now();
            }
        }
    });
}

#[test]
fn C18_a_receiver_that_was_promised_a_value_in_vain_is_still_the_first() {
    one_worker(|| {
        let (tx, rx) = chan::bounded(0);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let rx = rx.clone();
                start(move || rx.recv().unwrap())
            })
            .collect();
        // Chosen at once: it is bound to the first of them, and gives up while the others wait.
        'no_message: {
            select! { send(tx, { yield_now(); break 'no_message }) -> _ => unreachable!() }
        }
        // The same again, with a sender that comes meanwhile: it serves the second.
        let own = tx.clone();
        'no_message: {
            select! {
                send(tx, {
                    assert!(start(move || own.send(0)).is_finished(), "the second receiver was there for it");
                    break 'no_message;
                }) -> _ => unreachable!()
            }
        }
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        let got: Vec<_> = receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
        assert_eq!(got, [1, 0, 2]);
    });
}

#[test]
fn C22_a_goroutine_waits_for_a_promised_value_and_gets_it() {
    everywhere(|| {
        for how in 0..5 {
            let (tx, rx) = chan::bounded(0);
            let peer = is_slow(&tx, &rx, how, Duration::from_micros(300));
            let got = match how {
                0 => rx.recv(),
                1 => rx.try_recv().map_err(|_| RecvError),
                2 => wait(rx.recv_async()),
                3 => select! { recv(rx) -> n => n, default => Err(RecvError) },
                _ => rx.iter().next().ok_or(RecvError),
            };
            assert_eq!(got, Ok(how));
            peer.join().unwrap();
        }
    });
}

#[test]
fn C08_closing_between_promise_and_value_takes_the_value_from_nobody() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(0);
        let chosen = Arc::new(AtomicBool::new(false));
        let (own, seen) = (tx.clone(), chosen.clone());
        let (go_on, goes_on) = chan::bounded::<()>(0);
        let peer = go(move || {
            select! {
                send(own, {
                    seen.store(true, Ordering::SeqCst);
                    goes_on.recv().unwrap();
                    3
                }) -> sent => sent
            }
        });
        let receiver = go({
            let rx = rx.clone();
            move || rx.recv()
        });
        common::eventually("the two have met", || chosen.load(Ordering::SeqCst));
        assert!(tx.close());
        go_on.send(()).unwrap();
        assert_eq!((peer.join().unwrap(), receiver.join().unwrap()), (Ok(()), Ok(3)));
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn S06_a_message_that_panics_leaves_goroutines_as_they_were() {
    everywhere(|| {
        for cap in [0, 1] {
            let (tx, rx) = chan::bounded(cap);
            let receivers: Vec<_> = (0..2)
                .map(|i| {
                    let rx = rx.clone();
                    if i == 0 {
                        go(move || rx.recv())
                    } else {
                        go_async(async move { rx.recv_async().await })
                    }
                })
                .collect();
            for _ in 0..5 {
                let own = tx.clone();
                let panics = go(move || {
                    select! { send(own, std::panic::resume_unwind(Box::new("no message"))) -> _ => {} }
                });
                assert!(panics.join().is_err());
            }
            tx.send(1).unwrap();
            tx.send(2).unwrap();
            let mut got: Vec<_> =
                receivers.into_iter().map(|receiver| receiver.join().unwrap().unwrap()).collect();
            got.sort_unstable();
            assert_eq!(got, [1, 2]);
            assert_eq!((0..cap).filter(|n| tx.try_send(*n).is_ok()).count(), cap, "a place is lost");
            assert!(tx.try_send(9).is_err());
        }
    });
}

/// A blocking call that must not suspend here unwinds before it does: what it had queued is gone then.
#[cfg(all(debug_assertions, target_os = "linux", target_arch = "x86_64"))]
#[test]
fn C29_an_operation_that_unwinds_leaves_its_queues() {
    scoped_tls::scoped_thread_local!(static SCOPED: usize);
    if common::goroutines_are_threads() {
        // Threads do not share their thread-locals: nothing to unwind for.
        return;
    }
    for mode in common::cheap_modes() {
        bounded(move || {
            mode.runtime.run(|| {
                let ((tx, rx), (stuck, open)) = (chan::bounded::<Arc<()>>(0), chan::bounded::<Arc<()>>(0));
                let witness = Arc::new(());
                for kind in 0..6 {
                    let (own, message) =
                        ((tx.clone(), rx.clone(), stuck.clone(), open.clone()), witness.clone());
                    let unwinds = go(move || {
                        let (tx, rx, stuck, open) = own;
                        let local = 5;
                        SCOPED.set(&local, || match kind {
                            0 => drop(rx.recv()),
                            1 => drop(tx.send(message)),
                            2 => select! { recv(rx) -> _ => {}, recv(open) -> _ => {} },
                            3 => select! { send(tx, message) -> _ => {}, send(stuck, message) -> _ => {} },
                            4 => select! { recv(rx) -> _ => {}, default(Duration::from_secs(60)) => {} },
                            _ => drop(tx.send_timeout(message, Duration::from_secs(60))),
                        })
                    });
                    let said = common::text(&*unwinds.join().unwrap_err());
                    assert!(said.contains("points into its stack"), "{said}");
                    assert!(tx.try_send(witness.clone()).is_err(), "receiver {kind} is still there");
                    assert!(
                        rx.try_recv().is_err() && open.try_recv().is_err(),
                        "sender {kind} is still there"
                    );
                    assert!(stuck.try_send(witness.clone()).is_err());
                }
                assert_eq!(Arc::strong_count(&witness), 1, "a message was lost");
            });
        });
    }
}
