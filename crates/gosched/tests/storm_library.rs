//! Cancellation storms of channels, joins, groups and pipelines: whatever waits there may be given up at any moment
//! (FEATURES C08, C27, S06, E03, E06, N03, N05, X20). See `common/storm.rs` for what a storm is; `storm_seeds.rs` has
//! more of channels.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;
#[path = "common/storm.rs"]
mod storm;

use common::eventually;
use gosched::chan::{self, Receiver, Sender};
use gosched::context::background;
use gosched::group::Group;
use gosched::pipeline::rate::{Limit, Limiter};
use gosched::pipeline::{WorkerPool, par_map, source, stage, stage_ordered};
use gosched::{blocking_async, go, go_async, num_goroutine, select_async, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use storm::{Counted, Gauge, PARTIES, US, crowd, crowd_with, let_time_pass, pause, storm, storm_by_hand};

const ROUNDS: usize = 200;
/// How many goroutines there are when all others have ended.
const MAIN: usize = 1;

// ---- channels --------------------------------------------------------------------------------------------

/// What became of each message: sent, received and dropped, how often.
struct Ledger(Vec<[AtomicUsize; 3]>);

const SENT: usize = 0;
const RECEIVED: usize = 1;
const DROPPED: usize = 2;

impl Ledger {
    fn note(&self, id: usize, what: usize) {
        self.0[id][what].fetch_add(1, SeqCst);
    }

    /// Fails if a message was lost or doubled; returns how many were received.
    fn check(&self, made: usize) -> usize {
        let mut came = 0;
        for (id, fate) in self.0.iter().enumerate().take(made) {
            let [sent, received, dropped] = [SENT, RECEIVED, DROPPED].map(|what| fate[what].load(SeqCst));
            assert_eq!(dropped, 1, "message {id}");
            assert!(sent <= received && received <= 1, "message {id}: sent {sent}, received {received}");
            came += received;
        }
        came
    }
}

struct Message {
    id: usize,
    ledger: Arc<Ledger>,
}

impl Message {
    fn receive(self) {
        self.ledger.note(self.id, RECEIVED);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.ledger.note(self.id, DROPPED);
    }
}

#[derive(Clone)]
struct Wire {
    tx: Sender<Message>,
    rx: Receiver<Message>,
}

#[derive(Clone)]
struct Wires {
    all: Vec<Wire>,
    ledger: Arc<Ledger>,
    made: Arc<AtomicUsize>,
}

impl Wires {
    fn message(&self) -> Message {
        Message { id: self.made.fetch_add(1, SeqCst), ledger: self.ledger.clone() }
    }

    async fn send(self, at: usize) {
        let message = self.message();
        let id = message.id;
        if self.all[at].tx.send_async(message).await.is_ok() {
            self.ledger.note(id, SENT);
        }
    }

    async fn recv(self, at: usize) {
        if let Ok(message) = self.all[at].rx.recv_async().await {
            message.receive();
        }
    }

    async fn select(self, at: usize) {
        let (to, from) = (&self.all[at].tx, &self.all[(at + 1) % self.all.len()].rx);
        let id;
        select_async! {
            send(to, {
                let message = self.message();
                id = message.id;
                message
            }) -> sent => if sent.is_ok() { self.ledger.note(id, SENT) },
            recv(from) -> message => if let Ok(message) = message { message.receive() },
        }
    }
}

#[test]
fn C27_and_S06_sends_receives_and_selects_given_up_lose_and_double_nothing() {
    storm(|mut dice| {
        let caps = [Some(0), Some(0), Some(1), Some(3), None];
        let channel = |cap: Option<usize>| cap.map_or_else(chan::unbounded, chan::bounded);
        let all = caps.map(channel).map(|(tx, rx)| Wire { tx, rx }).into();
        let fates = (0..PARTIES * ROUNDS * 2).map(|_| Default::default()).collect();
        let wires = Wires { all, ledger: Arc::new(Ledger(fates)), made: Arc::default() };
        let parties = crowd(&mut dice, |mut party| {
            let wires = wires.clone();
            async move {
                for _ in 0..ROUNDS {
                    let (own, at) = (wires.clone(), party.dice.below(wires.all.len()));
                    match party.dice.below(8) {
                        0..=2 => party.hasty(own.send(at)).await,
                        3 | 4 => party.hasty(own.recv(at)).await,
                        5 => party.hasty(own.select(at)).await,
                        // Patient in pairs, so that they end: what the one half sends the other receives.
                        _ if party.id % 2 == 0 => own.send(0).await,
                        _ => own.recv(0).await,
                    }
                }
                // Who waits for one that has ended would wait for ever.
                wires.all[0].tx.close();
            }
        });
        parties.join();
        let made = wires.made.load(SeqCst);
        for wire in &wires.all {
            wire.rx.try_iter().for_each(Message::receive);
        }
        assert!(wires.ledger.check(made) > PARTIES);
    });
}

#[test]
fn waits_for_the_end_of_a_channel_given_up_leave_the_others_to_be_told() {
    storm(|mut dice| {
        let channels: Vec<_> = (0..30).map(|_| chan::bounded::<u8>(0)).collect();
        let (txs, mut rxs): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
        let parties = crowd(&mut dice, |mut party| {
            let txs = txs.clone();
            async move {
                for tx in txs {
                    for _ in 0..3 {
                        let own = tx.clone();
                        party.hasty(async move { own.closed_async().await }).await;
                    }
                    tx.closed_async().await;
                    assert!(tx.is_closed());
                }
            }
        });
        while let Some(rx) = (!rxs.is_empty()).then(|| rxs.remove(0)) {
            gosched::wait(pause(dice.throw()));
            drop(rx);
        }
        parties.join();
    });
}

// ---- joins -----------------------------------------------------------------------------------------------

#[test]
fn joins_given_up_lose_no_output_that_is_wanted_and_keep_none_that_is_not() {
    storm(|mut dice| {
        let [live, ran, joined] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let begun = Arc::new(AtomicUsize::new(0));
        let parties = crowd(&mut dice, |mut party| {
            let (live, ran, joined, begun) = (live.clone(), ran.clone(), joined.clone(), begun.clone());
            async move {
                for _ in 0..ROUNDS {
                    let (n, way) = (party.dice.throw(), party.dice.below(3));
                    let (live, ran) = (live.clone(), ran.clone());
                    begun.fetch_add(1, SeqCst);
                    let output = move || {
                        ran.fetch_add(1, SeqCst);
                        Counted::new(&live)
                    };
                    let joined = joined.clone();
                    let join = async move {
                        let output = match way {
                            0 => go(move || (yield_now(), output()).1).await.unwrap(),
                            1 => go_async(async move { (pause(n).await, output()).1 }).await.unwrap(),
                            _ => blocking_async(output).await,
                        };
                        joined.fetch_add(1, SeqCst);
                        drop(output);
                    };
                    match party.dice.below(6) {
                        0 => join.await,
                        _ => party.hasty(join).await,
                    }
                }
            }
        });
        parties.join();
        // Goroutines whose handles have gone go on to their ends, and their outputs with them.
        eventually("all have ended", || num_goroutine() == MAIN && live.load(SeqCst) == 0);
        let (ran, joined) = (ran.load(SeqCst), joined.load(SeqCst));
        assert!(joined >= PARTIES && joined <= ran && ran <= begun.load(SeqCst));
    });
}

// ---- groups ----------------------------------------------------------------------------------------------

#[test]
fn E06_waits_for_a_group_given_up_lose_and_double_no_error() {
    struct Failed(usize);
    storm(|mut dice| {
        let group = Arc::new(Group::<Failed>::new());
        let seen: Arc<Vec<AtomicUsize>> = Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect());
        let over = Arc::new(AtomicUsize::new(0));
        let wait = |group: &Arc<Group<Failed>>, seen: &Arc<Vec<AtomicUsize>>| {
            let (group, seen) = (group.clone(), seen.clone());
            async move {
                if let Err(Failed(round)) = group.wait_async().await {
                    seen[round].fetch_add(1, SeqCst);
                }
            }
        };
        let parties = crowd(&mut dice, |mut party| {
            let (group, seen, over) = (group.clone(), seen.clone(), over.clone());
            async move {
                while over.load(SeqCst) == 0 {
                    match party.dice.below(6) {
                        0 => wait(&group, &seen).await,
                        1 => {
                            let limit = US * party.dice.below(100) as u32;
                            if let Some(Err(Failed(round))) = group.wait_timeout(limit) {
                                seen[round].fetch_add(1, SeqCst);
                            }
                        }
                        _ => party.hasty(wait(&group, &seen)).await,
                    }
                    party.pause().await;
                }
            }
        });
        for round in 0..ROUNDS {
            let n = dice.throw();
            group.go(move || {
                gosched::wait(pause(n));
                Err(Failed(round))
            });
            group.go(|| Ok(()));
            // After this the error of this round is somebody's: ours, or of one who waited at the same time.
            gosched::wait(wait(&group, &seen));
        }
        over.store(1, SeqCst);
        parties.join();
        for (round, seen) in seen.iter().enumerate() {
            assert_eq!(seen.load(SeqCst), 1, "the error of round {round}");
        }
        assert!(group.wait().is_ok());
    });
}

#[test]
fn E03_waits_for_a_place_given_up_lose_no_place() {
    const LIMIT: usize = 3;
    storm(|mut dice| {
        let group = Arc::new(Group::<()>::new());
        group.set_limit(LIMIT);
        let (gauge, ran) = (Arc::new(Gauge::default()), Arc::new(AtomicUsize::new(0)));
        let begun = Arc::new(AtomicUsize::new(0));
        let parties = crowd(&mut dice, |mut party| {
            let (group, gauge, ran, begun) = (group.clone(), gauge.clone(), ran.clone(), begun.clone());
            async move {
                for _ in 0..ROUNDS {
                    let (before, within) = (party.dice.throw(), party.dice.throw());
                    let (group, gauge, ran) = (group.clone(), gauge.clone(), ran.clone());
                    let begun = begun.clone();
                    let work = move || {
                        let _inside = gauge.enter(1, LIMIT);
                        gosched::wait(pause(within));
                        ran.fetch_add(1, SeqCst);
                        Ok(())
                    };
                    if party.dice.below(6) == 0 {
                        let started = group.go_timeout(work, US * (before % 100) as u32);
                        begun.fetch_add(usize::from(started), SeqCst);
                        continue;
                    }
                    let start = async move {
                        let place = group.place_async().await;
                        // Given up here, too, with the place in hand.
                        pause(before).await;
                        begun.fetch_add(1, SeqCst);
                        place.go(work);
                    };
                    match party.dice.below(6) {
                        0 => start.await,
                        _ => party.hasty(start).await,
                    }
                }
            }
        });
        parties.join();
        assert_eq!(group.wait(), Ok(()));
        assert_eq!((ran.load(SeqCst), gauge.inside()), (begun.load(SeqCst), 0));
        assert!(begun.load(SeqCst) >= PARTIES);
        // All places are there again, and no more.
        let (release, hold) = chan::bounded::<()>(0);
        let start = |_| {
            let hold = hold.clone();
            group.try_go(move || Ok(_ = hold.recv()))
        };
        assert_eq!((0..=LIMIT).map(start).filter(|started| *started).count(), LIMIT);
        drop(release);
        assert_eq!(group.wait(), Ok(()));
    });
}

// ---- pipelines -------------------------------------------------------------------------------------------

#[test]
fn N05_jobs_submitted_and_awaited_in_haste_run_once_or_not_at_all() {
    storm(|mut dice| {
        let pool = WorkerPool::builder().workers_between(0, 3).queue(1).idle(50 * US).build();
        let pool = Arc::new(pool);
        let [live, ran, got] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let parties = crowd(&mut dice, |mut party| {
            let (pool, live, ran, got) = (pool.clone(), live.clone(), ran.clone(), got.clone());
            async move {
                for _ in 0..ROUNDS {
                    let (n, token, ran) = (party.dice.throw(), Counted::new(&live), ran.clone());
                    let job = move || {
                        gosched::wait(pause(n));
                        ran.fetch_add(1, SeqCst);
                        token
                    };
                    let (own, got) = (pool.clone(), got.clone());
                    match party.dice.below(10) {
                        0 => party.hasty(async move { own.wait_async().await }).await,
                        way => {
                            let work = async move {
                                let handle = own.submit_async(job).await;
                                drop(handle.await.expect("it runs, or is not submitted"));
                                got.fetch_add(1, SeqCst);
                            };
                            if way == 1 { work.await } else { party.hasty(work).await }
                        }
                    }
                }
            }
        });
        parties.join();
        pool.wait();
        let (stats, ran, got) = (pool.stats(), ran.load(SeqCst), got.load(SeqCst));
        assert_eq!((stats.done, stats.queued, stats.running, live.load(SeqCst)), (ran, 0, 0, 0));
        assert!(got <= ran && ran + stats.canceled <= PARTIES * ROUNDS && got >= PARTIES, "{got} {stats:?}");
        // As new.
        let jobs: Vec<_> = (0..20).map(|n| pool.submit(move || n)).collect();
        assert_eq!(jobs.into_iter().map(|job| job.join().unwrap()).sum::<i32>(), 190);
        drop(pool);
        eventually("all workers have gone", || num_goroutine() == MAIN);
    });
}

#[test]
fn N10_receives_from_stages_given_up_lose_no_item() {
    const ITEMS: usize = 300;
    storm(|mut dice| {
        let ctx = background().with_cancel();
        let numbers = stage(&ctx, 3, source(&ctx, 0..ITEMS), |n| (yield_now(), n).1);
        let items = stage_ordered(&ctx, 3, numbers, |n| n);
        let seen: Arc<Vec<AtomicUsize>> = Arc::new((0..ITEMS).map(|_| AtomicUsize::new(0)).collect());
        let parties = crowd(&mut dice, |mut party| {
            let (items, seen) = (items.clone(), seen.clone());
            async move {
                // Until all have come; then each receive fails at once.
                while !items.is_closed() || !items.is_empty() {
                    let (items, seen) = (items.clone(), seen.clone());
                    let receive = async move {
                        if let Ok(n) = items.recv_async().await {
                            seen[n].fetch_add(1, SeqCst);
                        }
                    };
                    if party.dice.below(5) == 0 { receive.await } else { party.hasty(receive).await }
                }
            }
        });
        parties.join();
        // What the last of those had been given that did not look again is there once more.
        items.try_iter().for_each(|n| _ = seen[n].fetch_add(1, SeqCst));
        assert!(seen.iter().all(|seen| seen.load(SeqCst) == 1), "an item was lost, or came twice");
        eventually("all stages have ended", || num_goroutine() == MAIN);
    });
}

#[test]
fn N09_maps_given_up_drop_each_item_and_leave_no_goroutine() {
    storm(|mut dice| {
        let (live, ctx) = (Arc::new(AtomicUsize::new(0)), background().with_cancel());
        let parties = crowd(&mut dice, |mut party| {
            let (live, ctx) = (live.clone(), ctx.clone());
            async move {
                for _ in 0..ROUNDS / 10 {
                    let (live, taken) = (live.clone(), party.dice.below(25));
                    let limited = ctx.with_timeout(US * party.dice.below(2000) as u32);
                    let items = (0..20).map(move |n| (n, Counted::new(&live)));
                    // Given up by dropping the results, or by its context, or by neither; in order as far as it goes.
                    let mut results = par_map(&limited, 3, items, |item| (yield_now(), item).1);
                    for n in 0..taken {
                        let Some((item, _token)) = results.next() else { break };
                        assert_eq!(item, n);
                    }
                }
            }
        });
        parties.join();
        eventually("all have ended", || num_goroutine() == MAIN && live.load(SeqCst) == 0);
    });
}

#[test]
fn R06_waits_for_a_limiter_given_up_give_their_tokens_back() {
    const BURST: usize = 10;
    storm_by_hand(|mut dice, clock| {
        let rate = 100_000.0;
        let begin = clock.now();
        let limiter = Arc::new(Limiter::new(Limit::per_second(rate), BURST));
        assert!(limiter.allow_n(BURST));
        let events = Arc::new(AtomicUsize::new(0));
        let parties = crowd_with(&mut dice, Some(clock), |mut party| {
            let (limiter, events) = (limiter.clone(), events.clone());
            async move {
                for _ in 0..ROUNDS {
                    let (limiter, events, n) = (limiter.clone(), events.clone(), 1 + party.dice.below(4));
                    let wait = async move {
                        limiter.wait_n_async(&background(), n).await.expect("no more than the burst");
                        events.fetch_add(n, SeqCst);
                    };
                    if party.dice.below(2) == 0 { wait.await } else { party.hasty(wait).await }
                }
            }
        });
        let_time_pass(clock, parties);
        let (events, left) = (events.load(SeqCst) as f64, limiter.tokens());
        let came = (clock.now() - begin).as_secs_f64() * rate;
        // No more than came in, to the token. (It may be less: what is given up late, or others build on, is used up.)
        assert!(events >= PARTIES as f64);
        assert!(events + left <= came + 0.01, "{events} events, {left} left, {came} came in");
        clock.advance(1000 * US);
        assert_eq!(limiter.tokens(), BURST as f64, "full again");
        assert!(limiter.allow_n(BURST));
        // One that waits in the empty bucket and leaves in time takes nothing along.
        let ctx = background();
        let mut waits = Box::pin(limiter.wait_n_async(&ctx, BURST));
        let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending() && limiter.tokens() == -(BURST as f64));
        drop(waits);
        assert_eq!(limiter.tokens(), 0.0);
    });
}
