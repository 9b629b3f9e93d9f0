//! Cancellation storms of `time` and `context`: sleeps, timers, tickers, time-outs and waits under a context that are
//! given up at any moment (FEATURES T01 to T14, X03, X13, X14, X17, X20). See `common/storm.rs` for what a storm is.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;
#[path = "common/storm.rs"]
mod storm;

use common::eventually;
use gosched::chan::{TryRecvError, bounded};
use gosched::context::{CancelContext, Context, ContextError, background};
use gosched::time::{Ticker, Timer, now, sleep_async, timeout_async};
use std::collections::HashSet;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storm::{Counted, PARTIES, US, crowd, crowd_with, let_time_pass, pause, storm, storm_by_hand};

const ROUNDS: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn sleeps_and_time_outs_given_up_leave_no_timer_and_wake_nobody_early() {
    storm_by_hand(|mut dice, clock| {
        let ends = Arc::new(AtomicUsize::new(0));
        let parties = crowd_with(&mut dice, Some(clock), |mut party| {
            let ends = ends.clone();
            async move {
                for _ in 0..ROUNDS {
                    let (long, limit) = (party.dice.below(200) as u32, party.dice.below(200) as u32);
                    let ends = ends.clone();
                    let nap = async move {
                        let due = now() + US * long;
                        sleep_async(US * long).await;
                        assert!(now() >= due, "woken early");
                        ends.fetch_add(1, SeqCst);
                    };
                    let limited = async move {
                        let begin = now();
                        let in_time = timeout_async(US * limit, sleep_async(US * long)).await.is_ok();
                        assert!(now() >= begin + US * if in_time { long } else { limit });
                    };
                    match party.dice.below(8) {
                        0 => nap.await,
                        1 => limited.await,
                        2..=4 => party.hasty(limited).await,
                        _ => party.hasty(nap).await,
                    }
                }
            }
        });
        let_time_pass(clock, parties);
        assert!(ends.load(SeqCst) >= PARTIES);
    });
}

#[test]
fn receives_from_a_timer_given_up_lose_no_message() {
    storm_by_hand(|mut dice, clock| {
        let timer = Arc::new(Timer::new(HOUR));
        let [set, kept, received] = [1, 0, 0].map(|n| Arc::new(AtomicUsize::new(n)));
        let parties = crowd_with(&mut dice, Some(clock), |mut party| {
            let (timer, set, kept, received) = (timer.clone(), set.clone(), kept.clone(), received.clone());
            async move {
                for _ in 0..ROUNDS {
                    let receive = {
                        let (timer, received) = (timer.clone(), received.clone());
                        async move {
                            timer.receiver().recv_async().await.expect("a timer is not closed");
                            received.fetch_add(1, SeqCst);
                        }
                    };
                    match party.dice.below(8) {
                        // Each setting ends in one of two ways, whoever sets it anew.
                        0 | 1 => {
                            set.fetch_add(1, SeqCst);
                            let stopped = timer.reset(US * party.dice.below(100) as u32);
                            kept.fetch_add(usize::from(stopped), SeqCst);
                        }
                        2 => drop(timeout_async(US * 50, receive).await),
                        _ => party.hasty(receive).await,
                    }
                }
            }
        });
        let_time_pass(clock, parties);
        kept.fetch_add(usize::from(timer.stop()), SeqCst);
        assert_eq!(set.load(SeqCst), kept.load(SeqCst) + received.load(SeqCst));
        assert!(received.load(SeqCst) > 0);
        // As new: with one who leaves in front of one who stays.
        timer.reset(US);
        let rx = timer.receiver();
        let mut leaves = Box::pin(rx.recv_async());
        assert!(poll(&mut leaves).is_pending());
        let mut stays = Box::pin(rx.recv_async());
        assert!(poll(&mut stays).is_pending());
        clock.advance(US);
        drop(leaves);
        assert!(poll(&mut stays).is_ready());
    });
}

fn poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> std::task::Poll<F::Output> {
    future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn receives_from_a_ticker_given_up_double_no_tick() {
    storm_by_hand(|mut dice, clock| {
        let period = 50 * US;
        let (start, ticker) = (now(), Arc::new(Ticker::new(period)));
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let parties = crowd_with(&mut dice, Some(clock), |mut party| {
            let (ticker, ticks) = (ticker.clone(), ticks.clone());
            async move {
                for _ in 0..ROUNDS {
                    let receive = {
                        let (ticker, ticks) = (ticker.clone(), ticks.clone());
                        async move {
                            let tick = ticker.receiver().recv_async().await.expect("a ticker is not closed");
                            ticks.lock().unwrap().push(tick);
                        }
                    };
                    match party.dice.below(8) {
                        // It never ends, so whoever waits is served.
                        0 => receive.await,
                        _ => party.hasty(receive).await,
                    }
                }
            }
        });
        let_time_pass(clock, parties);
        let ticks = ticks.lock().unwrap();
        assert!(ticks.len() >= PARTIES);
        assert_eq!(ticks.iter().collect::<HashSet<_>>().len(), ticks.len(), "a tick came twice");
        for tick in ticks.iter() {
            let after = tick.duration_since(start).as_nanos();
            assert!(after > 0 && after.is_multiple_of(period.as_nanos()), "off the grid by {after} ns");
        }
    });
}

// ---- contexts --------------------------------------------------------------------------------------------

const CONTEXTS: usize = 40;

/// A context that is to be cancelled, and what hangs on it.
struct Watched {
    owner: Mutex<Option<CancelContext>>,
    ctx: Context,
    told: AtomicUsize,
    functions: Arc<AtomicUsize>,
}

impl Watched {
    async fn wait(self: Arc<Self>, way: usize) {
        match way % 4 {
            0 => assert_eq!(self.ctx.wait_async(pending::<()>()).await, Err(ContextError::Canceled)),
            1 => assert!(self.ctx.done().recv_async().await.is_err()),
            2 => {
                // By a child, which hears of it and leaves its parent when this is given up.
                let child = self.ctx.with_timeout(HOUR);
                assert_eq!(child.wait_async(pending::<()>()).await, Err(ContextError::Canceled));
            }
            _ => {
                // By a function, which is taken back when this is given up.
                let (tx, rx) = bounded(1);
                let function = Counted::new(&self.functions);
                let stop = self.ctx.after_func(move || {
                    let _function = function;
                    let _ = tx.send(());
                });
                struct Stops(gosched::context::Stop);
                impl Drop for Stops {
                    fn drop(&mut self) {
                        self.0.stop();
                    }
                }
                let _stops = Stops(stop);
                assert_eq!(rx.recv_async().await, Ok(()));
            }
        }
        assert_eq!(self.ctx.err(), Some(ContextError::Canceled));
        assert_eq!(self.ctx.done().try_recv(), Err(TryRecvError::Disconnected));
        self.told.fetch_add(1, SeqCst);
    }
}

#[test]
fn waits_under_a_context_given_up_leave_the_others_to_be_told_and_nothing_behind() {
    storm(|mut dice| {
        let live = Arc::new(AtomicUsize::new(0));
        let root = background().with_cancel();
        let watched = |owner: CancelContext| {
            // Goes with the last of all that was derived from it.
            let ctx = owner.with_value(Counted::new(&live));
            let owner = Mutex::new(Some(owner));
            Arc::new(Watched { owner, ctx, told: AtomicUsize::new(0), functions: Arc::default() })
        };
        // One that goes on after all that waited for it have given up.
        let lasting = watched(root.with_cancel());
        let contexts: Vec<_> = (0..CONTEXTS)
            .map(|n| {
                let owner = match n % 3 {
                    0 => root.with_cancel(),
                    1 => root.with_timeout(HOUR),
                    _ => root.with_value(n).with_cancel(),
                };
                // Goes with the last of all that was derived from it.
                watched(owner)
            })
            .collect();
        let parties = crowd(&mut dice, |mut party| {
            let (contexts, lasting) = (contexts.clone(), lasting.clone());
            async move {
                for watched in contexts {
                    let way = party.dice.below(4);
                    party.hasty(lasting.clone().wait(way)).await;
                    for _ in 0..2 + party.dice.below(3) {
                        let way = party.dice.below(4);
                        party.hasty(watched.clone().wait(way)).await;
                    }
                    watched.wait(party.id).await;
                }
            }
        });
        for (n, watched) in contexts.iter().enumerate() {
            gosched::wait(pause(dice.throw()));
            let owner = watched.owner.lock().unwrap().take().unwrap();
            if n % 2 == 0 { owner.cancel() } else { drop(owner) }
        }
        parties.join();
        assert!(contexts.iter().all(|watched| watched.told.load(SeqCst) >= PARTIES));
        assert_eq!((root.err(), lasting.told.load(SeqCst)), (None, 0));
        assert_eq!(lasting.functions.load(SeqCst), 0, "a function was stopped, and is kept");
        drop((contexts, lasting));
        // Also what runs in functions' goroutines ends.
        eventually("nothing is left of all that was derived", || live.load(SeqCst) == 0);
    });
}
