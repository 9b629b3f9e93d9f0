//! Storms: rules that hold at every instant, while many act at once. On goroutines of one and of two workers, on
//! threads, in async tasks of ours and of another executor.
#![allow(non_snake_case)]

mod common;

use common::{Mode, block_on, bounded, bounded_as, modes};
use gosched::chan::{self, Receiver, Sender, TryRecvError, TrySendError};
use gosched::{Select, go, go_async, select, select_async, select_biased, wait, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Who takes part in a race.
type Racer = Box<dyn FnOnce() + Send>;

/// Runs all at once, as goroutines.
fn as_goroutines(racers: Vec<Racer>) {
    let handles: Vec<_> = racers.into_iter().map(go).collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

/// Runs all at once, as threads.
fn as_threads(racers: Vec<Racer>) {
    let handles: Vec<_> = racers.into_iter().map(thread::spawn).collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

/// Lets nobody go on before all are here, so that they race.
struct Start(AtomicUsize, usize);

impl Start {
    fn of(racers: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0), racers))
    }

    fn wait(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        while self.0.load(Ordering::SeqCst) < self.1 {
            yield_now();
        }
    }
}

/// How many channels a race goes over, and how long races are repeated.
const LANES: usize = 50;
const AGAIN: Duration = Duration::from_millis(150);

/// Repeats `race` on goroutines of every mode, and on threads.
fn again_and_again(race: fn(fn(Vec<Racer>), usize)) {
    let repeat = move |run: fn(Vec<Racer>)| {
        let end = Instant::now() + AGAIN;
        let mut round = 0;
        // At least some rounds, however slow the machine.
        while round < 12 || Instant::now() < end {
            race(run, round);
            round += 1;
        }
    };
    for Mode { name, runtime } in modes() {
        bounded_as(name, move || runtime.run(|| repeat(as_goroutines)));
    }
    bounded(move || repeat(as_threads));
}

/// All ways to take a message if there is one: the message, or whether the channel was closed.
fn take_one(way: usize, rx: &Receiver<i32>) -> Result<i32, TryRecvError> {
    const EMPTY: TryRecvError = TryRecvError::Empty;
    match way % 6 {
        0 => rx.try_recv(),
        1 => select! { recv(rx) -> n => n.map_err(Into::into), default => Err(EMPTY) },
        2 => {
            select! {
                recv(rx) -> n => n.map_err(Into::into),
                recv(chan::never::<i32>()) -> _ => panic!(),
                default => Err(EMPTY),
            }
        }
        3 => wait(async {
            select_async! { recv(rx) -> n => n.map_err(Into::into), default => Err(EMPTY) }
        }),
        4 => {
            let mut select = Select::new();
            select.recv(rx);
            let operation = select.try_select().map_err(|_| EMPTY)?;
            operation.recv(rx).map_err(Into::into)
        }
        _ => match rx.recv_timeout(Duration::ZERO) {
            Ok(n) => Ok(n),
            Err(error) if error.is_timeout() => Err(EMPTY),
            Err(_) => Err(TryRecvError::Disconnected),
        },
    }
}

#[test]
fn C25_a_try_receive_never_says_empty_of_a_channel_that_was_filled_or_closed_throughout() {
    again_and_again(|run, round| {
        let lanes: Arc<Vec<_>> = Arc::new((0..LANES).map(|_| chan::bounded(1)).collect());
        lanes.iter().for_each(|(tx, _)| tx.send(1).unwrap());
        let (start, got, closed) =
            (Start::of(3), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let racer = |closes: bool, way: usize| -> Racer {
            let (lanes, start, got, closed) = (lanes.clone(), start.clone(), got.clone(), closed.clone());
            Box::new(move || {
                start.wait();
                for (tx, rx) in lanes.iter() {
                    if closes {
                        assert!(tx.close());
                    }
                    match take_one(way, rx) {
                        Ok(1) => got.fetch_add(1, Ordering::SeqCst),
                        Err(TryRecvError::Disconnected) => closed.fetch_add(1, Ordering::SeqCst),
                        other => {
                            panic!("form {}: {other:?} of a channel that was filled, then closed", way % 6)
                        }
                    };
                }
            })
        };
        // The second taker can find it empty and open; so it comes to look only after it is closed.
        let late: Racer = {
            let (lanes, start, closed) = (lanes.clone(), start.clone(), closed.clone());
            Box::new(move || {
                start.wait();
                for (_, rx) in lanes.iter() {
                    while !rx.is_closed() {
                        yield_now();
                    }
                    // Closed stays closed, and len and the rest agree.
                    assert!(rx.is_closed() && rx.len() <= 1);
                    closed.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        run(vec![racer(true, round / 6), racer(false, round), late]);
        assert_eq!((got.load(Ordering::SeqCst), closed.load(Ordering::SeqCst)), (LANES, 2 * LANES));
    });
}

/// All selects that look at two receivers and do not wait. True unless `default` ran.
fn take_either(way: usize, a: &Receiver<i32>, b: &Receiver<i32>) -> bool {
    match way % 5 {
        0 => select! { recv(a) -> _ => true, recv(b) -> _ => true, default => false },
        1 => select_biased! { recv(a) -> _ => true, recv(b) -> _ => true, default => false },
        2 => select! { recv(b) -> _ => true, recv(a) -> _ => true, default(Duration::ZERO) => false },
        3 => wait(async {
            select_async! { recv(a) -> _ => true, recv(b) -> _ => true, default => false }
        }),
        _ => {
            let mut select = Select::new();
            select.recv(a);
            select.recv(b);
            select.try_select().is_ok_and(|operation| match operation.index() {
                0 => operation.recv(a).is_ok() || a.is_closed(),
                _ => operation.recv(b).is_ok() || b.is_closed(),
            })
        }
    }
}

#[test]
fn S05_default_never_runs_while_one_of_two_channels_had_something_to_receive() {
    again_and_again(|run, round| {
        let lanes: Arc<Vec<_>> = Arc::new((0..LANES).map(|_| (chan::bounded(1), chan::bounded(1))).collect());
        lanes.iter().for_each(|(a, _)| a.0.send(1).unwrap());
        let start = Start::of(2);
        let (own, starts) = (lanes.clone(), start.clone());
        let looks: Racer = Box::new(move || {
            starts.wait();
            for (a, b) in own.iter() {
                assert!(take_either(round, &a.1, &b.1), "form {}: default ran", round % 5);
            }
        });
        let moves: Racer = Box::new(move || {
            start.wait();
            for (a, b) in lanes.iter() {
                // First the second one gets something (or is closed), then the first one loses it.
                if round % 2 == 0 {
                    b.0.send(2).unwrap()
                } else {
                    assert!(b.0.close())
                }
                let _ = take_one(round / 2, &a.1);
            }
        });
        run(vec![looks, moves]);
    });
}

/// All selects that look at two senders and do not wait. True unless `default` ran.
fn put_either(way: usize, a: &Sender<i32>, b: &Sender<i32>) -> bool {
    match way % 5 {
        0 => select! { send(a, 9) -> _ => true, send(b, 9) -> _ => true, default => false },
        1 => select_biased! { send(a, 9) -> _ => true, send(b, 9) -> _ => true, default => false },
        2 => select! { send(b, 9) -> _ => true, send(a, 9) -> _ => true, default(Duration::ZERO) => false },
        3 => wait(async {
            select_async! { send(a, 9) -> _ => true, send(b, 9) -> _ => true, default => false }
        }),
        _ => {
            let mut select = Select::new();
            select.send(a);
            select.send(b);
            select.try_select().is_ok_and(|operation| match operation.index() {
                0 => operation.send(a, 9).is_ok() || a.is_closed(),
                _ => operation.send(b, 9).is_ok() || b.is_closed(),
            })
        }
    }
}

#[test]
fn S05_default_never_runs_while_one_of_two_channels_had_a_place() {
    again_and_again(|run, round| {
        let lanes: Arc<Vec<_>> = Arc::new((0..LANES).map(|_| (chan::bounded(1), chan::bounded(1))).collect());
        lanes.iter().for_each(|(_, b)| b.0.send(1).unwrap());
        let start = Start::of(2);
        let (own, starts) = (lanes.clone(), start.clone());
        let looks: Racer = Box::new(move || {
            starts.wait();
            for (a, b) in own.iter() {
                assert!(put_either(round, &a.0, &b.0), "form {}: default ran", round % 5);
            }
        });
        let moves: Racer = Box::new(move || {
            start.wait();
            for (a, b) in lanes.iter() {
                // First the second one gets a place (or is closed), then the first one loses its own.
                if round % 2 == 0 {
                    let _ = b.1.try_recv();
                } else {
                    assert!(b.0.close())
                }
                match a.0.try_send(3) {
                    Ok(()) | Err(TrySendError::Full(3)) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        run(vec![looks, moves]);
    });
}

/// Sends `n` on one of three channels.
fn send_somewhere(way: usize, [a, b, c]: &[Sender<usize>; 3], n: usize) {
    match way % 6 {
        0 => {
            select! { send(a, n) -> r => r.unwrap(), send(b, n) -> r => r.unwrap(), send(c, n) -> r => r.unwrap() }
        }
        1 => {
            select_biased! {
                send(c, n) -> r => r.unwrap(),
                send(a, n) -> r => r.unwrap(),
                send(b, n) -> r => r.unwrap(),
            }
        }
        2 => wait(send_somewhere_async([a.clone(), b.clone(), c.clone()], n)),
        3 => {
            let mut select = Select::new();
            [a, b, c].into_iter().for_each(|tx| _ = select.send(tx));
            let operation = select.select();
            let tx = [a, b, c][operation.index()];
            operation.send(tx, n).unwrap();
        }
        // One that gives up often.
        4 => {
            while !select! {
                send(b, n) -> r => r.is_ok(),
                send(a, n) -> r => r.is_ok(),
                default(Duration::from_micros(20)) => { yield_now(); false }
            } {}
        }
        _ => [a, b, c][n % 3].send(n).unwrap(),
    }
}

async fn send_somewhere_async([a, b, c]: [Sender<usize>; 3], n: usize) {
    select_async! { send(b, n) -> r => r.unwrap(), send(c, n) -> r => r.unwrap(), send(a, n) -> r => r.unwrap() }
}

/// Receives until all three channels are closed, each time in another way.
fn receive_everything(way: usize, [a, b, c]: [Receiver<usize>; 3]) -> Vec<usize> {
    let (mut a, mut b, mut c, mut got) = (Some(a), Some(b), Some(c), Vec::new());
    for turn in way.. {
        let (at, n) = match turn % 5 {
            0 => select! { recv(a) -> n => (0, n), recv(b) -> n => (1, n), recv(c) -> n => (2, n) },
            1 => select_biased! { recv(b) -> n => (1, n), recv(c) -> n => (2, n), recv(a) -> n => (0, n) },
            2 => wait(async {
                select_async! { recv(c) -> n => (2, n), recv(a) -> n => (0, n), recv(b) -> n => (1, n) }
            }),
            3 => {
                let mut select = Select::new();
                let open: Vec<_> = [&a, &b, &c]
                    .into_iter()
                    .enumerate()
                    .filter_map(|(i, rx)| Some((i, rx.as_ref()?)))
                    .collect();
                open.iter().for_each(|(_, rx)| _ = select.recv(rx));
                let operation = select.select();
                let (at, rx) = open[operation.index()];
                (at, operation.recv(rx))
            }
            _ => select! {
                recv(a) -> n => (0, n),
                recv(c) -> n => (2, n),
                recv(b) -> n => (1, n),
                default(Duration::from_micros(20)) => continue,
            },
        };
        match n {
            Ok(n) => got.push(n),
            Err(_) => *[&mut a, &mut b, &mut c][at] = None,
        }
        if a.is_none() && b.is_none() && c.is_none() {
            break;
        }
    }
    got
}

#[test]
fn S06_and_S08_selects_of_every_kind_share_channels_and_lose_and_double_nothing() {
    const SENDERS: usize = 8;
    const EACH: usize = 150;
    for Mode { name, runtime } in modes() {
        for caps in [[0, 0, 0], [0, 1, 2]] {
            let runtime = runtime.handle();
            bounded_as(name, move || {
                let (txs, rxs): (Vec<_>, Vec<_>) = caps.map(chan::bounded).into_iter().unzip();
                let txs: [Sender<usize>; 3] = txs.try_into().unwrap();
                let rxs: [Receiver<usize>; 3] = rxs.try_into().unwrap();
                let senders: Vec<_> = (0..SENDERS)
                    .map(|id| {
                        let txs = txs.clone();
                        let mine = id * EACH..(id + 1) * EACH;
                        let body = move || mine.for_each(|n| send_somewhere(n / 3 + id, &txs, n));
                        if id % 4 == 3 {
                            runtime.go(move || gosched::blocking(body))
                        } else {
                            runtime.go(body)
                        }
                    })
                    .collect();
                let mine = SENDERS * EACH..(SENDERS + 1) * EACH;
                let own = txs.clone();
                let stackless = runtime.go_async(async move {
                    for n in mine {
                        send_somewhere_async(own.clone(), n).await;
                    }
                });
                let mine = (SENDERS + 1) * EACH..(SENDERS + 2) * EACH;
                let own = txs.clone();
                let foreign = thread::spawn(move || {
                    block_on(async move {
                        for n in mine {
                            send_somewhere_async(own.clone(), n).await;
                        }
                    })
                });
                drop(txs);
                let receivers: Vec<_> = (0..3)
                    .map(|way| {
                        let rxs = rxs.clone();
                        runtime.go(move || receive_everything(way, rxs))
                    })
                    .collect();
                let own = rxs.clone();
                let thread = thread::spawn(move || receive_everything(3, own));
                senders.into_iter().chain([stackless]).for_each(|sender| sender.join().unwrap());
                foreign.join().unwrap();
                let mut got: Vec<_> =
                    receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect();
                got.extend(thread.join().unwrap());
                got.sort_unstable();
                assert!(got.iter().copied().eq(0..(SENDERS + 2) * EACH), "{} values came", got.len());
                assert!(rxs.iter().all(|rx| rx.is_empty() && rx.is_closed()));
            });
        }
    }
}

#[test]
fn S06_goroutines_that_select_both_ways_pass_tokens_on_and_lose_none() {
    // Everybody takes what it can get and gives what it has, in one select; the tokens stay the same.
    const TOKENS: usize = 10;
    for Mode { name, runtime } in modes() {
        bounded_as(name, move || {
            runtime.run(|| {
                let channels: Arc<Vec<_>> = Arc::new([0, 0, 1].map(chan::bounded::<usize>).into());
                let end = Instant::now() + AGAIN;
                let moved = Arc::new(AtomicUsize::new(0));
                let handles: Vec<_> = (0..TOKENS)
                    .map(|token| {
                        let (channels, moved) = (channels.clone(), moved.clone());
                        let body = move || {
                            let mut own = vec![token];
                            for turn in token.. {
                                if Instant::now() > end {
                                    break;
                                }
                                let ((give, _), (_, take)) = (&channels[turn % 3], &channels[turn / 3 % 3]);
                                let give = (!own.is_empty()).then_some(give);
                                select! {
                                    recv(take) -> token => own.push(token.unwrap()),
                                    send(give, own.pop().unwrap()) -> sent => {
                                        sent.unwrap();
                                        moved.fetch_add(1, Ordering::Relaxed);
                                    }
                                    default(Duration::from_micros(50)) => {}
                                }
                            }
                            own
                        };
                        if token % 3 == 0 { go_async(async move { body() }) } else { go(body) }
                    })
                    .collect();
                let mut tokens: Vec<_> =
                    handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect();
                tokens.extend(channels.iter().flat_map(|(_, rx)| rx.try_iter()));
                tokens.sort_unstable();
                assert!(tokens.iter().copied().eq(0..TOKENS), "{tokens:?}");
                assert!(moved.load(Ordering::Relaxed) > 0);
            });
        });
    }
}
