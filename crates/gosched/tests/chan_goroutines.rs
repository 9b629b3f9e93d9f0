//! The rows of FEATURES.md about channels, on goroutines. Their way of blocking is not that of threads and
//! futures (`chan_basic.rs`): they queue and suspend without polling anything. Mostly in every mode; where the
//! order in which goroutines come to wait matters, on one worker, where a goroutine that is let run blocks
//! before anybody else goes on.
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, modes, one_worker, start};
use gosched::chan::{self, RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use gosched::sync::WaitGroup;
use gosched::{go, go_async, num_goroutine, scope, select, wait, yield_now};
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn C02_messages_of_any_size_go_through_goroutines() {
    fn through<T: Send + Clone + PartialEq + std::fmt::Debug + 'static>(message: &T) {
        for cap in [0, 1, 3] {
            let (tx, rx) = chan::bounded(cap);
            let sent = message.clone();
            let sender = go(move || (0..5).for_each(|_| tx.send(sent.clone()).unwrap()));
            (0..5).for_each(|_| assert!(rx.recv().as_ref() == Ok(message)));
            sender.join().unwrap();
            assert_eq!(rx.recv(), Err(RecvError));
        }
    }
    everywhere(|| {
        through(&());
        through(&7u8);
        through(&[7u64; 100]);
        through(&[7u8; 5_000]);
        through(&"text".to_owned());
    });
}

#[test]
fn C03_a_receive_that_can_never_come_blocks_one_goroutine_only() {
    everywhere(|| {
        let reached = Arc::new(AtomicBool::new(false));
        let seen = reached.clone();
        let waits = go(move || {
            let _ = chan::never::<i32>().recv();
            seen.store(true, Ordering::SeqCst);
        });
        (0..100).for_each(|i| assert_eq!(go(move || i).join().unwrap(), i));
        assert!(!waits.is_finished() && !reached.load(Ordering::SeqCst));
        assert_eq!(
            chan::never::<()>().recv_timeout(Duration::from_millis(2)),
            Err(RecvTimeoutError::Timeout)
        );
    });
}

#[test]
fn C05_never_has_no_length_and_ranges_for_ever() {
    everywhere(|| {
        let nil = chan::never::<i32>();
        assert_eq!((nil.len(), nil.capacity(), nil.is_empty(), nil.is_closed()), (0, Some(0), true, false));
        assert_eq!(nil.try_iter().count(), 0);
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let ranges = go(move || {
            for _ in &nil {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        (0..100).for_each(|_| yield_now());
        assert!(!ranges.is_finished());
        assert_eq!(turns.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn C07_of_all_who_close_exactly_one_is_the_first() {
    everywhere(|| {
        for _ in 0..50 {
            let (tx, rx) = chan::bounded::<i32>(1);
            let closers: Vec<_> = (0..8)
                .map(|i| {
                    let tx = tx.clone();
                    if i % 2 == 0 { go(move || tx.close()) } else { go_async(async move { tx.close() }) }
                })
                .collect();
            let first = closers.into_iter().map(|closer| closer.join().unwrap());
            assert_eq!(first.filter(|first| *first).count(), 1);
            assert!(!tx.close() && rx.is_closed());
            assert_eq!(rx.recv(), Err(RecvError));
        }
    });
}

#[test]
fn C08_blocked_goroutines_get_their_messages_back() {
    everywhere(|| {
        for cap in [0, 2] {
            for by_close in [true, false] {
                let (tx, rx) = chan::bounded(cap);
                (0..cap).for_each(|i| tx.send(i).unwrap());
                // One waits already for sure; the others do, or come too late: the answer is the same.
                let senders: Vec<_> = (10..30)
                    .map(|i| {
                        let tx = tx.clone();
                        go(move || tx.send(i))
                    })
                    .collect();
                common::eventually("all are on their way", || num_goroutine() == 21);
                yield_now();
                if by_close {
                    assert!(tx.close());
                    assert!(rx.iter().eq(0..cap), "what was buffered is still received");
                } else {
                    drop(rx);
                }
                for (i, sender) in senders.into_iter().enumerate() {
                    assert_eq!(sender.join().unwrap(), Err(SendError(10 + i)));
                }
            }
        }
    });
}

#[test]
fn C09_and_C14_a_receive_is_ok_exactly_if_its_value_was_sent() {
    everywhere(|| {
        for cap in [Some(0), Some(2), None] {
            let (tx, rx) = cap.map_or_else(chan::unbounded, chan::bounded);
            // Zeroes are values like any other: only `Ok` tells them from the end.
            let sender = go(move || (0..5).for_each(|_| tx.send(0).unwrap()));
            let got: Vec<_> = (0..8).map(|_| rx.recv()).collect();
            assert_eq!(got, [vec![Ok(0); 5], vec![Err(RecvError); 3]].concat());
            assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(wait(rx.recv_async()), Err(RecvError));
            assert_eq!(select! { recv(rx) -> got => got, default => Ok(1) }, Err(RecvError));
            sender.join().unwrap();
        }
    });
}

#[test]
fn C10_and_C23_closing_releases_all_who_wait() {
    everywhere(|| {
        // More than one batch of the releasing loop, and of every kind.
        let (tx, rx) = chan::bounded::<i32>(0);
        let (_open, quiet) = chan::bounded::<i32>(0);
        let receivers: Vec<_> = (0..150)
            .map(|i| {
                let (rx, quiet) = (rx.clone(), quiet.clone());
                match i % 4 {
                    0 => go(move || rx.recv().is_err()),
                    1 => go(move || select! { recv(rx) -> got => got.is_err(), recv(quiet) -> _ => false }),
                    2 => go_async(async move { rx.recv_async().await.is_err() }),
                    _ => go(move || {
                        rx.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Disconnected)
                    }),
                }
            })
            .collect();
        (0..10).for_each(|_| yield_now());
        assert!(tx.close());
        assert!(receivers.into_iter().all(|receiver| receiver.join().unwrap()));
    });
}

#[test]
fn C11_misuse_is_an_error_and_the_channel_stays_usable() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(2);
        tx.send(1).unwrap();
        assert!(tx.close());
        // Each of them would end a Go program, or has to be recovered from.
        let misuse = go({
            let tx = tx.clone();
            move || (tx.close(), tx.send(2), tx.try_send(3), wait(tx.send_async(4)))
        });
        let errors = (false, Err(SendError(2)), Err(TrySendError::Disconnected(3)), Err(SendError(4)));
        assert_eq!(misuse.join().unwrap(), errors);
        assert_eq!(select! { send(tx, 5) -> sent => sent, default => Ok(()) }, Err(SendError(5)));
        assert_eq!((rx.len(), rx.recv(), rx.recv()), (1, Ok(1), Err(RecvError)));
    });
}

#[test]
fn C15_a_range_receives_until_closed_and_drained_and_loses_nothing() {
    everywhere(|| {
        for cap in [Some(0), Some(1), Some(7), None] {
            let (tx, rx) = cap.map_or_else(chan::unbounded, chan::bounded);
            drop(go(move || (0..100).for_each(|n| tx.send(n).unwrap())));
            let mut sum = 0;
            for n in &rx {
                sum += n;
            }
            assert_eq!(sum, 4950);
            // Over for good, and at once.
            assert_eq!(rx.iter().count(), 0);
            assert_eq!(rx.into_iter().count(), 0);
        }
        // Closed while it waits, with nothing ever sent; and of variables there need be none.
        let (tx, rx) = chan::bounded::<()>(0);
        let ranges = go(move || {
            let mut turns = 0;
            for () in rx {
                turns += 1;
            }
            turns
        });
        yield_now();
        assert_eq!(tx.send(()), Ok(()));
        assert!(tx.close());
        assert_eq!(ranges.join().unwrap(), 1);
    });
}

#[test]
fn C16_len_is_looked_at_by_any_goroutine_at_any_time() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(3);
        let (on, looks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let lookers: Vec<_> = (0..2)
            .map(|_| {
                let (tx, rx, on, looks) = (tx.clone(), rx.clone(), on.clone(), looks.clone());
                go(move || {
                    while on.load(Ordering::SeqCst) {
                        assert!(rx.len() <= 3 && tx.len() <= 3, "blocked senders are not counted");
                        assert_eq!((rx.capacity(), tx.capacity()), (Some(3), Some(3)));
                        looks.fetch_add(1, Ordering::SeqCst);
                        yield_now();
                    }
                })
            })
            .collect();
        scope(|s| {
            (0..5).for_each(|_| drop(s.go(|| (0..200).for_each(|n| tx.send(n).unwrap()))));
            s.go(|| assert_eq!(rx.iter().take(1000).count(), 1000));
        });
        assert_eq!((rx.len(), rx.is_empty(), tx.is_full()), (0, true, false));
        on.store(false, Ordering::SeqCst);
        lookers.into_iter().for_each(|looker| looker.join().unwrap());
        assert!(looks.load(Ordering::SeqCst) > 0);
    });
}

#[test]
fn C17_and_C27_each_value_reaches_one_receiver_in_its_senders_order() {
    const SENDERS: usize = 6;
    const EACH: usize = 300;
    everywhere(|| {
        for cap in [Some(0), Some(1), Some(16), None] {
            let (tx, rx) = cap.map_or_else(chan::unbounded, chan::bounded);
            for id in 0..SENDERS {
                let tx = tx.clone();
                drop(go(move || (0..EACH).for_each(|n| tx.send((id, n)).unwrap())));
            }
            drop(tx);
            let receivers: Vec<_> = (0..4)
                .map(|i| {
                    let rx = rx.clone();
                    if i % 2 == 0 {
                        go(move || rx.iter().collect::<Vec<_>>())
                    } else {
                        go_async(async move {
                            let mut got = Vec::new();
                            while let Ok(message) = rx.recv_async().await {
                                got.push(message);
                            }
                            got
                        })
                    }
                })
                .collect();
            let lists: Vec<_> = receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
            for list in &lists {
                for id in 0..SENDERS {
                    assert!(list.iter().filter(|(sender, _)| *sender == id).is_sorted());
                }
            }
            let all: HashSet<_> = lists.iter().flatten().collect();
            assert_eq!((all.len(), lists.iter().map(Vec::len).sum()), (SENDERS * EACH, SENDERS * EACH));
        }
    });
}

#[test]
fn C18_waiting_goroutines_are_served_first_come_first_served() {
    one_worker(|| {
        let (tx, rx) = chan::bounded(0);
        let receivers: Vec<_> = (0..20)
            .map(|_| {
                let rx = rx.clone();
                start(move || rx.recv().unwrap())
            })
            .collect();
        (0..20).for_each(|n| tx.try_send(n).unwrap());
        assert!(receivers.into_iter().map(|receiver| receiver.join().unwrap()).eq(0..20));
        for n in 0..20 {
            let tx = tx.clone();
            drop(start(move || tx.send(n).unwrap()));
        }
        assert!((0..20).map(|_| rx.try_recv().unwrap()).eq(0..20));
    });
}

#[test]
fn C19_a_send_goes_past_the_buffer_into_a_waiting_goroutine() {
    one_worker(|| {
        let (tx, rx) = chan::bounded(4);
        let own = rx.clone();
        let receiver = start(move || own.recv());
        tx.send(1).unwrap();
        assert_eq!((tx.len(), receiver.is_finished()), (0, false));
        // What comes later does not overtake it, and another receiver does not take it away.
        tx.send(2).unwrap();
        assert_eq!((tx.len(), rx.try_recv(), rx.try_recv()), (1, Ok(2), Err(TryRecvError::Empty)));
        assert_eq!(receiver.join().unwrap(), Ok(1));
    });
}

#[test]
fn C20_a_receive_moves_the_first_waiting_goroutines_value_up() {
    one_worker(|| {
        let (tx, rx) = chan::bounded(2);
        (0..2).for_each(|n| tx.send(n).unwrap());
        let senders: Vec<_> = (2..5)
            .map(|n| {
                let tx = tx.clone();
                start(move || tx.send(n).unwrap())
            })
            .collect();
        for n in 0..3 {
            assert_eq!(rx.recv(), Ok(n));
            assert_eq!(rx.len(), 2, "the place went to the next sender in the same instant");
            assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "and to no newcomer");
        }
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [3, 4]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn C22_an_unbuffered_send_returns_after_its_receiver_has_taken_the_value() {
    everywhere(|| {
        for round in 0..200 {
            let (tx, rx) = chan::bounded(0);
            let taking = Arc::new(AtomicBool::new(false));
            let takes = taking.clone();
            let receiver = go(move || {
                (0..round % 4).for_each(|_| yield_now());
                takes.store(true, Ordering::SeqCst);
                rx.recv()
            });
            tx.send(round).unwrap();
            assert!(taking.load(Ordering::SeqCst), "sent before anybody received");
            assert_eq!(tx.len(), 0);
            assert_eq!(receiver.join().unwrap(), Ok(round));
        }
    });
}

/// The waker of the goroutine that calls, which everybody may call at any time.
fn own_waker() -> Waker {
    wait(poll_fn(|cx| Poll::Ready(cx.waker().clone())))
}

type Operation = fn(&chan::Sender<i32>, &chan::Receiver<i32>, &chan::Receiver<i32>);

#[test]
fn C24_wakes_that_mean_nothing_end_no_operation() {
    for mode in modes() {
        bounded(move || {
            mode.runtime.run(|| {
                let operations: [Operation; 6] = [
                    |_, rx, _| assert_eq!(rx.recv(), Ok(1)),
                    |_, rx, _| assert_eq!(rx.recv_timeout(Duration::from_secs(60)), Ok(1)),
                    |_, rx, never| select! { recv(rx) -> n => assert_eq!(n, Ok(1)), recv(never) -> _ => panic!() },
                    |_, rx, never| select! {
                        recv(rx) -> n => assert_eq!(n, Ok(1)),
                        recv(never) -> _ => panic!(),
                        default(Duration::from_secs(60)) => panic!(),
                    },
                    |tx, _, _| assert_eq!(tx.send(1), Ok(())),
                    |tx, _, never| select! {
                        send(tx, 1) -> sent => assert_eq!(sent, Ok(())),
                        recv(never) -> _ => panic!(),
                    },
                ];
                for (i, operation) in operations.into_iter().enumerate() {
                    let (tx, rx) = chan::bounded(0);
                    let (_open, never) = chan::bounded(0);
                    let (tell, told) = chan::bounded(1);
                    let (own_tx, own_rx) = (tx.clone(), rx.clone());
                    let blocked = go(move || {
                        tell.send(own_waker()).unwrap();
                        operation(&own_tx, &own_rx, &never);
                    });
                    let waker = told.recv().unwrap();
                    let end = Instant::now() + Duration::from_millis(3);
                    while Instant::now() < end {
                        waker.wake_by_ref();
                        yield_now();
                    }
                    assert!(!blocked.is_finished(), "operation {i} ended in {} mode", mode.name);
                    if i < 4 {
                        tx.send(1).unwrap();
                    } else {
                        assert_eq!(rx.recv(), Ok(1));
                    }
                    // Late ones mean nothing either.
                    (0..10).for_each(|_| waker.wake_by_ref());
                    blocked.join().unwrap();
                }
            });
        });
    }
}

#[test]
fn C28_channels_travel_over_channels() {
    // The chain of the Go tour: each answer comes back over a channel that came with the question.
    everywhere(|| {
        let (ask, asked) = chan::bounded::<(u32, chan::Sender<u32>)>(0);
        let server = go(move || asked.iter().for_each(|(n, answer)| answer.send(n * n).unwrap()));
        let wg = WaitGroup::new();
        for n in 0..20 {
            let ask = ask.clone();
            wg.go(move || {
                let (answer, answers) = chan::bounded(0);
                ask.send((n, answer)).unwrap();
                assert_eq!(answers.recv(), Ok(n * n));
                assert_eq!(answers.recv(), Err(RecvError), "the server's sender is gone");
            });
        }
        wg.wait();
        drop(ask);
        server.join().unwrap();
    });
}

#[test]
fn C29_ten_thousand_waiting_goroutines_leave_in_any_order() {
    // Each ends another's wait, all over the queue; leaving it by walking would take a hundred million steps.
    common::in_each(common::cheap_modes(), || {
        const N: usize = 10_000;
        let (tx, rx) = chan::bounded::<usize>(0);
        let (kick, kicks) = (0..N).map(|_| chan::bounded::<()>(1)).unzip::<_, _, Vec<_>, Vec<_>>();
        let waiters: Vec<_> = kicks
            .into_iter()
            .map(|kicked| {
                let rx = rx.clone();
                go(move || select! { recv(rx) -> _ => false, recv(kicked) -> _ => true })
            })
            .collect();
        (0..10).for_each(|_| yield_now());
        let start = Instant::now();
        // 7919 is prime: every one of them, far from the last each time.
        (0..N).for_each(|i| kick[i * 7919 % N].send(()).unwrap());
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)), "nobody is left in the queue");
    });
}

#[test]
fn C31_timer_channels_wake_goroutines_and_hold_one_message_at_most() {
    everywhere(|| {
        let start = Instant::now();
        let after = chan::after(Duration::from_millis(5));
        let copies: Vec<_> = (0..3)
            .map(|_| {
                let after = after.clone();
                go(move || after.recv_timeout(Duration::from_millis(50)).is_ok())
            })
            .collect();
        let got = copies.into_iter().map(|copy| copy.join().unwrap());
        assert_eq!(got.filter(|got| *got).count(), 1, "one message for all copies");
        assert!(start.elapsed() >= Duration::from_millis(5));
        let ticks = chan::tick(Duration::from_millis(2));
        let ticked = go({
            let ticks = ticks.clone();
            move || (0..3).map(|_| ticks.recv().unwrap()).is_sorted()
        });
        assert!(ticked.join().unwrap());
        thread::sleep(Duration::from_millis(7));
        assert_eq!((ticks.len(), ticks.capacity()), (1, Some(1)));
    });
}
