//! Rules about waiting that only the inside shows: who waits, in which order, and what a look without the lock
//! sees.
//!
//! Waiters of every kind stand in one queue here, since each has a way of its own to get there: a goroutine
//! parks without polling a future, unless it is inside one's poll or has a deadline; a thread and an async task
//! poll one.

use super::state::State;
use super::{Receiver, Sender, TryRecvError, TrySendError, bounded, unbounded};
use crate::runtime::Runtime;
use crate::select::Select;
use crate::{JoinHandle, go, go_async, scope, select, select_async, select_biased, wait, yield_now};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3600);

/// Runs `body` in runtimes of one and of two workers.
fn on_workers(body: fn()) {
    for workers in [1, 2] {
        Runtime::builder().workers(workers).build().unwrap().run(body);
    }
}

/// Yields until `condition` holds.
#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        yield_now();
    }
}

fn waiting<T>(tx: &Sender<T>) -> (usize, usize) {
    tx.chan().inspect(State::waiting)
}

/// Somebody who waits, and later tells what it got.
enum Waiting<T> {
    Goroutine(JoinHandle<T>),
    Thread(thread::JoinHandle<T>),
}

impl<T: Send> Waiting<T> {
    fn end(self) -> T {
        match self {
            Self::Goroutine(handle) => handle.join().unwrap(),
            Self::Thread(handle) => crate::blocking(|| handle.join().unwrap()),
        }
    }
}

/// The kinds of those who wait.
const KINDS: usize = 9;

/// Which kind comes at this place: each of them three times, behind another one each time.
fn kind_of(place: usize) -> usize {
    place * [1, 2, 4][place / KINDS]
}

/// Receives in the way of this kind. `quiet` has senders, and nothing is ever sent on it.
fn receive(kind: usize, rx: Receiver<usize>, quiet: Receiver<usize>) -> Waiting<usize> {
    Waiting::Goroutine(match kind % KINDS {
        0 => go(move || rx.recv().unwrap()),
        1 => return Waiting::Thread(thread::spawn(move || rx.recv().unwrap())),
        2 => go_async(async move { rx.recv_async().await.unwrap() }),
        3 => go(move || select! { recv(quiet) -> _ => unreachable!(), recv(rx) -> n => n.unwrap() }),
        4 => go(move || rx.recv_timeout(LONG).unwrap()),
        5 => go(move || wait(async { rx.recv().unwrap() })),
        6 => go_async(async move {
            select_async! { recv(rx) -> n => n.unwrap(), recv(quiet) -> _ => unreachable!() }
        }),
        7 => go(move || {
            let mut select = Select::new();
            select.recv(&quiet);
            select.recv(&rx);
            select.select().recv(&rx).unwrap()
        }),
        _ => go(move || select_biased! { recv(rx) -> n => n.unwrap(), default(LONG) => unreachable!() }),
    })
}

/// Sends `n` in the way of this kind. On `stuck` nothing can ever be sent.
fn send(kind: usize, tx: Sender<usize>, stuck: Sender<usize>, n: usize) -> Waiting<()> {
    Waiting::Goroutine(match kind % KINDS {
        0 => go(move || tx.send(n).unwrap()),
        1 => return Waiting::Thread(thread::spawn(move || tx.send(n).unwrap())),
        2 => go_async(async move { tx.send_async(n).await.unwrap() }),
        3 => go(
            move || select! { send(stuck, 0) -> _ => unreachable!(), send(tx, n) -> sent => sent.unwrap() },
        ),
        4 => go(move || tx.send_timeout(n, LONG).unwrap()),
        5 => go(move || wait(async { tx.send(n).unwrap() })),
        6 => go_async(async move {
            select_async! { send(tx, n) -> sent => sent.unwrap(), send(stuck, 0) -> _ => unreachable!() }
        }),
        7 => go(move || {
            let mut select = Select::new();
            select.send(&stuck);
            select.send(&tx);
            select.select().send(&tx, n).unwrap()
        }),
        _ => go(
            move || select_biased! { send(tx, n) -> sent => sent.unwrap(), default(LONG) => unreachable!() },
        ),
    })
}

#[test]
fn C18_receivers_of_every_kind_are_served_first_come_first_served() {
    on_workers(|| {
        for cap in [0, 2] {
            let (tx, rx) = bounded(cap);
            let (open, quiet) = bounded(0);
            let waiters: Vec<_> = (0..3 * KINDS)
                .map(|i| {
                    let waiter = receive(kind_of(i), rx.clone(), quiet.clone());
                    until("it waits", || waiting(&tx).0 == i + 1);
                    waiter
                })
                .collect();
            (0..waiters.len()).for_each(|n| tx.send(n).unwrap());
            let got: Vec<_> = waiters.into_iter().map(Waiting::end).collect();
            assert!(got.iter().copied().eq(0..got.len()), "{got:?}");
            assert!(
                open.chan().inspect(State::queues_are_empty) && tx.chan().inspect(State::queues_are_empty)
            );
        }
    });
}

#[test]
fn C18_senders_of_every_kind_are_served_first_come_first_served() {
    on_workers(|| {
        for cap in [0, 2] {
            let (tx, rx) = bounded(cap);
            let (stuck, _open) = bounded(0);
            (0..cap).for_each(|n| tx.send(n).unwrap());
            let waiters: Vec<_> = (0..3 * KINDS)
                .map(|i| {
                    let waiter = send(kind_of(i), tx.clone(), stuck.clone(), cap + i);
                    until("it waits", || waiting(&tx).1 == i + 1);
                    waiter
                })
                .collect();
            let got: Vec<_> = (0..cap + waiters.len()).map(|_| rx.recv().unwrap()).collect();
            // A select with a buffer before it gets its place in its turn, and puts its message there once it is
            // made: those behind it that have theirs ready may overtake it.
            let lazy = |n: usize| cap > 0 && n >= cap && matches!(kind_of(n - cap) % KINDS, 3 | 6 | 7 | 8);
            let ready: Vec<_> = got.iter().copied().filter(|n| !lazy(*n)).collect();
            assert!(ready.is_sorted(), "{got:?}");
            let all: HashSet<_> = got.iter().copied().collect();
            assert!(all.len() == got.len() && (0..got.len()).all(|n| all.contains(&n)), "{got:?}");
            waiters.into_iter().for_each(Waiting::end);
            assert!(
                tx.chan().inspect(State::queues_are_empty) && stuck.chan().inspect(State::queues_are_empty)
            );
        }
    });
}

#[test]
fn C20_places_go_to_waiting_goroutines_in_their_turn_and_to_no_newcomer() {
    on_workers(|| {
        let (tx, rx) = bounded(2);
        tx.send(0).unwrap();
        tx.send(1).unwrap();
        let waiters: Vec<_> = (2..12)
            .map(|n| {
                let own = tx.clone();
                let handle = go(move || own.send(n).unwrap());
                until("it waits", || waiting(&tx).1 == n - 1);
                handle
            })
            .collect();
        for n in 0..12 {
            let left = 10usize.saturating_sub(n);
            assert_eq!((tx.len(), waiting(&tx).1), (2 - 2usize.saturating_sub(12 - n), left));
            if left > 0 {
                assert_eq!(tx.try_send(99), Err(TrySendError::Full(99)), "a newcomer got in between");
            }
            // The head is taken, and the first who waits moves up, at one instant.
            assert_eq!(rx.try_recv(), Ok(n));
        }
        waiters.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// Goroutines, threads and tasks that do everything to `channels`, until `end`.
fn storm(channels: &[(Sender<usize>, Receiver<usize>)], end: Instant) {
    let turn = |id: usize, i: usize| {
        let (a, b) = (&channels[(i + id) % channels.len()], &channels[(i * 7 + id) % channels.len()]);
        let short = Duration::from_micros((i % 5) as u64 * 10);
        match (i / 3 + id) % 8 {
            0 => _ = a.0.send_timeout(i, short),
            1 => _ = a.1.recv_timeout(short),
            2 => _ = a.0.try_send(i),
            3 => _ = a.1.try_recv(),
            4 => select! { recv(a.1) -> _ => {}, send(b.0, i) -> _ => {}, default(short) => {} },
            5 => {
                select! { send(a.0, i) -> _ => {}, recv(a.1) -> _ => {}, recv(b.1) -> _ => {}, default => {} }
            }
            6 => loop {
                // A message that is not made after all, sometimes.
                select! {
                    send(a.0, if i % 5 < 2 { break } else { i }) -> _ => break,
                    recv(b.1) -> _ => {}
                    default(short) => break,
                }
            },
            _ => yield_now(),
        }
    };
    let turns = |id: usize| (0..).take_while(|_| Instant::now() < end).for_each(|i| turn(id, i));
    scope(|s| {
        (0..6).for_each(|id| drop(s.go(move || turns(id))));
        s.go(|| crate::blocking(|| thread::scope(|s| drop(s.spawn(|| turns(6))))));
    });
}

#[test]
fn C21_no_receiver_waits_beside_a_value_and_no_sender_beside_a_place() {
    for workers in [1, 2] {
        let channels: Vec<_> = [Some(0), Some(1), Some(3), None]
            .map(|cap| cap.map_or_else(unbounded, bounded))
            .into_iter()
            .collect();
        let end = Instant::now() + Duration::from_millis(400);
        let looks = AtomicUsize::new(0);
        let over = AtomicBool::new(false);
        thread::scope(|s| {
            let (channels, looks, over) = (&channels, &looks, &over);
            s.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    for (tx, _) in channels {
                        assert_eq!(tx.chan().inspect(State::broken_invariant), None);
                    }
                    looks.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_micros(5));
                }
            });
            Runtime::builder().workers(workers).build().unwrap().run(|| storm(channels, end));
            over.store(true, Ordering::SeqCst);
        });
        assert!(looks.load(Ordering::SeqCst) > 10);
        for (tx, rx) in &channels {
            rx.try_iter().for_each(drop);
            assert!(tx.chan().inspect(State::queues_are_empty));
        }
    }
}

/// Runs `f` on another thread while this one holds the channel's lock. False if it has not ended soon.
fn ends_while_locked<T: Send>(tx: &Sender<T>, f: impl FnOnce() + Send) -> bool {
    let ended = AtomicBool::new(false);
    thread::scope(|s| {
        let held = tx.chan().raw_lock();
        held.lock();
        s.spawn(|| {
            f();
            ended.store(true, Ordering::SeqCst);
        });
        let deadline = Instant::now() + Duration::from_secs(2);
        while !ended.load(Ordering::SeqCst) && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(100));
        }
        let in_time = ended.load(Ordering::SeqCst);
        // SAFETY: taken above.
        unsafe { held.unlock() };
        in_time
    })
}

#[test]
fn C26_operations_that_fail_at_once_take_no_lock() {
    let (tx, rx) = bounded::<i32>(1);
    let empty = ends_while_locked(&tx, || {
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(select! { recv(rx) -> _ => "received", default => "default" }, "default");
        assert_eq!(select_biased! { recv(rx) -> _ => "received", default => "default" }, "default");
        let mut select = Select::new();
        select.recv(&rx);
        assert!(select.try_select().is_err() && select.try_ready().is_err());
        assert!(rx.is_empty() && !rx.is_full() && !rx.is_closed());
    });
    assert!(empty);
    tx.send(1).unwrap();
    let full = ends_while_locked(&tx, || {
        assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!(select! { send(tx, 2) -> _ => "sent", default => "default" }, "default");
        assert!(tx.is_full() && tx.len() == 1 && tx.capacity() == Some(1));
    });
    assert!(full);
    assert_eq!(rx.recv(), Ok(1));
    tx.close();
    let closed = ends_while_locked(&tx, || {
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
        assert_eq!(tx.send(4).unwrap_err().into_inner(), 4);
        assert!(tx.is_closed() && rx.is_closed());
    });
    assert!(closed);
    // And an operation that succeeds does take it: else this test would not see a thing.
    let (tx, rx) = bounded::<i32>(1);
    tx.send(1).unwrap();
    assert!(!ends_while_locked(&tx, || assert_eq!(rx.try_recv(), Ok(1))));
}
