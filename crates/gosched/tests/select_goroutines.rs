//! The rows of FEATURES.md about a select that has to wait, on goroutines: they queue and suspend without
//! polling anything, unless a clock is involved (`select_basic.rs` has the rules on threads and as futures).
#![allow(non_snake_case)]

mod common;

use common::{HOUR, everywhere, ms, one_worker, start};
use gosched::chan::{self, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError};
use gosched::{Select, go, go_async, num_goroutine, select, select_async, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Whether nobody waits on either side of a channel without a buffer.
fn is_quiet(tx: &Sender<i32>, rx: &Receiver<i32>) -> bool {
    tx.try_send(0) == Err(TrySendError::Full(0)) && rx.try_recv() == Err(TryRecvError::Empty)
}

#[test]
fn C04_and_S10_nil_channels_are_never_ready() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(0);
        let (no_tx, no_rx) = (None::<Sender<i32>>, None::<Receiver<i32>>);
        let sender = go(move || (0..3).for_each(|n| tx.send(n).unwrap()));
        for n in 0..3 {
            select! {
                recv(no_rx) -> _ => panic!("received from nil"),
                recv(chan::never::<i32>()) -> _ => panic!("received from never"),
                send(no_tx, panic!("made a message for nil")) -> _ => {}
                recv(rx) -> got => assert_eq!(got, Ok(n)),
            }
        }
        sender.join().unwrap();
        let timed_out = select! {
            recv(no_rx) -> _ => false,
            send(no_tx, 1) -> _ => false,
            default(ms(1)) => true,
        };
        assert!(timed_out);
    });
}

#[test]
fn S10_setting_a_channel_to_none_switches_its_case_off() {
    // Go's way to merge: each source until it is closed, the end when all are.
    everywhere(|| {
        let [(a, mut from_a), (b, mut from_b)] = [0, 1].map(|cap| {
            let (tx, rx) = chan::bounded(cap);
            (tx, Some(rx))
        });
        drop(go(move || (0..50).for_each(|n| a.send(n).unwrap())));
        drop(go(move || (50..150).for_each(|n| b.send(n).unwrap())));
        let mut got = Vec::new();
        while from_a.is_some() || from_b.is_some() {
            select! {
                recv(from_a) -> n => match n {
                    Ok(n) => got.push(n),
                    Err(_) => from_a = None,
                },
                recv(from_b) -> n => match n {
                    Ok(n) => got.push(n),
                    Err(_) => from_b = None,
                },
            }
        }
        got.sort_unstable();
        assert!(got.into_iter().eq(0..150));
    });
}

#[test]
fn S06_of_a_blocked_goroutines_cases_exactly_one_fires() {
    one_worker(|| {
        for fires in 0..4 {
            let channels = [(); 4].map(|()| chan::bounded(0));
            let own = channels.clone();
            let selects = start(move || {
                let [a, b, c, d] = &own;
                select! {
                    recv(a.1) -> n => (0, n),
                    recv(b.1) -> n => (1, n),
                    send(c.0, 7) -> sent => (2, sent.map(|()| 7).map_err(|_| RecvError)),
                    recv(d.1) -> n => (3, n),
                }
            });
            let expected = if fires == 2 {
                assert_eq!(channels[2].1.recv(), Ok(7));
                (2, Ok(7))
            } else {
                channels[fires].0.try_send(40).unwrap();
                (fires, Ok(40))
            };
            // It is decided before it runs: nothing else goes to it.
            for (i, (tx, rx)) in channels.iter().enumerate() {
                assert!(is_quiet(tx, rx), "case {i} of the decided select is still there");
            }
            assert_eq!(selects.join().unwrap(), expected);
            assert!(channels.iter().all(|(tx, rx)| is_quiet(tx, rx)));
        }
    });
}

#[test]
fn S07_the_losing_cases_of_a_goroutine_leave_their_queues_also_duplicates() {
    one_worker(|| {
        let (a, b) = (chan::bounded(0), chan::bounded(0));
        for i in 0..200 {
            let (own_a, own_b) = (a.clone(), b.clone());
            let selects = start(move || {
                select! {
                    recv(own_a.1) -> n => n.unwrap(),
                    recv(own_b.1) -> n => n.unwrap(),
                    recv(own_a.1) -> n => n.unwrap(),
                    recv(own_b.1) -> n => n.unwrap(),
                    recv(own_a.1) -> n => n.unwrap(),
                }
            });
            if i % 2 == 0 { a.0.try_send(i) } else { b.0.try_send(i) }.unwrap();
            assert_eq!(selects.join().unwrap(), i);
            assert!(is_quiet(&a.0, &a.1) && is_quiet(&b.0, &b.1));
        }
    });
}

#[test]
fn S08_a_send_passes_over_a_select_that_is_won_already() {
    one_worker(|| {
        let ((a, from_a), (b, from_b)) = (chan::bounded(0), chan::bounded(0));
        let own = from_b.clone();
        let selects = start(move || select! { recv(from_a) -> n => n, recv(own) -> n => n });
        let next = start(move || from_b.recv());
        a.try_send(1).unwrap();
        // The select is the first in this queue, has not run since, and will not take a second value.
        assert!(!selects.is_finished());
        b.try_send(2).unwrap();
        assert_eq!(b.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!((selects.join().unwrap(), next.join().unwrap()), (Ok(1), Ok(2)));
        // The same from the other side.
        let ((a, from_a), (b, from_b)) = (chan::bounded(0), chan::bounded(0));
        let own = b.clone();
        let selects = start(move || select! { send(a, 1) -> _ => "a", send(own, 2) -> _ => "b" });
        let next = start(move || b.send(3));
        assert_eq!((from_a.recv(), from_b.recv()), (Ok(1), Ok(3)));
        assert_eq!(from_b.recv(), Err(RecvError));
        assert_eq!((selects.join().unwrap(), next.join().unwrap()), ("a", Ok(())));
    });
}

#[test]
fn S09_goroutines_that_select_both_ways_on_one_channel_serve_each_other_never_themselves() {
    everywhere(|| {
        for cap in [0, 1] {
            let (tx, rx) = chan::bounded(cap);
            let ended = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..8)
                .map(|id| {
                    let (tx, rx, ended) = (tx.clone(), rx.clone(), ended.clone());
                    go(move || {
                        let (mut sent, mut got) = (0, 0);
                        while sent + got < 200 {
                            select! {
                                send(tx, id) -> r => { r.unwrap(); sent += 1 }
                                recv(rx) -> n => {
                                    assert!(cap > 0 || n != Ok(id), "it received its own message");
                                    n.unwrap();
                                    got += 1;
                                }
                                // Two find each other; only the last one is alone.
                                default(ms(5)) => if ended.load(Ordering::SeqCst) == 7 { break }
                            }
                        }
                        ended.fetch_add(1, Ordering::SeqCst);
                        (sent, got)
                    })
                })
                .collect();
            let ends = handles.into_iter().map(|handle| handle.join().unwrap());
            let (sent, got) = ends.fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
            assert_eq!(sent, got + rx.len());
            assert!(sent >= 700, "{sent}");
        }
        let (tx, rx) = chan::bounded(0);
        let alone = select! { send(tx, 1) -> _ => false, recv(rx) -> _ => false, default(ms(2)) => true };
        assert!(alone && is_quiet(&tx, &rx));
    });
}

#[test]
fn S11_a_select_without_cases_blocks_one_goroutine_for_ever() {
    everywhere(|| {
        let before = num_goroutine();
        let empty = go(|| select! {});
        let stackless = go_async(async {
            select_async! {}
        });
        (0..100).for_each(|i| assert_eq!(go(move || i).join().unwrap(), i));
        assert!(!empty.is_finished() && !stackless.is_finished());
        common::eventually("the others have ended", || num_goroutine() == before + 2);
    });
}

#[test]
fn S12_and_S13_closing_ends_the_select_of_a_blocked_goroutine() {
    one_worker(|| {
        let (a, from_a) = chan::bounded::<i32>(0);
        let (_open, from_b) = chan::bounded::<i32>(0);
        let selects = start(move || select! { recv(from_b) -> _ => None, recv(from_a) -> n => Some(n) });
        a.close();
        assert_eq!(selects.join().unwrap(), Some(Err(RecvError)));
        for by_close in [true, false] {
            let (tx, rx) = chan::bounded(0);
            let (own, (stuck, _nobody)) = (tx.clone(), chan::bounded(0));
            let selects =
                start(move || select! { send(own, 5) -> sent => Some(sent), send(stuck, 6) -> _ => None });
            let kept = Some(rx).filter(|_| by_close && tx.close());
            assert_eq!(kept.is_some(), by_close);
            assert_eq!(selects.join().unwrap(), Some(Err(SendError(5))));
        }
        // A closed channel stays ready, whatever else is.
        let (tx, rx) = chan::bounded(1);
        tx.send(1).unwrap();
        tx.close();
        assert_eq!(select! { recv(rx) -> n => n, default => Ok(0) }, Ok(1));
        for _ in 0..100 {
            assert_eq!(select! { recv(rx) -> n => n, default => Ok(0) }, Err(RecvError));
            assert_eq!(select! { send(tx, 2) -> sent => sent, default => Ok(()) }, Err(SendError(2)));
            assert_eq!(select! { recv(rx) -> n => n, recv(chan::after(HOUR)) -> _ => Ok(0) }, Err(RecvError));
        }
    });
}

#[test]
fn S16_opposing_selects_of_goroutines_do_not_block_each_other() {
    everywhere(|| {
        let channels = Arc::new([(); 4].map(|()| chan::bounded::<usize>(0)));
        let ended = Arc::new([(); 2].map(|()| AtomicUsize::new(0)));
        let handles: Vec<_> = (0..8)
            .map(|id| {
                let (channels, ended) = (channels.clone(), ended.clone());
                go(move || {
                    // Everybody has all channels, in an order of its own; the even ones send where the odd ones
                    // receive.
                    let [a, b, c, d] = [0, 1, 2, 3].map(|k| &channels[(k * (1 + id % 2 * 2) + id) % 4]);
                    let (mut sent, mut got) = (0, 0);
                    while sent + got < 150 {
                        select! {
                            send(a.0, id) -> r => { r.unwrap(); sent += 1 }
                            recv(b.1) -> n => { assert_ne!(n.unwrap() % 2, id % 2); got += 1 }
                            send(c.0, id) -> r => { r.unwrap(); sent += 1 }
                            recv(d.1) -> n => { assert_ne!(n.unwrap() % 2, id % 2); got += 1 }
                            default(ms(5)) => if ended[1 - id % 2].load(Ordering::SeqCst) == 4 { break }
                        }
                    }
                    ended[id % 2].fetch_add(1, Ordering::SeqCst);
                    (sent, got)
                })
            })
            .collect();
        let ends = handles.into_iter().map(|handle| handle.join().unwrap());
        let (sent, got) = ends.fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
        assert!(sent == got && sent >= 600, "{sent} {got}");
        assert!(channels.iter().all(|(tx, rx)| tx.try_send(0).is_err() && rx.try_recv().is_err()));
    });
}

#[test]
fn S03_cases_on_one_channel_are_chosen_alike_also_after_waiting() {
    const N: usize = 2000;
    one_worker(|| {
        let (tx, rx) = chan::bounded(0);
        let counts = start(move || {
            let mut counts = [0usize; 3];
            while counts.iter().sum::<usize>() < N {
                select! {
                    recv(rx) -> n => { n.unwrap(); counts[0] += 1 }
                    recv(rx) -> n => { n.unwrap(); counts[1] += 1 }
                    recv(rx) -> n => { n.unwrap(); counts[2] += 1 }
                }
            }
            counts
        });
        (0..N).for_each(|n| tx.send(n).unwrap());
        let counts = counts.join().unwrap();
        // Ten standard deviations of a binomial with p = 1/3.
        assert!(counts.iter().all(|count| count.abs_diff(N / 3) < 211), "{counts:?}");
        // And Go's TestPseudoRandomSend: what is received comes from both send cases.
        let (tx, rx) = chan::bounded(0);
        drop(go(move || {
            (0..N)
                .for_each(|_| select! { send(tx, 0usize) -> r => r.unwrap(), send(tx, 1) -> r => r.unwrap() })
        }));
        let ones: usize = rx.iter().sum();
        assert!(ones.abs_diff(N / 2) < 224, "{ones} of {N}");
    });
}

#[test]
fn S19_run_time_lists_wait_and_watch_on_goroutines() {
    one_worker(|| {
        let channels: Vec<_> = (0..100).map(|_| chan::bounded::<usize>(0)).collect();
        let own = channels.clone();
        let selects = start(move || {
            let mut select = Select::new();
            own.iter().for_each(|(_, rx)| _ = select.recv(rx));
            let operation = select.select();
            let index = operation.index();
            (index, operation.recv(&own[index].1))
        });
        let own = channels.clone();
        let watches = start(move || {
            let mut select = Select::new();
            own.iter().for_each(|(tx, _)| _ = select.send(tx));
            select.ready()
        });
        // The receiving select makes every channel ready to send: the watcher is told at once.
        assert!(watches.join().unwrap() < 100);
        channels[77].0.try_send(5).unwrap();
        assert_eq!(selects.join().unwrap(), (77, Ok(5)));
        let own = channels.clone();
        let watches = start(move || {
            let mut select = Select::new();
            own.iter().for_each(|(_, rx)| _ = select.recv(rx));
            (select.ready(), select.try_ready())
        });
        // A watcher takes nothing: the send waits until somebody receives.
        let tx = channels[3].0.clone();
        let sends = start(move || tx.send(1));
        yield_now();
        assert!(!sends.is_finished());
        assert_eq!(channels[3].1.try_recv(), Ok(1));
        assert_eq!((watches.join().unwrap(), sends.join().unwrap()), ((3, Ok(3)), Ok(())));
    });
}

#[test]
fn S20_time_outs_fire_in_time_and_not_before() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<i32>(0);
        let begin = Instant::now();
        assert!(select! { recv(rx) -> _ => false, default(ms(3)) => true });
        assert!(select! { recv(rx) -> _ => false, recv(chan::after(ms(3))) -> _ => true });
        assert!(select! { recv(rx) -> _ => false, recv(chan::at(Instant::now() + ms(3))) -> _ => true });
        assert!(select! { send(tx, 1) -> _ => false, recv(chan::after(ms(3))) -> _ => true });
        assert!(begin.elapsed() >= ms(12), "{:?}", begin.elapsed());
        let ticks = chan::tick(ms(3));
        for _ in 0..3 {
            select! { recv(rx) -> _ => panic!(), recv(ticks) -> at => assert!(at.unwrap() <= Instant::now()) }
        }
        // The earlier of two clocks.
        let begin = Instant::now();
        let first = select! {
            recv(chan::after(HOUR)) -> _ => "after",
            recv(rx) -> _ => "value",
            default(ms(3)) => "time-out",
        };
        assert_eq!(first, "time-out");
        let first = select! {
            recv(chan::after(ms(3))) -> _ => "after",
            recv(rx) -> _ => "value",
            default(HOUR) => "time-out",
        };
        assert_eq!(first, "after");
        assert!(begin.elapsed() >= ms(6) && begin.elapsed() < Duration::from_secs(10));
        // What comes in time is taken, by a select with a clock, too.
        for _ in 0..20 {
            let sender = go({
                let tx = tx.clone();
                move || tx.send(7).unwrap()
            });
            select! {
                recv(rx) -> n => assert_eq!(n, Ok(7)),
                recv(chan::after(HOUR)) -> _ => panic!("too early"),
                default(HOUR) => panic!("too early"),
            }
            sender.join().unwrap();
        }
        assert!(is_quiet(&tx, &rx), "time-outs leave nobody behind");
    });
}
