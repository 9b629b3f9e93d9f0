//! Models of the lean way of goroutines: `Spot::park_until`. How they run is said in `loom_tests.rs`.

use super::{Receiver, RecvError, Sender, bounded};
use crate::select::__private::{RecvArm, SendArm, Wait, run};
use loom::thread;

/// Two channels, the one with the lower address first: selects lock in that order, and a model must do the same thing
/// each time.
fn two_channels() -> [(Sender<u8>, Receiver<u8>); 2] {
    let mut channels = [bounded(0), bounded(0)];
    channels.sort_by_key(|(tx, _)| std::ptr::from_ref(tx.chan()).addr());
    channels
}

#[test]
fn loom_a_goroutines_send_and_receive_meet() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let receiver = thread::spawn(move || rx.recv());
        tx.send(1).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(1));
    });
}

#[test]
fn loom_a_goroutines_send_waits_for_a_place() {
    loom::model(|| {
        let (tx, rx) = bounded(1);
        tx.try_send(0).unwrap();
        let sender = thread::spawn(move || tx.send(1));
        assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Ok(0), Ok(1), Err(RecvError)));
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn loom_closing_releases_goroutines_on_either_side() {
    loom::model(|| {
        let (tx, rx) = bounded::<u8>(0);
        let receiver = thread::spawn(move || rx.recv());
        drop(tx);
        assert_eq!(receiver.join().unwrap(), Err(RecvError));
    });
    loom::model(|| {
        let (tx, rx) = bounded::<u8>(0);
        let sender = thread::spawn(move || tx.send(1).is_err());
        drop(rx);
        assert!(sender.join().unwrap());
    });
}

#[test]
fn loom_a_goroutines_receive_waits_for_the_message_of_a_chosen_case() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let receiver = thread::spawn(move || rx.recv());
        let mut arm = SendArm::new(&tx);
        assert_eq!(run(&mut [&mut arm], true, Wait::Forever), Some(0));
        arm.finish(7).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(7));
    });
}

#[test]
fn loom_a_goroutines_receive_outlives_a_chosen_case_that_gives_up() {
    loom::model(|| {
        let (tx, rx) = bounded(0);
        let receiver = thread::spawn(move || rx.recv());
        let mut arm = SendArm::new(&tx);
        assert_eq!(run(&mut [&mut arm], true, Wait::Forever), Some(0));
        drop(arm);
        tx.send(8).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(8));
    });
}

#[test]
fn loom_a_goroutines_select_takes_one_of_two_messages() {
    loom::model(|| {
        let [(a_tx, a_rx), (b_tx, b_rx)] = two_channels();
        let selects = thread::spawn(move || {
            let (mut a, mut b) = (RecvArm::new(&a_rx), RecvArm::new(&b_rx));
            match run(&mut [&mut a, &mut b], true, Wait::Forever) {
                Some(0) => a.take(),
                _ => b.take(),
            }
        });
        let sent = thread::spawn(move || (a_tx.try_send(1).is_ok(), a_tx));
        let b = b_tx.send(2);
        let (a, _a_tx) = sent.join().unwrap();
        let got = selects.join().unwrap();
        // Either the second one was taken, or the first one was and the receivers went.
        assert_eq!((a, b.is_ok(), got), if a { (true, false, Ok(1)) } else { (false, true, Ok(2)) });
    });
}

#[test]
fn loom_goroutines_selects_that_oppose_each_other_meet() {
    loom::model(|| {
        let [(a_tx, a_rx), (b_tx, b_rx)] = two_channels();
        let (a_tx2, b_rx2) = (a_tx.clone(), b_rx.clone());
        // One sends on a or receives from b, the other one receives from a or sends on b.
        let other = thread::spawn(move || {
            let (mut sends, mut receives) = (SendArm::new(&a_tx2), RecvArm::new(&b_rx2));
            match run(&mut [&mut sends, &mut receives], true, Wait::Forever) {
                Some(0) => (sends.finish(1).unwrap(), 1).1,
                _ => receives.take().unwrap(),
            }
        });
        let (mut receives, mut sends) = (RecvArm::new(&a_rx), SendArm::new(&b_tx));
        let own = match run(&mut [&mut receives, &mut sends], true, Wait::Forever) {
            Some(0) => receives.take().unwrap(),
            _ => (sends.finish(2).unwrap(), 2).1,
        };
        assert_eq!(other.join().unwrap(), own);
        drop(a_tx);
    });
}
