//! What the expansion of the select macros promises, on a mock of the library's engine: order and
//! number of evaluations, whose control flow it is, when borrows end, what type the whole has.

#![deny(warnings)]
#![forbid(unsafe_code)]
#![allow(non_snake_case)]
#![allow(
    clippy::match_single_binding,
    clippy::never_loop,
    clippy::redundant_closure_call,
    clippy::unnecessary_cast,
    reason = "the shapes under test"
)]

mod mock;

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mock::{Receiver, RecvError, SendError, Sender, bounded};
// The expansion says `$crate::__select`, and this test binary is that crate.
mod __select {
    pub(crate) use super::mock::select::__private::*;
}

fn full() -> (Sender<i32>, Receiver<i32>) {
    let (tx, rx) = bounded(1);
    tx.send(7);
    (tx, rx)
}

fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the mock never waits"),
    }
}

#[test]
fn S01_operands_then_timeout_are_evaluated_once_in_order() {
    let log = RefCell::new(Vec::new());
    let (tx, rx) = bounded::<i32>(0);
    let note = |name: &'static str| log.borrow_mut().push(name);
    select! {
        recv({ note("first"); &rx }) -> _ => unreachable!(),
        send({ note("second"); &tx }, { note("message"); 1 }) -> _ => unreachable!(),
        recv({ note("third"); None::<Receiver<i32>> }) -> _ => unreachable!(),
        default({ note("timeout"); Duration::ZERO }) => note("default"),
    }
    assert_eq!(*log.borrow(), ["first", "second", "third", "timeout", "default"]);
}

#[test]
fn S01_only_the_chosen_message_is_evaluated_and_once() {
    let (tx1, rx1) = bounded(1);
    let (tx2, rx2) = full();
    let count = Cell::new(0);
    let message = || count.replace(count.get() + 1);
    select! {
        send(tx2, message() + 100) -> _ => unreachable!(),
        send(tx1, message()) -> result => assert_eq!(result, Ok(())),
    }
    assert_eq!((count.get(), rx1.try_recv(), rx2.try_recv()), (1, Some(0), Some(7)));
}

#[test]
fn S03_the_biased_macro_asks_for_bias() {
    let (_t1, rx1) = full();
    let (_t2, rx2) = full();
    let fair = select! { recv(rx1) -> _ => 1, recv(rx2) -> _ => 2 };
    let (_t2, rx2) = full();
    let biased = select_biased! { recv(rx1) -> _ => 1, recv(rx2) -> _ => 2 };
    assert_eq!((fair, biased), (2, 1));
}

#[test]
fn S10_none_operands_are_never_ready() {
    let (tx, rx) = full();
    let (mut no_tx, mut no_rx) = (Some(tx.clone()), Some(&rx));
    drop((no_tx.take(), no_rx.take()));
    let hit = select! {
        recv(no_rx) -> _ => "recv",
        send(no_tx, 1) -> _ => "send",
        default => "default",
    };
    assert_eq!(hit, "default");
    let some = Some(rx);
    select! { recv(some) -> value => assert_eq!(value, Ok(7)) }
    select! { recv(some.as_ref()) -> _ => unreachable!(), default => {} }
}

#[test]
fn every_syntax_crossbeam_accepts() {
    let (tx, rx) = bounded::<i32>(9);
    select! { send(tx, 0) -> _ => {} }
    select! { send(tx, 0,) -> _ => {}, }
    select! { recv(rx,) -> _ => (), }
    select! { recv(rx) -> _ => () }
    select! { default => {} }
    select! { default() => {} }
    select! { default => (), }
    select! { default(Duration::ZERO,) => () }
    select! {
        recv(rx) -> Ok(_) | Err(_) => {}
        send(tx, 1) -> res => { res.unwrap() }
        default(Duration::ZERO) => {}
    }
    select! {
        send(&&&&tx, 0) -> _ => {}
        recv(&&&&rx) -> _ => {}
    }
    let number = select! {
        recv(rx) -> _ => if rx.len() > 100 { 1 } else { 2 }
        send(tx, 1) -> _ => match 7 { _ => 3 },
        default => { 4 } as u8,
    };
    assert_eq!(number, 3);
    let _: String = select! {
        recv(rx) -> _ => "a".into(),
        default => "b".to_owned()
    };
    select! { recv(rx) -> _ => {}, recv(rx) -> _ => { select! { default => {} } } default => {} }
}

#[test]
fn operands_are_found_behind_deref() {
    struct Wrapped<T>(T);
    impl<T> Deref for Wrapped<T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }
    let (tx, rx) = bounded::<i32>(1);
    let (tx, rx) = (Wrapped(tx), Box::new(Wrapped(RefCell::new(rx))));
    select! { send(tx, 5) -> _ => {}, recv(rx.borrow()) -> _ => unreachable!() }
    select! { recv(rx.borrow()) -> value => assert_eq!(value, Ok(5)) }
    fn generic<R: Deref<Target = Receiver<i32>>>(rx: R) -> bool {
        select! { recv(rx) -> _ => true, default => false }
    }
    assert!(!generic(Wrapped(bounded(1).1)));
}

#[test]
fn temporaries_are_operands_too() {
    fn after() -> Receiver<i32> {
        full().1
    }
    let (tx, rx) = full();
    select! { recv(after()) -> value => assert_eq!(value, Ok(7)) }
    select! {
        recv((move || rx)()) -> _ => {}
        send((move || tx)(), 0) -> _ => unreachable!(),
    }
    // The last expression of a function: the temporaries die before the locals they borrow.
    fn last() -> bool {
        let lock = Mutex::new(full().1);
        select! { recv(lock.lock().unwrap()) -> value => value.is_ok(), default => false }
    }
    assert!(last());
}

#[test]
fn control_flow_is_the_users_own() {
    let (tx, rx) = bounded(1);
    let mut rounds = 0;
    let broke = loop {
        rounds += 1;
        select! {
            recv(rx) -> _ => break "body",
            send(tx, if rounds < 3 { continue } else { rounds }) -> _ => continue,
        }
    };
    assert_eq!((broke, rounds, tx.returned()), ("body", 4, 2));

    let (tx, _rx) = bounded::<i32>(1);
    'outer: loop {
        loop {
            select! { send(tx, break 'outer) -> _ => {} }
        }
    }
    assert_eq!(tx.returned(), 1);

    fn question(rx: &Receiver<i32>, tx: &Sender<i32>) -> Result<i32, RecvError> {
        select! {
            recv(rx) -> value => Ok(value? + 1),
            send(tx, return Err(RecvError)) -> _ => unreachable!(),
        }
    }
    let (tx, rx) = bounded(1);
    assert_eq!((question(&rx, &tx), tx.returned()), (Err(RecvError), 1));
    tx.send(1);
    assert_eq!(question(&rx, &tx), Ok(2));
}

#[test]
fn a_break_leaves_the_other_arms_alone() {
    let (tx1, _rx1) = bounded::<()>(1);
    let (tx2, _rx2) = bounded::<()>(1);
    loop {
        select! { send(tx1, ()) -> _ => {}, send(tx2, break) -> _ => {} }
    }
    assert_eq!((tx1.returned(), tx2.returned()), (0, 1));
}

#[test]
fn a_panic_in_the_message_drops_the_arm() {
    let (tx, rx) = bounded::<i32>(1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        select! { send(tx, std::panic::resume_unwind(Box::new(1))) -> _ => {} }
    }));
    assert!(caught.is_err());
    assert_eq!((tx.returned(), rx.len()), (1, 0));
}

#[test]
fn borrows_have_ended_when_a_body_runs() {
    let (tx, rx) = full();
    let (mut rx, mut tx) = (Some(rx), Some(tx));
    select! {
        recv(rx) -> _ => { rx = None; tx = None; }
        send(tx, 1) -> _ => { tx = None; rx = None; }
        default => { rx.take(); tx.take(); }
    }
    assert!(rx.is_none() && tx.is_none());
    let (tx, rx) = full();
    select! { recv(rx) -> _ => drop((tx, rx)), send(tx, 1) -> _ => drop((rx, tx)) }
}

#[test]
fn a_message_may_use_what_another_body_uses() {
    let (tx, _rx) = full();
    let job = Box::new(3);
    let kept = select! {
        send(tx, { drop(job); 1 }) -> _ => None,
        default => Some(job),
    };
    assert_eq!(kept, Some(Box::new(3)));
    let once = String::new();
    let (tx, rx) = bounded(1);
    select! { send(tx, once) -> _ => {}, recv(rx) -> _ => drop(once), default => drop(once) }
}

#[test]
fn messages_are_coerced_to_the_channels_type() {
    let (tx, rx) = bounded::<Box<dyn Fn(&str) -> usize>>(1);
    select! { send(tx, Box::new(|text| text.len())) -> _ => {} }
    assert_eq!(rx.try_recv().unwrap()("four"), 4);
}

#[test]
fn results_have_the_documented_types() {
    let (tx, rx) = bounded::<i32>(1);
    select! { send(tx, 0) -> res => { let _: Result<(), SendError<i32>> = res; } }
    select! { recv(rx) -> res => { let _: Result<i32, RecvError> = res; } }
    // A value of the body's own temporaries, which borrow the result.
    let (tx, rx) = bounded(1);
    tx.send(Mutex::new(5));
    let five = select! { recv(rx) -> lock => *lock.unwrap().lock().unwrap() };
    assert_eq!(five, 5);
}

#[test]
fn names_do_not_meet() {
    let (tx, rx) = bounded(9);
    let (arm0, wait, chosen, result) = (1, 2, 3, 4);
    select! { send(tx, arm0 + wait + chosen + result) -> _ => {}, recv(None::<&Receiver<()>>) -> _ => {} }
    select! { recv(rx) -> rx => assert_eq!((rx, arm0, wait, chosen, result), (Ok(10), 1, 2, 3, 4)) }
    macro_rules! wrapped {
        ($rx:expr, $var:ident, $body:expr) => {
            select! { recv($rx) -> $var => $body, default => -1 }
        };
    }
    tx.send(4);
    assert_eq!(wrapped!(&rx, x, x.unwrap() * 2), 8);
    assert_eq!(wrapped!(&rx, x, x.unwrap() * 2), -1);
}

#[test]
fn no_cases_never_end() {
    fn diverges() -> i32 {
        select! {}
    }
    // The mock panics where the engine would wait.
    assert!(std::panic::catch_unwind(diverges).is_err());
}

#[test]
fn async_has_the_same_rules() {
    let (tx, rx) = bounded(1);
    let next = async || 3;
    block_on(async {
        for round in 0..3 {
            select_async! {
                recv(rx) -> value => assert_eq!((round, value, next().await), (1, Ok(3), 3)),
                send(tx, if round == 2 { break } else { next().await }) -> res => res.unwrap(),
            }
        }
        select_async! { recv(rx) -> _ => unreachable!(), default => {} }
        select_async! { default(Duration::ZERO) => {} }
    });
    assert_eq!((tx.returned(), rx.len()), (1, 0));
    let mut slot = Some(rx);
    block_on(async {
        select_async! { recv(slot) -> _ => {}, default => slot = None }
    });
    assert!(slot.is_none());
}
