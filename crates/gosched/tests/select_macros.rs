//! What `select!` means as a statement of the language, on the real engine: what is evaluated when, what order and
//! `break` mean, and that a select of one case is the plain operation. On threads and on goroutines alike.
//! (`gosched-macros/tests/select.rs` has the expansion itself, on a mock.)
#![allow(non_snake_case)]

mod common;

use common::wakers::{PANIC, Panics};
use common::{bounded, everywhere, one_worker};
use gosched::chan::{self, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError};
use gosched::{JoinHandle, Select, go, select, select_async, select_biased, wait, yield_now};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

/// On a plain thread, and in goroutines of every mode.
fn on_threads_and_goroutines(body: fn()) {
    bounded(body);
    everywhere(body);
}

#[test]
fn S01_operands_are_evaluated_once_in_order_also_by_a_select_that_waits() {
    on_threads_and_goroutines(|| {
        let log = RefCell::new(Vec::new());
        let note = |what| log.borrow_mut().push(what);
        let ((a, from_a), (b, from_b)) = (chan::bounded(0), chan::bounded::<i32>(0));
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(2));
            a.send(1).unwrap();
            from_b
        });
        select! {
            send({ note("b"); &b }, { note("message"); 2 }) -> _ => panic!("nobody receives"),
            recv({ note("nil"); None::<Receiver<i32>> }) -> _ => panic!("nothing comes from nil"),
            recv({ note("a"); &from_a }) -> n => assert_eq!(n, Ok(1)),
            send({ note("no"); None::<Sender<i32>> }, { note("no message"); 3 }) -> _ => panic!(),
            default({ note("time-out"); Duration::from_secs(3600) }) => panic!(),
        }
        assert_eq!(*log.borrow(), ["b", "nil", "a", "no", "time-out"], "and no message of a case that lost");
        drop(gosched::blocking(|| other.join().unwrap()));
    });
}

#[test]
fn S02_where_a_value_goes_is_evaluated_only_if_its_case_is_chosen() {
    on_threads_and_goroutines(|| {
        let ((a, from_a), (_b, from_b)) = (chan::bounded(1), chan::bounded::<i32>(1));
        let asked = Cell::new(0);
        let place = |at: &'static str| {
            asked.set(asked.get() + 1);
            at
        };
        let mut got = HashMap::new();
        for n in 0..10 {
            a.send(n).unwrap();
            select! {
                recv(from_a) -> value => { got.insert(place("a"), value); }
                recv(from_b) -> value => { got.insert(place("b"), value); }
            }
            assert_eq!(asked.get(), n + 1, "one place for one value");
            // None for a default, and none for a time-out.
            select! { recv(from_b) -> value => { got.insert(place("b"), value); } default => {} }
            assert_eq!((asked.get(), &got), (n + 1, &HashMap::from([("a", Ok(n))])));
        }
        let refused = Cell::new(0);
        select! {
            recv(from_b) -> value => { got.insert(place("b"), value); }
            send(a, 5) -> sent => refused.set(i32::from(sent.is_err())),
            default(Duration::from_millis(1)) => {}
        }
        assert_eq!((asked.get(), refused.get()), (10, 0));
    });
}

#[test]
fn S14_the_order_of_cases_means_nothing_and_priority_is_written_out() {
    const N: usize = 400;
    on_threads_and_goroutines(|| {
        let ((stop, stopped), (work, works)) = (chan::unbounded(), chan::unbounded());
        (0..2 * N).for_each(|n| work.send(n).unwrap());
        (0..N).for_each(|n| stop.send(n).unwrap());
        let first = (0..N).filter(|_| select! { recv(stopped) -> _ => true, recv(works) -> _ => false });
        let first = first.count();
        // Eight standard deviations: the case that is written first has no better chance.
        assert!(first.abs_diff(N / 2) < 80, "{first} of {N}");
        // Go's way to a priority: one select that looks at it alone, before another that looks at all.
        let go_on = || {
            select! {
                recv(stopped) -> _ => false,
                default => select! { recv(stopped) -> _ => false, recv(works) -> _ => true }
            }
        };
        while !stopped.is_empty() {
            assert!(!go_on());
        }
        assert!(go_on());
        // Ours.
        stop.send(1).unwrap();
        stop.send(2).unwrap();
        let biased = || select_biased! { recv(stopped) -> _ => false, recv(works) -> _ => true };
        assert_eq!([biased(), biased(), biased()], [false, false, true]);
        let mut select = Select::new_biased();
        assert_eq!((select.recv(&works), select.recv(&stopped)), (0, 1));
        stop.send(3).unwrap();
        assert_eq!((select.ready(), stopped.recv()), (0, Ok(3)));
    });
}

#[test]
fn S15_break_and_continue_belong_to_the_loop_around_and_a_label_leaves_the_select_only() {
    on_threads_and_goroutines(|| {
        let (tx, rx) = chan::unbounded();
        (0..10).for_each(|n| tx.send(n).unwrap());
        let mut odd = Vec::new();
        let four = loop {
            select! {
                recv(rx) -> n => match n.unwrap() {
                    4 => break 4,
                    n if n % 2 == 0 => continue,
                    n => odd.push(n),
                }
                default => unreachable!(),
            }
            odd.push(0);
        };
        assert_eq!((four, odd), (4, vec![1, 0, 3, 0]));
        // Go's `break` inside a select.
        let mut behind = 0;
        for n in 5..8 {
            'select: {
                select! { recv(rx) -> got => if got == Ok(6) { break 'select } else { assert_eq!(got, Ok(n)) } }
                behind += 1;
            }
        }
        assert_eq!(behind, 2);
        let (found, turns) = wait(async {
            let mut turns = 0;
            'outer: loop {
                for _ in 0..9 {
                    turns += 1;
                    select_async! {
                        recv(rx) -> n => match n {
                            Ok(9) => break 'outer (n, turns),
                            Ok(8) => break,
                            _ => continue,
                        }
                    }
                }
            }
        });
        assert_eq!((found, turns), (Ok(9), 2));
        fn first(rx: &Receiver<i32>) -> Result<i32, RecvError> {
            select! { recv(rx) -> n => return Ok(n? * 2), default => {} }
            Ok(0)
        }
        assert_eq!(first(&rx), Ok(0));
        tx.send(4).unwrap();
        assert_eq!(first(&rx), Ok(8));
        drop(tx);
        assert_eq!(first(&rx), Err(RecvError));
    });
}

/// A channel in one of the states that operations can tell apart, with whoever waits on its other side.
struct Case {
    tx: Sender<i32>,
    rx: Option<Receiver<i32>>,
    /// Ends with what it received, or got back.
    peer: Option<JoinHandle<Option<i32>>>,
}

/// Empty, with and without a buffer; half full, full; closed, drained and not; abandoned; and with each of four
/// peers.
const STATES: [(usize, i32); 11] =
    [(0, 0), (2, 0), (2, 1), (2, 2), (2, 0), (2, 1), (2, 1), (0, 0), (0, 0), (0, 0), (0, 0)];

fn in_state(state: usize) -> Case {
    let (cap, full) = STATES[state];
    let (tx, rx) = chan::bounded(cap);
    (0..full).for_each(|n| tx.send(n).unwrap());
    let (own_tx, own_rx) = (tx.clone(), rx.clone());
    let got_back = |sent: Result<(), SendError<i32>>| sent.err().map(SendError::into_inner);
    let peer = match state {
        4 | 5 => {
            assert!(tx.close());
            None
        }
        6 => return Case { tx, rx: None, peer: None },
        7 => Some(go(move || own_rx.recv().ok())),
        8 => Some(go(move || select! { recv(own_rx) -> n => n.ok() })),
        9 => Some(go(move || got_back(own_tx.send(8)))),
        10 => Some(go(move || select! { send(own_tx, 8) -> sent => got_back(sent) })),
        _ => None,
    };
    if peer.is_some() {
        let mut watch = Select::new();
        if state < 9 {
            watch.send(&tx)
        } else {
            watch.recv(&rx)
        };
        watch.ready();
    }
    Case { tx, rx: Some(rx), peer }
}

impl Case {
    /// Runs `f` and says what it returned, what became of the peer, and what is left in the channel.
    fn after<R>(self, f: impl FnOnce(&Sender<i32>, &Receiver<i32>) -> R) -> (R, Option<i32>, Vec<i32>) {
        // Of an abandoned channel there is no receiver; then it is another channel's turn.
        let result = f(&self.tx, self.rx.as_ref().unwrap_or(&chan::never()));
        self.tx.close();
        let peers = self.peer.and_then(|peer| peer.join().unwrap());
        (result, peers, self.rx.map_or_else(Vec::new, |rx| rx.try_iter().collect()))
    }
}

type Form<R> = fn(&Sender<i32>, &Receiver<i32>) -> R;

#[test]
fn S17_a_select_of_one_case_is_the_plain_operation() {
    everywhere(|| {
        for state in 0..STATES.len() {
            // With a default: the try forms.
            let plain = in_state(state).after(|_, rx| rx.try_recv());
            let selects: [Form<Result<i32, TryRecvError>>; 4] = [
                |_, rx| select! { recv(rx) -> n => n.map_err(Into::into), default => Err(TryRecvError::Empty) },
                |_, rx| {
                    select_biased! {
                        recv(rx) -> n => n.map_err(Into::into),
                        default(Duration::ZERO) => Err(TryRecvError::Empty),
                    }
                },
                |_, rx| {
                    wait(async {
                        select_async! {
                            recv(rx) -> n => n.map_err(Into::into),
                            default => Err(TryRecvError::Empty),
                        }
                    })
                },
                |_, rx| {
                    let mut select = Select::new();
                    select.recv(rx);
                    let chosen = select.try_select().map_err(|_| TryRecvError::Empty)?;
                    chosen.recv(rx).map_err(Into::into)
                },
            ];
            for (form, select) in selects.into_iter().enumerate() {
                assert_eq!(in_state(state).after(select), plain, "receive form {form} in state {state}");
            }
            let plain = in_state(state).after(|tx, _| tx.try_send(9));
            let refused = |sent: Result<(), SendError<i32>>| sent.map_err(TrySendError::from);
            let selects: [Form<Result<(), TrySendError<i32>>>; 3] = [
                |tx, _| {
                    select! {
                        send(tx, 9) -> sent => sent.map_err(Into::into),
                        default => Err(TrySendError::Full(9)),
                    }
                },
                |tx, _| {
                    wait(async {
                        select_async! {
                            send(tx, 9) -> sent => sent.map_err(Into::into),
                            default => Err(TrySendError::Full(9)),
                        }
                    })
                },
                |tx, _| {
                    let mut select = Select::new();
                    select.send(tx);
                    let chosen = select.try_select().map_err(|_| TrySendError::Full(9))?;
                    chosen.send(tx, 9).map_err(Into::into)
                },
            ];
            for (form, select) in selects.into_iter().enumerate() {
                assert_eq!(in_state(state).after(select), plain, "send form {form} in state {state}");
            }
            // Without one: the blocking forms, where they need not block.
            if plain.0 != Err(TrySendError::Full(9)) {
                let plain = in_state(state).after(|tx, _| refused(tx.send(9)));
                let select = in_state(state).after(|tx, _| select! { send(tx, 9) -> sent => refused(sent) });
                assert_eq!(select, plain, "blocking send in state {state}");
            }
            if in_state(state).after(|_, rx| rx.try_recv()).0 != Err(TryRecvError::Empty) {
                let plain = in_state(state).after(|_, rx| rx.recv());
                let select = in_state(state).after(|_, rx| select! { recv(rx) -> n => n });
                assert_eq!(select, plain, "blocking receive in state {state}");
            }
        }
        // And where they must.
        for waits in [true, false] {
            let (tx, rx) = chan::bounded(0);
            let own = rx.clone();
            let receives = go(move || {
                if waits {
                    select! { recv(own) -> n => n }
                } else {
                    own.recv()
                }
            });
            yield_now();
            if waits {
                tx.send(5).unwrap()
            } else {
                select! { send(tx, 5) -> sent => sent.unwrap() }
            }
            assert_eq!(receives.join().unwrap(), Ok(5));
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

#[test]
fn S03_ready_cases_are_chosen_alike_whatever_makes_them_ready() {
    const N: u32 = 5000;
    one_worker(|| {
        let ((tx, rx), (room, kept)) = (chan::bounded(1), chan::bounded(1));
        let (promises, promised) = chan::bounded(0);
        let (_, closed) = chan::bounded::<i32>(0);
        // Its message is made when it is chosen, so the other side has to wait for it.
        let peer = go(move || while select! { send(promises, 1) -> sent => sent.is_ok() } {});
        tx.send(1).unwrap();
        let mut hits = [0u32; 5];
        for _ in 0..N {
            // Until the peer waits.
            yield_now();
            let index = select! {
                recv(rx) -> n => { tx.send(n.unwrap()).unwrap(); 0 }
                recv(closed) -> n => { assert!(n.is_err()); 1 }
                recv(promised) -> n => { assert_eq!(n, Ok(1)); 2 }
                recv(chan::after(Duration::ZERO)) -> at => { at.unwrap(); 3 }
                send(room, 1) -> sent => { sent.unwrap(); kept.recv().unwrap(); 4 }
            };
            hits[index] += 1;
        }
        drop(promised);
        peer.join().unwrap();
        // Ten standard deviations of a binomial with p = 1/5.
        assert!(hits.iter().all(|hits| hits.abs_diff(N / 5) < 283), "{hits:?}");
    });
}

#[test]
fn S06_a_waker_that_panics_costs_no_message() {
    on_threads_and_goroutines(|| {
        let (tx, rx) = chan::bounded(1);
        let nothing = chan::bounded::<i32>(1);
        for waits in [false, true] {
            tx.send(1).unwrap();
            let mut second = pin!(tx.send_async(2));
            let waker = Waker::from(Arc::new(Panics));
            assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            // The place of the first message goes to the second, whose sender is told so.
            let receives = AssertUnwindSafe(|| {
                if waits {
                    select! { recv(rx) -> n => n, recv(nothing.1) -> n => n }
                } else {
                    select! { recv(rx) -> n => n, default => panic!("there is a message") }
                }
            });
            let payload = catch_unwind(receives).unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&PANIC));
            assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2)));
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

/// A select that receives from these channels of a list, by number.
macro_rules! one_of {
    ($list:ident: $($n:tt)*) => { select! { $(recv($list[$n].1) -> n => (n.unwrap(), $n),)* } };
}

#[test]
fn S19_a_select_may_have_more_cases_than_a_word_has_bits() {
    on_threads_and_goroutines(|| {
        let list: Vec<_> = (0..72).map(|_| chan::bounded(1)).collect();
        let ready = [0, 63, 64, 71];
        ready.iter().for_each(|n| list[*n].0.send(*n).unwrap());
        let mut got: Vec<_> = ready
            .iter()
            .map(|_| {
                let (value, index) = one_of! { list:
                    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35
                    36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67
                    68 69 70 71
                };
                assert_eq!(value, index);
                index
            })
            .collect();
        got.sort_unstable();
        assert_eq!(got, ready);
    });
}
