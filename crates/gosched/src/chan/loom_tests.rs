//! Models of the channel core under loom: every interleaving, up to a number of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p gosched --lib --release loom_`

use super::{Receiver, RecvError, TryRecvError, TrySendError, bounded};
use crate::select::__private::{RecvArm, SendArm, Wait, select_async};
use loom::future::block_on;
use loom::thread;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn loom_rendezvous_wakes_whoever_came_first() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let receiver = thread::spawn(move || block_on(rx.recv_async()));
        block_on(tx.send_async(1)).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(1));
    });
}

#[test]
fn loom_full_buffer_and_waiting_sender() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        tx.try_send(0).unwrap();
        let sender = thread::spawn(move || block_on(tx.send_async(1)));
        assert_eq!(block_on(rx.recv_async()), Ok(0));
        assert_eq!(block_on(rx.recv_async()), Ok(1));
        sender.join().unwrap().unwrap();
        assert_eq!(block_on(rx.recv_async()), Err(RecvError));
    });
}

#[test]
fn loom_close_releases_a_receiver() {
    loom::model(|| {
        let (tx, rx) = bounded::<u8>(0);
        let receiver = thread::spawn(move || block_on(rx.recv_async()));
        assert!(tx.close());
        assert_eq!(receiver.join().unwrap(), Err(RecvError));
    });
}

#[test]
fn loom_last_receiver_releases_a_sender_and_frees_once() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || block_on(tx.send_async(1)).is_err());
        drop(rx);
        assert!(sender.join().unwrap());
    });
}

#[test]
fn loom_c25_try_recv_never_says_empty_of_a_closed_or_filled_channel() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        tx.try_send(1).unwrap();
        let rx2 = rx.clone();
        let other = thread::spawn(move || rx2.try_recv());
        tx.close();
        let own = rx.try_recv();
        let other = other.join().unwrap();
        assert!(own == Ok(1) || own == Err(TryRecvError::Disconnected));
        assert!(other == Ok(1) || other == Err(TryRecvError::Disconnected));
        assert!(own != other);
    });
}

#[test]
fn loom_a_dropped_receive_returns_its_value() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || tx.try_send(1).is_ok());
        let received = {
            let mut future = pin!(rx.recv_async());
            poll_once(future.as_mut()) == Poll::Ready(Ok(1))
        };
        let sent = sender.join().unwrap();
        // Sent means: received, or still there after the receive was dropped.
        assert_eq!(sent, received || rx.try_recv() == Ok(1));
    });
}

#[test]
fn loom_a_dropped_send_is_taken_or_not() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let receiver = thread::spawn(move || rx.try_recv());
        let done = {
            let mut future = Box::pin(tx.send_async(1));
            // The receiver's end may be gone by now, which makes it ready with an error.
            let first = poll_once(future.as_mut());
            first == Poll::Ready(Ok(()))
                || first.is_pending() && poll_once(future.as_mut()) == Poll::Ready(Ok(()))
        };
        let got = receiver.join().unwrap();
        assert!(got == Ok(1) || !done);
    });
}

#[test]
fn loom_select_commits_exactly_one_of_two_senders() {
    loom::model(|| {
        let (a_tx, a_rx) = bounded(0);
        let (b_tx, b_rx) = bounded(0);
        // The senders stay: a closed channel would be a ready case.
        let a_tx2 = a_tx.clone();
        let a = thread::spawn(move || a_tx2.try_send(1).is_ok());
        let mut select =
            Box::pin(select_async(true, Wait::Forever, (RecvArm::new(&a_rx), (RecvArm::new(&b_rx), ()))));
        let first = poll_once(select.as_mut());
        let b = b_tx.try_send(2).is_ok();
        let a = a.join().unwrap();
        assert!(!(a && b), "one waiting select took two messages");
        let chosen = match first {
            Poll::Ready((chosen, _)) => chosen,
            Poll::Pending => match poll_once(select.as_mut()) {
                Poll::Ready((chosen, _)) => chosen,
                Poll::Pending => None,
            },
        };
        assert_eq!(
            chosen,
            if a {
                Some(0)
            } else if b {
                Some(1)
            } else {
                None
            }
        );
    });
}

#[test]
fn loom_opposing_selects_meet() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || {
            let (chosen, (arm, ())) = block_on(select_async(true, Wait::Forever, (SendArm::new(&tx), ())));
            assert_eq!(chosen, Some(0));
            block_on(arm.finish_async(7)).unwrap();
        });
        let (chosen, (arm, ())) = block_on(select_async(true, Wait::Forever, (RecvArm::new(&rx), ())));
        assert_eq!(chosen, Some(0));
        assert_eq!(arm.take(), Ok(7));
        sender.join().unwrap();
    });
}

#[test]
fn loom_waker_exchange_against_a_claim() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let tx2 = tx.clone();
        let sender = thread::spawn(move || tx2.try_send(1));
        let mut select = Box::pin(select_async(true, Wait::Forever, (RecvArm::new(&rx), ())));
        // The second poll exchanges the waker while the sender may be claiming.
        let mut end = poll_once(select.as_mut());
        if end.is_pending() {
            end = poll_once(select.as_mut());
        }
        let sent = sender.join().unwrap();
        if end.is_pending() {
            end = poll_once(select.as_mut());
        }
        match end {
            Poll::Ready((_, (arm, ()))) => {
                assert_eq!(sent, Ok(()));
                assert_eq!(arm.take(), Ok(1));
            }
            Poll::Pending => assert_eq!(sent, Err(TrySendError::Full(1))),
        }
    });
}

/// A timer that never fires unless it is set, and a time that has passed. (In a model no deadline ever comes.)
fn quiet_timer() -> (Receiver<Instant>, Instant) {
    (Receiver::timed(None, None), Instant::now())
}

#[test]
fn loom_t18_setting_a_timer_reaches_whoever_waits() {
    loom::model(|| {
        let (rx, past) = quiet_timer();
        let waits = rx.clone();
        let receiver = thread::spawn(move || block_on(waits.recv_async()));
        assert!(rx.set_timer(Some(past), None));
        assert_eq!(receiver.join().unwrap(), Ok(past));
        assert!(!rx.stop_timer());
    });
}

#[test]
fn loom_t18_setting_a_timer_reaches_a_select() {
    loom::model(|| {
        let (rx, past) = quiet_timer();
        let waits = rx.clone();
        let receiver = thread::spawn(move || {
            let (tx, quiet) = bounded::<u8>(0);
            let arms = (RecvArm::new(&quiet), (RecvArm::new(&waits), ()));
            let (index, (_, (arm, ()))) = block_on(select_async(false, Wait::Forever, arms));
            assert_eq!((index, arm.take()), (Some(1), Ok(past)));
            drop(tx);
        });
        rx.set_timer(Some(past), None);
        receiver.join().unwrap();
    });
}

#[test]
fn loom_t14_a_message_is_received_or_stopped_and_a_dropped_receive_takes_none() {
    loom::model(|| {
        let (rx, past) = quiet_timer();
        let waits = rx.clone();
        let receiver = thread::spawn(move || {
            let mut future = Box::pin(waits.recv_async());
            let first = poll_once(future.as_mut()).is_ready();
            first || poll_once(future.as_mut()).is_ready()
        });
        let before = rx.set_timer(Some(past), None);
        let stopped = rx.stop_timer();
        let received = receiver.join().unwrap();
        assert!(before && stopped != received);
    });
}
