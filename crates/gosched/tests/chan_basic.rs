//! Channels: what one can see of them from outside, by the rows of FEATURES.md.

#![allow(non_snake_case)]

mod common;

use common::wakers::Wakes;
use common::{ms, poll_once, settle};
use gosched::chan::*;
use gosched::wait;
use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

#[test]
fn C01_capacities_and_impossible_ones() {
    assert_eq!(bounded::<u8>(0).0.capacity(), Some(0));
    assert_eq!(bounded::<u8>(7).1.capacity(), Some(7));
    assert_eq!(unbounded::<u8>().0.capacity(), None);
    assert_eq!(bounded::<()>(usize::MAX).0.capacity(), Some(usize::MAX));
    let panic = catch_unwind(|| bounded::<u64>(usize::MAX)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("no memory for a buffer of") && text.contains("8 bytes"), "{text}");
}

#[test]
fn C02_zero_sized_and_large_messages() {
    let (tx, rx) = bounded(2);
    tx.send(()).unwrap();
    tx.send(()).unwrap();
    assert_eq!(tx.try_send(()), Err(TrySendError::Full(())));
    assert_eq!(rx.len(), 2);
    assert_eq!(rx.recv(), Ok(()));
    let (tx, rx) = bounded(0);
    let big = [7u8; 20_000];
    scope(|s| {
        s.spawn(|| tx.send(big).unwrap());
        assert!(rx.recv().unwrap() == big);
    });
}

#[test]
fn C03_C05_never() {
    let rx = never::<u8>();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rx.recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
    assert_eq!((rx.len(), rx.capacity(), rx.is_empty(), rx.is_full()), (0, Some(0), true, true));
    assert!(!rx.is_closed());
    assert!(poll_once(pin!(rx.recv_async())).is_pending());
}

#[test]
fn C06_C07_send_on_closed_and_close_twice() {
    let (tx, rx) = bounded(3);
    let tx2 = tx.clone();
    tx.send(1).unwrap();
    assert!(!tx.is_closed() && !rx.is_closed());
    assert!(tx.close());
    assert!(!tx2.close());
    assert!(tx2.is_closed() && rx.is_closed());
    assert_eq!(tx.send(2), Err(SendError(2)));
    assert_eq!(tx2.try_send(3), Err(TrySendError::Disconnected(3)));
    assert_eq!(tx.send_timeout(4, ms(1)), Err(SendTimeoutError::Disconnected(4)));
    assert_eq!(wait(tx.send_async(5)), Err(SendError(5)));
    assert_eq!(rx.len(), 1, "nothing was delivered");
}

#[test]
fn C08_blocked_senders_get_their_messages_back() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        for i in 0..cap {
            tx.send(i).unwrap();
        }
        scope(|s| {
            let blocked: Vec<_> = (10..14)
                .map(|i| {
                    let tx = &tx;
                    s.spawn(move || tx.send(i))
                })
                .collect();
            settle();
            assert!(tx.close());
            for (i, handle) in blocked.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), Err(SendError(10 + i)));
            }
        });
        assert_eq!(rx.iter().count(), cap);
    }
}

#[test]
fn C08_dropping_the_last_receiver_releases_senders() {
    let (tx, rx) = bounded(0);
    scope(|s| {
        let one = s.spawn(|| tx.send(1));
        let two = s.spawn(|| tx.send_timeout(2, ms(5000)));
        settle();
        drop(rx);
        assert_eq!(one.join().unwrap(), Err(SendError(1)));
        assert_eq!(two.join().unwrap(), Err(SendTimeoutError::Disconnected(2)));
    });
    assert!(tx.is_closed());
}

#[test]
fn C09_receive_drains_then_fails_for_ever() {
    let (tx, rx) = unbounded();
    for i in 0..5 {
        tx.send(i).unwrap();
    }
    drop(tx);
    assert_eq!(rx.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for _ in 0..3 {
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(rx.recv_timeout(ms(1)), Err(RecvTimeoutError::Disconnected));
        assert_eq!(wait(rx.recv_async()), Err(RecvError));
    }
}

#[test]
fn C10_closing_releases_all_receivers() {
    // More than one batch of the releasing loop.
    const N: usize = 150;
    let (tx, rx) = bounded::<u8>(0);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut futures: Vec<_> = (0..N).map(|_| Box::pin(rx.recv_async())).collect();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(tx.close());
    assert_eq!(wakes.0.load(SeqCst), N);
    for future in &mut futures {
        assert_eq!(poll_once(future.as_mut()), Poll::Ready(Err(RecvError)));
    }
}

#[test]
fn C12_the_channel_need_not_be_closed_to_be_freed() {
    let value = Arc::new(());
    let (tx, rx) = bounded(2);
    tx.send(value.clone()).unwrap();
    drop(rx);
    // With the last receiver what is buffered goes too.
    assert_eq!(Arc::strong_count(&value), 1);
    drop(tx);
    let (tx, rx) = bounded(2);
    tx.send(value.clone()).unwrap();
    drop(tx);
    drop(rx);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn C16_len_counts_what_is_queued_only() {
    let (tx, rx) = bounded(2);
    tx.send(0).unwrap();
    assert_eq!((rx.len(), tx.len(), tx.is_full(), rx.is_full()), (1, 1, false, false));
    tx.send(1).unwrap();
    let mut blocked = pin!(tx.send_async(2));
    assert!(poll_once(blocked.as_mut()).is_pending());
    assert_eq!((rx.len(), tx.len(), tx.is_full(), rx.is_full()), (2, 2, true, true));
    assert!(!rx.is_empty());
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(rx.len(), 2);
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Ok(2)));
    assert!(rx.is_empty() && tx.is_empty());
}

#[test]
fn C17_C27_fifo_per_sender_and_no_loss() {
    const SENDERS: usize = 4;
    const EACH: usize = 5_000;
    for cap in [Some(0), Some(1), Some(16), None] {
        let (tx, rx) = cap.map_or_else(unbounded, bounded);
        let seen: Vec<Vec<(usize, usize)>> = scope(|s| {
            for id in 0..SENDERS {
                let tx = tx.clone();
                s.spawn(move || (0..EACH).for_each(|i| tx.send((id, i)).unwrap()));
            }
            drop(tx);
            let handles: Vec<_> = (0..3).map(|_| s.spawn(|| rx.iter().collect::<Vec<_>>())).collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        for list in &seen {
            for id in 0..SENDERS {
                let own: Vec<_> = list.iter().filter(|(s, _)| *s == id).map(|(_, i)| *i).collect();
                assert!(own.is_sorted(), "one sender's messages out of order");
            }
        }
        let all: HashSet<_> = seen.iter().flatten().collect();
        assert_eq!(all.len(), SENDERS * EACH);
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), SENDERS * EACH);
    }
}

#[test]
fn C18_waiters_are_served_first_come_first_served() {
    let (tx, rx) = bounded(0);
    let mut receivers: Vec<_> = (0..10).map(|_| Box::pin(rx.recv_async())).collect();
    for future in &mut receivers {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    for i in 0..10 {
        tx.try_send(i).unwrap();
    }
    for (i, future) in receivers.iter_mut().enumerate() {
        assert_eq!(poll_once(future.as_mut()), Poll::Ready(Ok(i)));
    }
    let mut senders: Vec<_> = (0..10).map(|i| Box::pin(tx.send_async(i))).collect();
    for future in &mut senders {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    for i in 0..10 {
        assert_eq!(rx.try_recv(), Ok(i));
    }
    for future in &mut senders {
        assert_eq!(poll_once(future.as_mut()), Poll::Ready(Ok(())));
    }
}

#[test]
fn C19_a_send_bypasses_the_buffer() {
    let (tx, rx) = bounded(4);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut future = pin!(rx.recv_async());
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    tx.send(1).unwrap();
    assert_eq!(tx.len(), 0);
    assert_eq!(wakes.0.load(SeqCst), 1);
    // What comes later does not overtake it.
    tx.send(2).unwrap();
    assert_eq!(tx.len(), 1);
    assert_eq!(poll_once(future), Poll::Ready(Ok(1)));
}

#[test]
fn C20_full_buffer_takes_first_waiting_sender() {
    let (tx, rx) = bounded(2);
    tx.send(0).unwrap();
    tx.send(1).unwrap();
    let mut first = pin!(tx.send_async(2));
    let mut second = pin!(tx.send_async(3));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(rx.len(), 2, "the first waiting sender's message is at the tail");
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "no newcomer gets in between");
    assert_eq!(poll_once(first), Poll::Ready(Ok(())));
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(poll_once(second), Poll::Ready(Ok(())));
}

#[test]
fn C22_M04_rendezvous_returns_after_the_receiver_has_taken_it() {
    let (tx, rx) = bounded(0);
    let taking = AtomicBool::new(false);
    scope(|s| {
        s.spawn(|| {
            settle();
            taking.store(true, SeqCst);
            rx.recv().unwrap();
        });
        tx.send(()).unwrap();
        assert!(taking.load(SeqCst));
    });
}

#[test]
fn C25_try_recv_never_says_empty_of_a_closed_or_filled_channel() {
    for _ in 0..3_000 {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        let rx2 = rx.clone();
        let other = spawn(move || rx2.try_recv());
        assert!(tx.close());
        let own = rx.try_recv();
        let other = other.join().unwrap();
        // One gets the message, the other learns that the channel is closed.
        assert!(
            matches!(
                (own, other),
                (Ok(1), Err(TryRecvError::Disconnected)) | (Err(TryRecvError::Disconnected), Ok(1))
            ),
            "{own:?} {other:?}"
        );
    }
}

#[test]
fn C28_channels_are_first_class() {
    let (tx, rx) = unbounded::<(Sender<i32>, Receiver<i32>)>();
    let (a, b) = bounded(1);
    tx.send((a.clone(), b.clone())).unwrap();
    let (a2, b2) = rx.recv().unwrap();
    assert!(a.same_channel(&a2) && b.same_channel(&b2));
    assert!(!a.same_channel(&bounded(1).0));
    a2.send(5).unwrap();
    assert_eq!(b.recv(), Ok(5));
}

#[test]
fn C29_cancelled_waiters_leave_in_constant_time() {
    const N: usize = 100_000;
    let (_tx, rx) = bounded::<u8>(0);
    let mut futures: Vec<_> = (0..N).map(|_| Box::pin(rx.recv_async())).collect();
    for future in &mut futures {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    let start = Instant::now();
    // From both ends and from the middle.
    let mut order: Vec<_> = futures.into_iter().collect();
    while let Some(future) = order.pop() {
        drop(future);
        if order.len() > 2 {
            let at = order.len() / 2;
            drop(order.swap_remove(at));
        }
    }
    assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
}

#[test]
fn M01_a_handed_over_value_of_a_dropped_receive_is_not_lost() {
    // To the next waiter.
    let (tx, rx) = bounded(0);
    let mut first = Box::pin(rx.recv_async());
    let mut second = Box::pin(rx.recv_async());
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    tx.try_send(1).unwrap();
    drop(first);
    assert_eq!(poll_once(second.as_mut()), Poll::Ready(Ok(1)));
    // To the channel, without a buffer too.
    let mut third = Box::pin(rx.recv_async());
    assert!(poll_once(third.as_mut()).is_pending());
    tx.try_send(2).unwrap();
    drop(third);
    assert_eq!((rx.len(), rx.is_empty()), (1, false));
    assert!(tx.close());
    assert_eq!(rx.recv(), Ok(2));
    assert_eq!(rx.recv(), Err(RecvError));
    // Ahead of what is buffered.
    let (tx, rx) = bounded(1);
    let mut future = Box::pin(rx.recv_async());
    assert!(poll_once(future.as_mut()).is_pending());
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    drop(future);
    assert_eq!(rx.len(), 2);
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn dropped_send_futures_drop_their_message_or_leave_it_taken() {
    let value = Arc::new(());
    let (tx, rx) = bounded(0);
    let mut future = Box::pin(tx.send_async(value.clone()));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    assert_eq!(Arc::strong_count(&value), 1);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let mut future = Box::pin(tx.send_async(value.clone()));
    assert!(poll_once(future.as_mut()).is_pending());
    let taken = rx.try_recv().unwrap();
    drop(future);
    assert_eq!(Arc::strong_count(&taken), 2);
}

#[test]
fn spurious_polls_with_changing_wakers() {
    let (tx, rx) = bounded(0);
    let (old, new) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let (old_waker, new_waker) = (Waker::from(old.clone()), Waker::from(new.clone()));
    let mut future = pin!(rx.recv_async());
    assert!(future.as_mut().poll(&mut Context::from_waker(&old_waker)).is_pending());
    assert!(future.as_mut().poll(&mut Context::from_waker(&new_waker)).is_pending());
    tx.try_send(1).unwrap();
    assert_eq!((old.0.load(SeqCst), new.0.load(SeqCst)), (0, 1));
    assert_eq!(poll_once(future), Poll::Ready(Ok(1)));
    let mut future = pin!(tx.send_async(2));
    assert!(future.as_mut().poll(&mut Context::from_waker(&old_waker)).is_pending());
    assert!(future.as_mut().poll(&mut Context::from_waker(&new_waker)).is_pending());
    assert_eq!(rx.try_recv(), Ok(2));
    assert_eq!((old.0.load(SeqCst), new.0.load(SeqCst)), (0, 2));
    assert_eq!(poll_once(future), Poll::Ready(Ok(())));
}

#[test]
fn time_outs() {
    let (tx, rx) = bounded(0);
    let start = Instant::now();
    assert_eq!(rx.recv_timeout(ms(20)), Err(RecvTimeoutError::Timeout));
    assert_eq!(tx.send_timeout(1, ms(20)), Err(SendTimeoutError::Timeout(1)));
    assert!(start.elapsed() >= ms(40));
    // A deadline in the past still tries once.
    let (tx, rx) = bounded(1);
    assert_eq!(tx.send_deadline(1, start), Ok(()));
    assert_eq!(tx.send_deadline(2, start), Err(SendTimeoutError::Timeout(2)));
    assert_eq!(rx.recv_deadline(start), Ok(1));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    // No overflow.
    tx.send_timeout(3, Duration::MAX).unwrap();
    assert_eq!(rx.recv_timeout(Duration::MAX), Ok(3));
}

#[test]
fn time_outs_against_deliveries_lose_nothing() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        let end = Instant::now() + ms(400);
        let (sent, received) = scope(|s| {
            let sender = s.spawn(move || {
                let mut sent = 0u64;
                while Instant::now() < end {
                    if tx.send_timeout(sent, Duration::from_micros(sent % 7)).is_ok() {
                        sent += 1;
                    }
                }
                sent
            });
            let receiver = s.spawn(move || {
                let mut received = 0u64;
                loop {
                    match rx.recv_timeout(Duration::from_micros(received % 5)) {
                        Ok(value) => {
                            assert_eq!(value, received);
                            received += 1;
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return received,
                    }
                }
            });
            (sender.join().unwrap(), receiver.join().unwrap())
        });
        assert_eq!(sent, received);
        assert!(sent > 0);
    }
}

#[test]
fn storm_of_cancelled_receives_loses_nothing() {
    const N: usize = 20_000;
    let (tx, rx) = bounded(0);
    let mut got: Vec<usize> = scope(|s| {
        s.spawn(move || (0..N).for_each(|i| tx.send(i).unwrap()));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let rx = rx.clone();
                s.spawn(move || {
                    let mut got = Vec::new();
                    loop {
                        // Drop a receive that may have been handed a value.
                        {
                            let mut future = pin!(rx.recv_async());
                            match poll_once(future.as_mut()) {
                                Poll::Ready(Ok(value)) => got.push(value),
                                Poll::Ready(Err(_)) => return got,
                                Poll::Pending => std::hint::spin_loop(),
                            }
                        }
                        match rx.recv() {
                            Ok(value) => got.push(value),
                            Err(_) => return got,
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    got.extend(rx.try_iter());
    got.sort_unstable();
    assert!(got.into_iter().eq(0..N));
}

#[test]
fn destructors_may_use_the_channel() {
    struct Noisy(Option<Sender<Noisy>>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            if let Some(tx) = self.0.take() {
                // Under the lock this would never return.
                let _ = tx.try_send(Noisy(None));
                assert_eq!(tx.len(), 0);
            }
        }
    }
    let (tx, rx) = bounded(4);
    tx.send(Noisy(Some(tx.clone()))).unwrap();
    drop(rx);
    let (tx, rx) = bounded(0);
    let mut future = Box::pin(rx.recv_async());
    assert!(poll_once(future.as_mut()).is_pending());
    assert!(tx.try_send(Noisy(Some(tx.clone()))).is_ok());
    drop(future);
    drop(rx);
}

#[test]
fn a_panicking_destructor_still_frees_the_channel() {
    struct Bomb(#[allow(dead_code)] Arc<()>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }
    let witness = Arc::new(());
    let (tx, rx) = unbounded();
    tx.send(Bomb(witness.clone())).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(rx))).is_err());
    assert!(tx.is_closed());
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn wakers_may_use_the_channel() {
    struct Nosy(Sender<i32>);
    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            // Under the lock this would never return.
            let _ = self.0.try_send(7);
        }
    }
    let (tx, rx) = bounded(4);
    let waker = Waker::from(Arc::new(Nosy(tx.clone())));
    let mut future = pin!(rx.recv_async());
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    tx.send(1).unwrap();
    assert_eq!(poll_once(future), Poll::Ready(Ok(1)));
    assert_eq!(rx.try_recv(), Ok(7));
}

#[test]
fn streams_and_sinks() {
    use futures_core::{FusedStream, Stream as _};
    use futures_sink::Sink as _;
    let (tx, rx) = bounded(1);
    let mut sink = tx.into_sink();
    let mut stream = rx.clone().into_stream();
    let cx = &mut Context::from_waker(Waker::noop());
    let (mut sink, mut stream) = (Pin::new(&mut sink), Pin::new(&mut stream));
    assert!(stream.as_mut().poll_next(cx).is_pending());
    sink.as_mut().start_send(1).unwrap(); // to the waiting stream
    sink.as_mut().start_send(2).unwrap(); // into the buffer
    sink.as_mut().start_send(3).unwrap(); // kept by the sink
    assert!(sink.as_mut().poll_ready(cx).is_pending());
    assert!(sink.as_mut().poll_close(cx).is_pending());
    assert_eq!(stream.as_mut().poll_next(cx), Poll::Ready(Some(1)));
    assert_eq!(stream.as_mut().poll_next(cx), Poll::Ready(Some(2)));
    assert_eq!(sink.as_mut().poll_flush(cx), Poll::Ready(Ok(())));
    assert_eq!(sink.as_mut().poll_close(cx), Poll::Ready(Ok(())));
    assert_eq!(sink.as_mut().start_send(4), Err(SendError(4)));
    assert_eq!(Pin::new(&mut rx.stream()).poll_next(cx), Poll::Ready(Some(3)));
    assert!(!stream.is_terminated());
    assert_eq!(stream.as_mut().poll_next(cx), Poll::Ready(None));
    assert!(stream.is_terminated());
}

#[test]
fn C31_S20_timer_channels() {
    let rx = after(ms(20));
    assert_eq!((rx.len(), rx.capacity(), rx.is_full()), (0, Some(1), false));
    let copy = rx.clone();
    assert!(rx.same_channel(&copy));
    rx.recv().unwrap();
    assert_eq!(copy.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(copy.recv_timeout(ms(5)), Err(RecvTimeoutError::Timeout));
    let start = Instant::now();
    let ticks = tick(ms(10));
    for _ in 0..3 {
        ticks.recv().unwrap();
    }
    assert!(start.elapsed() >= ms(30));
    sleep(ms(50));
    assert_eq!(ticks.len(), 1, "at most one waits");
    assert!(ticks.try_recv().is_ok());
    let start = Instant::now();
    wait(after(ms(10)).recv_async()).unwrap();
    wait(tick(ms(10)).recv_async()).unwrap();
    assert!(start.elapsed() >= ms(20));
    assert_eq!(tick(Duration::MAX).try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn markers() {
    fn all<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    fn send<T: Send>(_: T) {}
    all::<Sender<std::cell::Cell<i32>>>();
    all::<Receiver<std::cell::Cell<i32>>>();
    let (tx, rx) = bounded(1);
    send(tx.send_async(1));
    send(rx.recv_async());
    send(rx.stream());
    send(rx.clone().into_stream());
    send(tx.clone().into_sink());
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { .. } Receiver { .. }");
    assert_eq!(
        format!("{:?} {}", SendError(1), SendError(1)),
        "SendError(..) sending on a disconnected channel"
    );
}
