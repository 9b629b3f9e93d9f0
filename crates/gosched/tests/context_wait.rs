//! `ctx.wait(future)`: every waiting operation can be given up, and giving up loses nothing (FEATURES X20).
#![cfg(not(loom))]
#![allow(non_snake_case)]
// Clippy takes the guards for those of a lock that blocks the thread.
#![allow(clippy::await_holding_lock)]

mod common;

use common::{Dice, HOUR, MS, US, block_on, everywhere, panic_text};
use gosched::chan::{self, RecvError, SendError};
use gosched::context::{Context, ContextError, background};
use gosched::sync::{Condvar, LockAsync, Mutex, WaitGroup};
use gosched::time::{sleep, sleep_async};
use gosched::{go, go_async};
use std::future::{Future, pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Instant;

const CANCELED: ContextError = ContextError::Canceled;
const EXCEEDED: ContextError = ContextError::DeadlineExceeded;

#[test]
fn X20_wait_returns_what_the_future_does() {
    everywhere(|| {
        let ctx = background().with_timeout(HOUR);
        assert_eq!(ctx.wait(async { 6 * 7 }), Ok(42));
        assert_eq!(background().wait(async { 6 * 7 }), Ok(42));
        assert_eq!(ctx.wait(go(|| 1)).unwrap().unwrap(), 1);
        assert_eq!(
            go_async(async move { ctx.wait_async(go(|| 2)).await.unwrap().unwrap() }).join().unwrap(),
            2
        );
        assert_eq!(block_on(background().wait_async(ready(3))), Ok(3));
    });
}

#[test]
fn X20_a_context_that_is_done_polls_nothing() {
    let ctx = background().with_cancel();
    ctx.cancel();
    let polled = AtomicBool::new(false);
    let future = poll_fn(|_| {
        polled.store(true, Ordering::Relaxed);
        Poll::Ready(())
    });
    assert_eq!(ctx.wait(future), Err(CANCELED));
    assert!(!polled.into_inner());
}

#[test]
fn X20_the_output_wins_if_both_come_together() {
    let ctx = background().with_cancel();
    let future = async {
        ctx.cancel();
        "done all the same"
    };
    assert_eq!(ctx.wait(future), Ok("done all the same"));
}

#[test]
fn X20_a_panic_of_the_future_is_passed_on() {
    let ctx = background().with_cancel();
    assert_eq!(panic_text(|| ctx.wait(async { panic!("in the future") })), "in the future");
}

#[test]
fn X20_each_operation_is_given_up_when_the_deadline_comes() {
    everywhere(|| {
        let soon = || background().with_timeout(2 * MS);
        assert_eq!(soon().wait(pending::<()>()), Err(EXCEEDED));
        assert_eq!(soon().wait(sleep_async(HOUR)), Err(EXCEEDED));

        let mutex = Mutex::new(1);
        let held = mutex.lock();
        assert_eq!(soon().wait(mutex.lock_async()).map(|guard| *guard), Err(EXCEEDED));
        drop(held);
        assert_eq!(soon().wait(mutex.lock_async()).map(|guard| *guard), Ok(1));

        let changed = Condvar::new();
        assert_eq!(soon().wait(changed.wait_async(mutex.lock())).map(|guard| *guard), Err(EXCEEDED));
        assert!(mutex.try_lock().is_some(), "the guard was dropped with the future");

        let wg = WaitGroup::new();
        wg.add(1);
        assert_eq!(soon().wait(wg.wait_async()), Err(EXCEEDED));
        wg.done();
        assert_eq!(soon().wait(wg.wait_async()), Ok(()));

        let (tx, rx) = chan::bounded(0);
        assert_eq!(soon().wait(tx.send_async(1)), Err(EXCEEDED));
        assert_eq!(soon().wait(rx.recv_async()), Err(EXCEEDED));
        drop(tx);
        assert_eq!(soon().wait(rx.recv_async()), Ok(Err(RecvError)));

        let (release, hold) = chan::bounded::<()>(0);
        let mut child = go(move || hold.recv().is_err());
        assert_eq!(soon().wait(&mut child).map(|ended| ended.is_ok()), Err(EXCEEDED));
        drop(release);
        assert!(child.join().unwrap(), "only the wait was given up");
    });
}

#[test]
fn X20_a_cancel_ends_waits_on_threads_goroutines_and_tasks() {
    everywhere(|| {
        let ctx = background().with_cancel();
        let waiters = crowd(8, |_| {
            let ctx = ctx.clone();
            async move { ctx.wait_async(pending::<()>()).await }
        });
        sleep(MS);
        ctx.cancel();
        assert!(waiters.join().into_iter().all(|result| result == Err(CANCELED)));
    });
}

// ---- storms ----------------------------------------------------------------------------------------------

/// Those who take part in a storm: goroutines, stackless ones, threads, and threads with an executor of their own.
struct Crowd<T> {
    goroutines: Vec<gosched::JoinHandle<T>>,
    threads: Vec<thread::JoinHandle<T>>,
}

fn crowd<F>(n: usize, body: impl Fn(usize) -> F) -> Crowd<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut crowd = Crowd { goroutines: Vec::new(), threads: Vec::new() };
    for i in 0..n {
        let body = body(i);
        match i % 4 {
            0 => crowd.goroutines.push(go(move || gosched::wait(body))),
            1 => crowd.goroutines.push(go_async(body)),
            2 => crowd.threads.push(thread::spawn(move || gosched::wait(body))),
            _ => crowd.threads.push(thread::spawn(move || block_on(body))),
        }
    }
    crowd
}

impl<T: Send + 'static> Crowd<T> {
    fn join(self) -> Vec<T> {
        let mut all: Vec<T> = self.goroutines.into_iter().map(|one| one.join().unwrap()).collect();
        // Not std's join alone: it would block the worker that the threads may be waiting for.
        all.extend(self.threads.into_iter().map(|one| gosched::blocking(move || one.join().unwrap())));
        all
    }
}

/// Times that differ from call to call, and are the same in each run.
struct Moments(Dice);

impl Moments {
    fn new(seed: usize) -> Self {
        Self(Dice::new(seed as u64))
    }

    fn next(&mut self, below: u64) -> u64 {
        self.0.throw() % below
    }

    /// A context that ends at some moment soon.
    fn context(&mut self, parent: &Context) -> Context {
        parent.with_timeout(US * self.next(150) as u32).detach()
    }
}

/// Waits for `future` under a context that ends soon. Sometimes it does not look again after the first poll, and drops
/// the future at a moment at which it may have been served without knowing.
async fn hastily<F: Future>(moments: &mut Moments, future: F) -> Result<F::Output, ContextError> {
    let ctx = moments.context(&background());
    if moments.next(2) == 0 {
        return ctx.wait_async(future).await;
    }
    let mut waiting = Box::pin(ctx.wait_async(future));
    let first = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
    if let Poll::Ready(result) = first {
        return result;
    }
    sleep_async(US * moments.next(150) as u32).await;
    Err(EXCEEDED)
}

const CROWD: usize = 8;
const ROUNDS: usize = 250;

#[test]
fn storm_of_locks_given_up_loses_no_lock() {
    everywhere(|| {
        let total = Arc::new(Mutex::new(0));
        let locked = crowd(CROWD, |n| {
            let total = total.clone();
            async move {
                let (mut moments, mut locked) = (Moments::new(n), 0);
                for _ in 0..ROUNDS {
                    if let Ok(mut guard) = hastily(&mut moments, total.lock_async()).await {
                        let before = *guard;
                        sleep_async(US * moments.next(30) as u32).await;
                        *guard = before + 1;
                        locked += 1;
                    }
                }
                locked
            }
        });
        let locked: usize = locked.join().into_iter().sum();
        assert_eq!(total.try_lock().map(|total| *total), Some(locked));
        assert!(locked > 0);
    });
}

#[test]
fn storm_of_wait_groups_given_up_loses_no_wake() {
    everywhere(|| {
        let (wg, over) = (WaitGroup::new(), Arc::new(AtomicBool::new(false)));
        let waits = crowd(CROWD, |n| {
            let (wg, over) = (wg.clone(), over.clone());
            async move {
                let (mut moments, mut waited) = (Moments::new(n), 0);
                for _ in 0..ROUNDS {
                    waited += usize::from(hastily(&mut moments, wg.wait_async()).await.is_ok());
                }
                // A patient one: it must be told of the last zero, whoever gave up beside it.
                while !over.load(Ordering::Acquire) {
                    wg.wait_async().await;
                    sleep_async(US * 50).await;
                }
                waited
            }
        });
        let mut moments = Moments::new(99);
        for _ in 0..ROUNDS {
            wg.add(2);
            sleep(US * moments.next(40) as u32);
            wg.done();
            wg.done();
        }
        over.store(true, Ordering::Release);
        assert!(waits.join().into_iter().sum::<usize>() > 0);
        assert_eq!(format!("{wg:?}"), "WaitGroup { count: 0, waiting: 0 }");
    });
}

#[test]
fn storm_of_condition_waits_given_up_swallows_no_signal() {
    everywhere(|| {
        struct Tokens {
            free: usize,
            over: bool,
        }
        let shared = Arc::new((Mutex::new(Tokens { free: 0, over: false }), Condvar::new()));
        let taken = crowd(CROWD, |n| {
            let shared = shared.clone();
            async move {
                let (tokens, changed) = &*shared;
                let (mut moments, mut taken) = (Moments::new(n), 0);
                // Half of them give up all the time, and look for tokens only when they were told of one: what they are
                // told of and leave, the others, who never give up, must be told of.
                let hasty = n % 8 < 4;
                let mut told = true;
                loop {
                    let mut guard = tokens.lock_async().await;
                    if guard.over {
                        return taken;
                    }
                    if told && guard.free > 0 {
                        guard.free -= 1;
                        taken += 1;
                    } else if hasty {
                        told = hastily(&mut moments, changed.wait_async(guard)).await.is_ok();
                    } else {
                        drop(changed.wait_async(guard).await);
                    }
                }
            }
        });
        let (tokens, changed) = &*shared;
        let mut moments = Moments::new(77);
        for _ in 0..ROUNDS {
            sleep(US * moments.next(60) as u32);
            tokens.lock().free += 1;
            changed.notify_one();
            common::eventually("the token is taken", || tokens.lock().free == 0);
        }
        tokens.lock().over = true;
        changed.notify_all();
        assert_eq!(taken.join().into_iter().sum::<usize>(), ROUNDS);
    });
}

/// A message that tells when it is dropped.
struct Message {
    id: usize,
    fate: Arc<Vec<AtomicUsize>>,
}

const SENT: usize = 1;
const RECEIVED: usize = 1 << 4;
const DROPPED: usize = 1 << 8;

impl Drop for Message {
    fn drop(&mut self) {
        self.fate[self.id].fetch_add(DROPPED, Ordering::Relaxed);
    }
}

fn storm_of_messages(capacity: Option<usize>) {
    let (tx, rx) = capacity.map_or_else(chan::unbounded, chan::bounded);
    let fate: Arc<Vec<AtomicUsize>> = Arc::new((0..CROWD * ROUNDS).map(|_| AtomicUsize::new(0)).collect());
    let senders = crowd(CROWD, |n| {
        let (tx, fate) = (tx.clone(), fate.clone());
        async move {
            let mut moments = Moments::new(n);
            for id in n * ROUNDS..(n + 1) * ROUNDS {
                let message = Message { id, fate: fate.clone() };
                match hastily(&mut moments, tx.send_async(message)).await {
                    Ok(Ok(())) => {
                        fate[id].fetch_add(SENT, Ordering::Relaxed);
                    }
                    Ok(Err(SendError(_))) => panic!("the receivers are there"),
                    Err(error) => assert_eq!(error, EXCEEDED),
                }
            }
        }
    });
    drop(tx);
    let receivers = crowd(CROWD, |n| {
        let rx = rx.clone();
        async move {
            let mut moments = Moments::new(n + CROWD);
            loop {
                match hastily(&mut moments, rx.recv_async()).await {
                    Ok(Ok(message)) => message.fate[message.id].fetch_add(RECEIVED, Ordering::Relaxed),
                    Ok(Err(RecvError)) => return,
                    Err(_) => continue,
                };
            }
        }
    });
    senders.join();
    receivers.join();
    assert!(rx.is_empty());
    let mut delivered = 0;
    for (id, fate) in fate.iter().enumerate() {
        let fate = fate.load(Ordering::Relaxed);
        assert_eq!(fate / DROPPED, 1, "message {id} was dropped once");
        let (received, sent) = (fate % DROPPED / RECEIVED, fate % RECEIVED);
        assert!(received <= 1, "message {id} was received {received} times");
        assert!(sent <= received, "message {id} was sent and lost");
        delivered += received;
    }
    assert!(delivered > 0);
}

#[test]
fn storm_of_sends_and_receives_given_up_loses_and_doubles_no_message() {
    everywhere(|| storm_of_messages(Some(0)));
    everywhere(|| storm_of_messages(Some(2)));
    everywhere(|| storm_of_messages(None));
}

#[test]
fn storm_of_joins_given_up_loses_no_output() {
    everywhere(|| {
        let outputs = crowd(CROWD, |n| async move {
            let (mut moments, mut sum, mut given_up) = (Moments::new(n), 0, 0);
            for i in 0..ROUNDS {
                let pause = US * moments.next(100) as u32;
                let mut child = go_async(async move {
                    sleep_async(pause).await;
                    i
                });
                let output = loop {
                    match hastily(&mut moments, &mut child).await {
                        Ok(output) => break output,
                        Err(_) => given_up += 1,
                    }
                };
                sum += output.unwrap();
            }
            (sum, given_up)
        });
        for (sum, _) in outputs.join() {
            assert_eq!(sum, ROUNDS * (ROUNDS - 1) / 2);
        }
    });
}

#[test]
fn storm_of_sleeps_given_up_wakes_nobody_early() {
    everywhere(|| {
        let ends = crowd(CROWD, |n| async move {
            let (mut moments, mut ends) = (Moments::new(n), [0, 0]);
            for _ in 0..ROUNDS {
                let (start, nap) = (Instant::now(), US * moments.next(150) as u32);
                let ctx = moments.context(&background());
                let result = ctx.wait_async(sleep_async(nap)).await;
                let earliest = if result.is_ok() { start + nap } else { ctx.deadline().unwrap() };
                assert!(Instant::now() >= earliest);
                ends[usize::from(result.is_ok())] += 1;
            }
            ends
        });
        for [given_up, slept] in ends.join() {
            assert_eq!(given_up + slept, ROUNDS);
        }
    });
}

#[test]
fn storm_of_cancels_ends_every_wait_once() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<Context>(CROWD);
        let waiters = crowd(CROWD, |_| {
            let rx = rx.clone();
            async move {
                let mut ended = 0;
                while let Ok(ctx) = rx.recv_async().await {
                    assert_eq!(ctx.wait_async(pending::<()>()).await, Err(CANCELED));
                    ended += 1;
                }
                ended
            }
        });
        let mut moments = Moments::new(5);
        let root = background().with_cancel();
        for n in 0..4 * ROUNDS {
            let owner = root.with_cancel();
            let ctx = if n % 2 == 0 { owner.with_value(n) } else { owner.with_timeout(HOUR).detach() };
            tx.send(ctx).unwrap();
            if moments.next(3) == 0 {
                sleep(US * moments.next(40) as u32);
            }
        }
        drop(tx);
        assert_eq!(waiters.join().into_iter().sum::<usize>(), 4 * ROUNDS);
    });
}
