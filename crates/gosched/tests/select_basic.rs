//! Select: what one can see of it from outside, by the rows of FEATURES.md. The macros' contract
//! (`select::__private`) is used by hand here, as they expand to it.

#![allow(non_snake_case)]

mod common;

use common::wakers::Wakes;
use common::{ms, poll_once, settle};
use gosched::__select::*;
use gosched::Select;
use gosched::chan::*;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// `select! { recv(a) -> x => Ok(x), recv(b) -> x => Err(x) }`
fn either<A, B>(
    a: &Receiver<A>,
    b: &Receiver<B>,
    wait: Wait,
) -> Option<Result<Result<A, RecvError>, Result<B, RecvError>>> {
    let (mut one, mut two) = (RecvArm::new(a), RecvArm::new(b));
    match run(&mut [&mut one, &mut two], false, wait) {
        Some(0) => Some(Ok(one.take())),
        Some(1) => Some(Err(two.take())),
        None => None,
        Some(_) => unreachable!(),
    }
}

/// `select! { send(tx, message()) -> r => Some(r), default… }`
fn send_one<T>(tx: &Sender<T>, wait: Wait, message: impl FnOnce() -> T) -> Option<Result<(), SendError<T>>> {
    let mut arm = SendArm::new(tx);
    run(&mut [&mut arm], false, wait)?;
    let message = message();
    Some(arm.finish(message))
}

#[test]
fn S01_operands_of_all_kinds_and_nil() {
    let (tx, rx) = bounded(1);
    let none: Option<Receiver<i32>> = None;
    let some = Some(&rx);
    let boxed = Box::new(rx.clone());
    let (arc, rc) = (Arc::new(rx.clone()), Rc::new(rx.clone()));
    let nil = never::<i32>();
    let mut arms = (
        RecvArm::new(&none),
        RecvArm::new(&some),
        RecvArm::new(&boxed),
        RecvArm::new(&arc),
        RecvArm::new(&rc),
        RecvArm::new(&nil),
        SendArm::<i32>::new(&None::<Sender<i32>>),
    );
    let mut list: [&mut dyn Arm; 7] =
        [&mut arms.0, &mut arms.1, &mut arms.2, &mut arms.3, &mut arms.4, &mut arms.5, &mut arms.6];
    assert_eq!(run(&mut list, false, Wait::Try), None);
    tx.send(5).unwrap();
    let chosen = run(&mut list, true, Wait::Forever).unwrap();
    assert_eq!(chosen, 1, "biased: the first that is not nil");
    assert_eq!(arms.1.take(), Ok(5));
}

#[test]
fn S03_choice_is_uniform_also_beside_cases_that_are_not_ready() {
    const N: u32 = 20_000;
    let (tx, rx) = bounded(1);
    let idle = bounded::<u8>(0).1;
    let keep = bounded::<u8>(0);
    let _ = idle;
    tx.send(0).unwrap();
    let mut hits = [0u32; 4];
    for _ in 0..N {
        // Index 1 is never ready; a scan from a random start would favour index 2.
        let mut arms = (RecvArm::new(&rx), RecvArm::new(&keep.1), RecvArm::new(&rx), RecvArm::new(&rx));
        let index =
            run(&mut [&mut arms.0, &mut arms.1, &mut arms.2, &mut arms.3], false, Wait::Forever).unwrap();
        hits[index] += 1;
        // What is not taken goes back: the channel stays full.
    }
    assert_eq!(rx.len(), 1);
    assert_eq!(hits[1], 0);
    // Ten standard deviations of a binomial with p = 1/3.
    assert!([0, 2, 3].iter().all(|&i| hits[i].abs_diff(N / 3) < 667), "{hits:?}");
}

#[test]
fn S04_S05_default_is_never_taken_while_a_case_was_ready_throughout() {
    // At every moment one of the two channels has a message.
    let ((a_tx, a_rx), (b_tx, b_rx)) = (bounded(2), bounded(2));
    a_tx.send(()).unwrap();
    let stop = AtomicBool::new(false);
    let looks = scope(|s| {
        s.spawn(|| {
            while !stop.load(SeqCst) {
                b_tx.send(()).unwrap();
                a_rx.recv().unwrap();
                a_tx.send(()).unwrap();
                b_rx.recv().unwrap();
            }
        });
        let mut looks = 0;
        let end = Instant::now() + ms(500);
        while Instant::now() < end {
            let mut select = Select::new();
            select.recv(&a_rx);
            select.recv(&b_rx);
            select.try_ready().expect("default was taken although a case was ready at every instant");
            looks += 1;
        }
        stop.store(true, SeqCst);
        looks
    });
    assert!(looks > 100);
}

#[test]
fn S05_closed_or_filled_while_default_looks() {
    for _ in 0..2_000 {
        let ((a_tx, a_rx), (_b_tx, b_rx)) = (bounded(1), bounded::<i32>(1));
        a_tx.send(1).unwrap();
        scope(|s| {
            let other = s.spawn(|| either(&a_rx, &b_rx, Wait::Try).is_some());
            a_tx.close();
            let _ = a_rx.try_recv();
            assert!(other.join().unwrap(), "the channel was closed or filled throughout");
        });
    }
}

#[test]
fn S06_S08_exactly_one_case_fires_in_a_storm() {
    const WORKERS: usize = 4;
    const EACH: usize = 3_000;
    for cap in [0, 1] {
        let channels: Vec<_> = (0..3).map(|_| bounded::<u64>(cap)).collect();
        let (sent, received) = (AtomicUsize::new(0), AtomicUsize::new(0));
        scope(|s| {
            let (channels, sent, received) = (&channels, &sent, &received);
            for id in 0..WORKERS {
                // Selecting senders, plain senders, selecting receivers, plain receivers with time-outs.
                s.spawn(move || {
                    for i in 0..EACH {
                        if id % 2 == 0 {
                            let mut arms: Vec<_> = channels.iter().map(|c| SendArm::new(&c.0)).collect();
                            let mut list: Vec<&mut dyn Arm> =
                                arms.iter_mut().map(|a| a as &mut dyn Arm).collect();
                            let at = run(&mut list, false, Wait::Forever).unwrap();
                            arms.swap_remove(at).finish(1).unwrap();
                        } else {
                            channels[i % 3].0.send(1).unwrap();
                        }
                        sent.fetch_add(1, SeqCst);
                    }
                });
                s.spawn(move || {
                    while received.load(SeqCst) < WORKERS * EACH {
                        let got = if id % 2 == 0 {
                            let mut arms: Vec<_> = channels.iter().map(|c| RecvArm::new(&c.1)).collect();
                            let mut list: Vec<&mut dyn Arm> =
                                arms.iter_mut().map(|a| a as &mut dyn Arm).collect();
                            run(&mut list, false, Wait::Timeout(ms(1)))
                                .map(|at| arms.swap_remove(at).take().unwrap())
                        } else {
                            let at = received.load(SeqCst) % 3;
                            channels[at].1.recv_timeout(Duration::from_micros(50)).ok()
                        };
                        if got.is_some() {
                            received.fetch_add(1, SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(sent.load(SeqCst), WORKERS * EACH);
        assert_eq!(received.load(SeqCst), WORKERS * EACH);
        for (tx, rx) in &channels {
            assert_eq!(rx.len(), 0);
            assert!(tx.try_send(0).is_err() == (cap == 0), "no waiter was left behind");
        }
    }
}

#[test]
fn S07_losers_leave_all_queues_also_with_duplicates() {
    let ((a_tx, a_rx), (b_tx, b_rx)) = (bounded::<i32>(0), bounded::<i32>(0));
    let mut select = Box::pin(select_async(
        false,
        Wait::Forever,
        (RecvArm::new(&a_rx), (RecvArm::new(&b_rx), (RecvArm::new(&a_rx), (RecvArm::new(&b_rx), ())))),
    ));
    assert!(poll_once(select.as_mut()).is_pending());
    a_tx.try_send(1).unwrap();
    // The select is decided: the other channel has no receiver any more.
    assert_eq!(b_tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(a_tx.try_send(2), Err(TrySendError::Full(2)));
    let Poll::Ready((Some(index), (a, (_, (a2, _))))) = poll_once(select.as_mut()) else { panic!() };
    let arm = if index == 0 { a } else { a2 };
    assert_eq!(arm.take(), Ok(1));
}

#[test]
fn S09_a_select_never_talks_to_itself() {
    let (tx, rx) = bounded::<usize>(0);
    let mut arms = (SendArm::new(&tx), RecvArm::new(&rx));
    assert_eq!(run(&mut [&mut arms.0, &mut arms.1], false, Wait::Timeout(ms(20))), None);
    // Two of them do.
    for _ in 0..500 {
        let results: Vec<_> = scope(|s| {
            let handles: Vec<_> = (0..2)
                .map(|id| {
                    let (tx, rx) = (&tx, &rx);
                    s.spawn(move || {
                        let (mut send, mut recv) = (SendArm::new(tx), RecvArm::new(rx));
                        match run(&mut [&mut send, &mut recv], false, Wait::Forever) {
                            Some(0) => send.finish(id).map(|()| None).unwrap(),
                            _ => Some((id, recv.take().unwrap())),
                        }
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        let received: Vec<_> = results.into_iter().flatten().collect();
        assert_eq!(received.len(), 1);
        assert_ne!(received[0].0, received[0].1, "it received its own message");
    }
}

#[test]
fn S10_S11_nil_cases_and_no_cases() {
    let start = Instant::now();
    assert_eq!(run(&mut [], false, Wait::Timeout(ms(20))), None);
    let mut nil = RecvArm::<i32>::new(&None::<Receiver<i32>>);
    assert_eq!(run(&mut [&mut nil], false, Wait::Timeout(ms(20))), None);
    assert!(start.elapsed() >= ms(40));
    assert_eq!(run(&mut [], false, Wait::Try), None);
    assert!(poll_once(pin!(select_async(false, Wait::Forever, ()))).is_pending());
}

#[test]
fn S12_S13_closed_channels_are_ready() {
    let (tx, rx) = bounded::<i32>(1);
    tx.send(1).unwrap();
    tx.close();
    assert_eq!(send_one(&tx, Wait::Try, || 2), Some(Err(SendError(2))));
    let mut arm = RecvArm::new(&rx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    assert_eq!(arm.take(), Ok(1));
    let mut arm = RecvArm::new(&rx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Forever), Some(0));
    assert_eq!(arm.take(), Err(RecvError));
    // Closed while a select waits.
    let ((a_tx, a_rx), (_b_tx, b_rx)) = (bounded::<i32>(0), bounded::<i32>(0));
    scope(|s| {
        let waiting = s.spawn(|| either(&a_rx, &b_rx, Wait::Forever));
        settle();
        a_tx.close();
        assert_eq!(waiting.join().unwrap(), Some(Ok(Err(RecvError))));
    });
    let (c_tx, c_rx) = bounded::<i32>(0);
    scope(|s| {
        let waiting = s.spawn(|| send_one(&c_tx, Wait::Forever, || 7));
        settle();
        drop(c_rx);
        assert_eq!(waiting.join().unwrap(), Some(Err(SendError(7))));
    });
}

#[test]
fn S18_two_ready_cases_are_served_alike() {
    const N: u32 = 10_000;
    let ((a_tx, a_rx), (b_tx, b_rx)) = (unbounded(), unbounded());
    let mut first = 0u32;
    for _ in 0..N {
        let _ = (a_tx.send(()), b_tx.send(()));
    }
    for _ in 0..N {
        first += u32::from(matches!(either(&a_rx, &b_rx, Wait::Forever), Some(Ok(Ok(())))));
    }
    assert!(first.abs_diff(N / 2) < 500, "ten sigma: {first}");
}

#[test]
fn S19_65536_cases() {
    let channels: Vec<_> = (0..65_536).map(|_| bounded::<usize>(0)).collect();
    let mut select = Select::new();
    for (_, rx) in &channels {
        select.recv(rx);
    }
    assert!(select.try_select().is_err());
    assert!(select.select_timeout(ms(10)).is_err());
    scope(|s| {
        s.spawn(|| {
            settle();
            channels[54_321].0.send(1).unwrap();
        });
        let operation = select.select();
        assert_eq!(operation.index(), 54_321);
        assert_eq!(operation.recv(&channels[54_321].1), Ok(1));
    });
}

#[test]
fn S20_time_outs_and_timer_cases() {
    let (_tx, rx) = bounded::<i32>(0);
    let start = Instant::now();
    assert!(matches!(either(&rx, &after(ms(20)), Wait::Forever), Some(Err(Ok(_)))));
    assert!(either(&rx, &never::<()>(), Wait::Timeout(ms(20))).is_none());
    assert!(start.elapsed() >= ms(40));
    let ticks = tick(ms(5));
    for _ in 0..3 {
        assert!(matches!(either(&rx, &ticks, Wait::Forever), Some(Err(Ok(_)))));
    }
    assert!(matches!(either(&after(ms(0)), &rx, Wait::Timeout(ms(1000))), Some(Ok(Ok(_)))));
    assert!(either(&rx, &rx, Wait::Timeout(Duration::ZERO)).is_none());
    let future = select_async(false, Wait::Timeout(ms(20)), (RecvArm::new(&rx), ()));
    let start = Instant::now();
    assert_eq!(gosched::wait(future).0, None);
    assert!(start.elapsed() >= ms(20));
    let timer = after(ms(20));
    let (index, (_, (arm, ()))) =
        gosched::wait(select_async(false, Wait::Forever, (RecvArm::new(&rx), (RecvArm::new(&timer), ()))));
    assert_eq!(index, Some(1));
    arm.take().unwrap();
}

#[test]
fn C30_quiet_channels_do_not_accumulate_waiters() {
    let (tx, rx) = bounded::<i32>(0);
    let (busy_tx, busy_rx) = bounded(1);
    for i in 0..100_000 {
        // Alternately decided at once, and after having been queued.
        let (mut a, mut b) = (RecvArm::new(&rx), RecvArm::new(&busy_rx));
        if i % 2 == 0 {
            busy_tx.send(i).unwrap();
            assert_eq!(run(&mut [&mut a, &mut b], false, Wait::Forever), Some(1));
            assert_eq!(b.take(), Ok(i));
        } else {
            let mut future = pin!(select_async(false, Wait::Forever, (a, (b, ()))));
            assert!(poll_once(future.as_mut()).is_pending());
            busy_tx.send(i).unwrap();
            let Poll::Ready((Some(1), (_, (b, ())))) = poll_once(future.as_mut()) else { panic!() };
            assert_eq!(b.take(), Ok(i));
        }
    }
    // Nobody is left in the quiet channel's queue.
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    let mut watch = Select::new();
    watch.send(&tx);
    assert!(watch.try_ready().is_err());
}

#[test]
fn lazy_messages_are_made_only_when_chosen() {
    let (tx, rx) = bounded(1);
    tx.send(0).unwrap();
    assert_eq!(send_one(&tx, Wait::Try, || panic!("not chosen")), None);
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(send_one(&tx, Wait::Try, || 1), Some(Ok(())));
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn lazy_panic_with_a_buffer_gives_the_place_to_the_first_waiting_sender() {
    let (tx, rx) = bounded(1);
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    assert_eq!((tx.len(), tx.is_full()), (0, true));
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
    let mut waiting = pin!(tx.send_async(1));
    assert!(poll_once(waiting.as_mut()).is_pending());
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _arm = arm;
        panic!("the message expression");
    }));
    assert!(unwound.is_err());
    assert_eq!(poll_once(waiting), Poll::Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(tx.try_send(2), Ok(()));
}

#[test]
fn lazy_panic_without_a_buffer_returns_the_receiver_to_the_head() {
    let (tx, rx) = bounded(0);
    let mut first = pin!(rx.recv_async());
    let mut second = pin!(rx.recv_async());
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    assert!(poll_once(first.as_mut()).is_pending());
    drop(arm);
    tx.try_send(1).unwrap();
    tx.try_send(2).unwrap();
    assert_eq!(poll_once(first), Poll::Ready(Ok(1)));
    assert_eq!(poll_once(second), Poll::Ready(Ok(2)));
}

#[test]
fn lazy_panic_a_receiver_is_served_by_who_came_meanwhile() {
    let (tx, rx) = bounded(0);
    let mut receive = pin!(rx.recv_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    // No receiver is free: this sender queues up. When the select gives up, the two must not miss each other.
    let mut send = pin!(tx.send_async(5));
    assert!(poll_once(send.as_mut()).is_pending());
    drop(arm);
    assert_eq!(poll_once(send), Poll::Ready(Ok(())));
    assert_eq!(poll_once(receive), Poll::Ready(Ok(5)));
}

#[test]
fn lazy_panic_a_paired_select_starts_over() {
    let ((a_tx, a_rx), (b_tx, b_rx)) = (bounded::<i32>(0), bounded::<i32>(0));
    let mut select =
        pin!(select_async(false, Wait::Forever, (RecvArm::new(&a_rx), (RecvArm::new(&b_rx), ()))));
    assert!(poll_once(select.as_mut()).is_pending());
    let mut arm = SendArm::new(&a_tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    assert!(poll_once(select.as_mut()).is_pending());
    assert_eq!(b_tx.try_send(1), Err(TrySendError::Full(1)), "it is spoken for");
    drop(arm);
    assert!(poll_once(select.as_mut()).is_pending());
    b_tx.try_send(2).unwrap();
    let Poll::Ready((Some(1), (_, (b, ())))) = poll_once(select) else { panic!() };
    assert_eq!(b.take(), Ok(2));
}

#[test]
fn a_receiver_that_finds_a_lazy_sender_waits_for_its_message() {
    let (tx, rx) = bounded(0);
    for how in 0..4 {
        let chosen = AtomicBool::new(false);
        scope(|s| {
            let sender = s.spawn(|| {
                send_one(&tx, Wait::Forever, || {
                    chosen.store(true, SeqCst);
                    sleep(ms(60));
                    42
                })
            });
            // Returns when the sender waits.
            let mut watch = Select::new();
            watch.recv(&rx);
            watch.ready();
            assert!(!chosen.load(SeqCst), "made before it was chosen");
            let got = match how {
                0 => rx.recv().unwrap(),
                1 => rx.try_recv().unwrap(),
                // The time is up while the message is being made: it is waited for.
                2 => rx.recv_timeout(ms(1)).unwrap(),
                _ => either(&rx, &never::<()>(), Wait::Try).unwrap().unwrap().unwrap(),
            };
            assert_eq!(got, 42);
            assert_eq!(sender.join().unwrap(), Some(Ok(())));
        });
    }
}

#[test]
fn a_lazy_sender_that_gives_up_lets_its_receivers_go_on() {
    let (tx, rx) = bounded::<i32>(0);
    let park = || {
        let mut select = Box::pin(select_async(false, Wait::Forever, (SendArm::new(&tx), ())));
        assert!(poll_once(select.as_mut()).is_pending());
        select
    };
    // A plain receive.
    let mut select = park();
    let mut receive = Box::pin(rx.recv_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    let Poll::Ready((Some(0), (arm, ()))) = poll_once(select.as_mut()) else { panic!() };
    drop(arm);
    tx.try_send(1).unwrap();
    assert_eq!(poll_once(receive.as_mut()), Poll::Ready(Ok(1)));
    // Dropped before it even looked.
    let select = park();
    let mut receive = Box::pin(rx.recv_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    drop(select);
    tx.try_send(2).unwrap();
    assert_eq!(poll_once(receive.as_mut()), Poll::Ready(Ok(2)));
    // A try: it finds nothing after all.
    scope(|s| {
        let mut select = park();
        let attempt = s.spawn(|| rx.try_recv());
        let arm = loop {
            if let Poll::Ready((Some(0), (arm, ()))) = poll_once(select.as_mut()) {
                break arm;
            }
            std::thread::yield_now();
        };
        drop(arm);
        assert_eq!(attempt.join().unwrap(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_paired_receive_that_is_dropped_leaves_an_ordinary_send() {
    let (tx, rx) = bounded(0);
    let mut receive = Box::pin(rx.recv_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    drop(receive);
    scope(|s| {
        let finish = s.spawn(move || arm.finish(3));
        assert_eq!(rx.recv(), Ok(3));
        assert_eq!(finish.join().unwrap(), Ok(()));
    });
    // The same, async.
    let mut receive = Box::pin(rx.recv_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    drop(receive);
    let mut finish = pin!(arm.finish_async(4));
    assert!(poll_once(finish.as_mut()).is_pending());
    assert_eq!(rx.try_recv(), Ok(4));
    assert_eq!(poll_once(finish), Poll::Ready(Ok(())));
}

#[test]
fn closing_between_choice_and_message() {
    // With a buffer a receiver may have been told that nothing comes: the send fails.
    let (tx, rx) = bounded(1);
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    tx.close();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(arm.finish(1), Err(SendError(1)));
    // Without one the two had met before: the message arrives.
    let (tx, rx) = bounded(0);
    let mut receive = pin!(rx.recv_async());
    assert!(poll_once(receive.as_mut()).is_pending());
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    tx.close();
    assert_eq!(arm.finish(2), Ok(()));
    assert_eq!(poll_once(receive), Poll::Ready(Ok(2)));
}

#[test]
fn an_unconsumed_value_returns_to_the_front() {
    let (tx, rx) = bounded(2);
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    let mut arm = RecvArm::new(&rx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    drop(arm);
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]);
    // A select that was decided and is dropped before it looked.
    let mut select = Box::pin(select_async(false, Wait::Forever, (RecvArm::new(&rx), ())));
    assert!(poll_once(select.as_mut()).is_pending());
    tx.send(3).unwrap();
    drop(select);
    assert_eq!(rx.try_recv(), Ok(3));
}

#[test]
fn operations_of_select_that_are_misused_panic_and_lose_nothing() {
    fn text(payload: Box<dyn std::any::Any + Send>) -> String {
        payload
            .downcast_ref::<&str>()
            .map_or_else(|| payload.downcast_ref::<String>().unwrap().clone(), |s| (*s).into())
    }
    let (tx, rx) = bounded(1);
    let (other_tx, other_rx) = bounded::<i32>(1);
    tx.send(1).unwrap();
    let drop_it = || {
        let mut select = Select::new();
        select.recv(&rx);
        drop(select.select());
    };
    let panic = catch_unwind(AssertUnwindSafe(drop_it)).unwrap_err();
    assert_eq!(text(panic), "dropped `SelectedOperation` without completing the operation");
    let wrong = || {
        let mut select = Select::new();
        select.recv(&rx);
        select.select().recv(&other_rx)
    };
    let panic = catch_unwind(AssertUnwindSafe(wrong)).unwrap_err();
    assert_eq!(text(panic), "passed a receiver that wasn't selected");
    assert_eq!(rx.try_recv(), Ok(1));
    let wrong = || {
        let mut select = Select::new();
        select.send(&tx);
        select.select().send(&other_tx, 5)
    };
    let panic = catch_unwind(AssertUnwindSafe(wrong)).unwrap_err();
    assert_eq!(text(panic), "passed a sender that wasn't selected");
    assert_eq!(tx.try_send(2), Ok(()), "the place was given back");
    let panic = catch_unwind(|| Select::new().select()).unwrap_err();
    assert_eq!(text(panic), "no operations have been added to `Select`");
    let panic = catch_unwind(AssertUnwindSafe(|| RecvArm::new(&rx).take())).unwrap_err();
    assert!(text(panic).contains("had not been chosen"));
}

#[test]
fn S16_opposing_selects_do_not_deadlock() {
    let channels: Vec<_> = (0..4).map(|_| bounded::<usize>(1)).collect();
    scope(|s| {
        for id in 0..4 {
            let channels = &channels;
            s.spawn(move || {
                for i in 0..5_000 {
                    let mut select = Select::new();
                    for k in 0..4 {
                        // Each thread in another order.
                        let k = if id % 2 == 0 { k } else { 3 - k };
                        if (i + k) % 2 == 0 {
                            select.recv(&channels[k].1)
                        } else {
                            select.send(&channels[k].0)
                        };
                    }
                    let _ = select.try_ready();
                }
            });
        }
    });
}

#[test]
fn biased_takes_the_first_ready() {
    let (tx, rx) = bounded(1);
    for _ in 0..100 {
        tx.send(()).unwrap();
        let (mut a, mut b) = (RecvArm::new(&rx), RecvArm::new(&rx));
        assert_eq!(run(&mut [&mut a, &mut b], true, Wait::Forever), Some(0));
        a.take().unwrap();
    }
    let mut select = Select::new_biased();
    let gone = select.send(&tx);
    let first = select.send(&tx);
    select.send(&tx);
    select.remove(gone);
    for _ in 0..100 {
        assert_eq!(select.ready(), first);
    }
}

#[test]
fn select_futures_are_send() {
    fn send<T: Send>(_: &T) {}
    let (tx, rx) = bounded::<std::cell::Cell<i32>>(1);
    send(&select_async(false, Wait::Forever, (RecvArm::new(&rx), (SendArm::new(&tx), ()))));
    send(&SendArm::new(&tx).finish_async(std::cell::Cell::new(1)));
}

#[test]
fn a_forgotten_select_harms_nobody() {
    let (tx, rx) = bounded::<i32>(0);
    let mut select = Box::pin(select_async(false, Wait::Forever, (RecvArm::new(&rx), ())));
    assert!(poll_once(select.as_mut()).is_pending());
    std::mem::forget(select);
    // Its node is still queued, in memory that is never reused.
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    drop(rx);
    assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
}

#[test]
fn spurious_polls_of_a_select_with_changing_wakers() {
    let (tx, rx) = bounded(0);
    let counters: Vec<_> = (0..3).map(|_| Arc::new(Wakes::default())).collect();
    let wakers: Vec<_> = counters.iter().map(|c| Waker::from(c.clone())).collect();
    let mut select = pin!(select_async(false, Wait::Forever, (RecvArm::new(&rx), (RecvArm::new(&rx), ()))));
    assert!(select.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
    assert!(select.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
    // Paired, and polled with yet another waker.
    let mut arm = SendArm::new(&tx);
    assert_eq!(run(&mut [&mut arm], false, Wait::Try), Some(0));
    assert!(select.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    arm.finish(1).unwrap();
    let wakes: Vec<_> = counters.iter().map(|c| c.0.load(SeqCst)).collect();
    assert_eq!(wakes, [0, 0, 1]);
    assert!(poll_once(select).is_ready());
}
