//! Cancellation storms: futures given up at every moment, by the thousand, on two kinds of executor at once.
//!
//! A storm has a crowd of parties: goroutines, stackless ones, threads that wait, threads with a foreign executor, and
//! threads that poll by hand and only when the waker of the last poll was woken. Each does the same with dice of its
//! own. What it begins in haste ([`Party::hasty`]) is dropped at some moment: before the first poll, while it waits,
//! when it has been served and does not know, inside of a context's wait; or it is handed, as it waits, to a plain
//! thread, which polls and drops it as it likes. The futures keep the accounts themselves.
//!
//! `GOSCHED_STORM_SEED=n` runs the storm of that seed alone, twenty times.

#![allow(dead_code)]

use crate::common::{Dice, Mode, PATIENCE, block_on, bounded_as, modes};
use gosched::context::background;
use gosched::time::clock::Clock;
use gosched::time::{sleep_async, timeout_async};
use gosched::{JoinHandle, Runtime, go, go_async, wait};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const US: Duration = Duration::from_micros(1);

/// How many storms there are of each kind in each mode.
const SEEDS: u64 = 3;
/// Two parties of each kind.
pub(crate) const PARTIES: usize = 10;

type Doomed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a storm for each seed in each mode, as the main goroutine.
#[track_caller]
pub(crate) fn storm(body: fn(Dice)) {
    for mode in modes() {
        storm_in(mode, body);
    }
}

/// The same with clocks that are moved by hand.
#[track_caller]
pub(crate) fn storm_by_hand(body: fn(Dice, &Clock)) {
    for name in ["one worker", "two workers", "threads"] {
        let clock = Clock::manual();
        let builder = Runtime::builder().clock(&clock).workers(1 + usize::from(name != "one worker"));
        let builder = if name == "threads" { builder.os_threads() } else { builder };
        let mode = Mode { name, runtime: builder.build().unwrap() };
        storm_in(mode, move |dice| body(dice, &clock));
    }
}

#[track_caller]
fn storm_in(Mode { name, runtime }: Mode, body: impl Fn(Dice) + Send + Sync + 'static) {
    let only = std::env::var("GOSCHED_STORM_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let (runtime, body) = (Arc::new(runtime), Arc::new(body));
    for seed in only.map_or((0..SEEDS).collect(), |seed| vec![seed; 20]) {
        let (runtime, body) = (runtime.clone(), body.clone());
        let ran = catch_unwind(AssertUnwindSafe(|| {
            bounded_as(&format!("the storm of seed {seed} in {name} mode"), move || {
                runtime.run(|| body(Dice::new(seed)));
            });
        }));
        if let Err(panic) = ran {
            eprintln!("that was in {name} mode; GOSCHED_STORM_SEED={seed} runs it again");
            resume_unwind(panic);
        }
    }
}

/// One who takes part.
pub(crate) struct Party {
    pub(crate) id: usize,
    pub(crate) dice: Dice,
    reaper: mpsc::Sender<Doomed>,
}

impl Party {
    /// A while, or none at all.
    pub(crate) async fn pause(&mut self) {
        pause(self.dice.throw()).await;
    }

    /// Begins `future` and gives it up at a random moment, if it has not ended by then.
    pub(crate) async fn hasty(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        let mut doomed: Doomed = Box::pin(future);
        match self.dice.below(10) {
            0 => return,
            1 => {
                let ctx = background().with_timeout(self.moment());
                let _ = ctx.wait_async(doomed).await;
                return;
            }
            2 => {
                let limit = self.moment();
                let _ = timeout_async(limit, doomed).await;
                return;
            }
            _ => {}
        }
        let mut by_hand = Arc::<Wakes>::default();
        let own_waker = self.dice.below(2) == 0;
        for look in 0..=self.dice.below(3) {
            let done = if own_waker {
                poll_fn(|cx| Poll::Ready(doomed.as_mut().poll(cx))).await
            } else {
                // Looks when it was told, and now and then all the same.
                if look > 0 && by_hand.count() == 0 && self.dice.below(2) == 0 {
                    break;
                }
                by_hand = Arc::default();
                doomed.as_mut().poll(&mut Context::from_waker(&Waker::from(by_hand.clone())))
            };
            if done.is_ready() {
                return;
            }
            self.pause().await;
        }
        if self.dice.below(2) == 0 {
            // The reaper stays until all parties have ended.
            self.reaper.send(doomed).expect("the reaper is there");
        }
    }

    fn moment(&mut self) -> Duration {
        US * self.dice.below(150) as u32
    }
}

/// A while that depends on `n`, or none at all.
pub(crate) async fn pause(n: u64) {
    match n % 6 {
        0 => {}
        1 => (0..n / 6 % 200).for_each(|_| std::hint::spin_loop()),
        2..=4 => {
            for _ in 0..=n / 6 % 3 {
                step_back().await;
            }
        }
        _ => sleep_async(US * (n / 6 % 100) as u32).await,
    }
}

/// Lets others run first, on any executor.
async fn step_back() {
    let mut done = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut done, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls on this thread: with a new waker each time, and again only when that one was woken.
fn by_hand<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let wakes = Arc::<Wakes>::default();
        if let Poll::Ready(output) =
            future.as_mut().poll(&mut Context::from_waker(&Waker::from(wakes.clone())))
        {
            return output;
        }
        let (begin, mut looks) = (Instant::now(), 0_u32);
        while wakes.count() == 0 {
            assert!(begin.elapsed() < PATIENCE, "one who waits is not told");
            looks += 1;
            if looks < 20 { thread::yield_now() } else { thread::sleep(20 * US) }
        }
    }
}

/// Takes over futures that wait, polls them now and then, by hand, and drops them.
fn reap(mut dice: Dice, doomed: mpsc::Receiver<Doomed>) {
    let mut held: Vec<(Doomed, Arc<Wakes>)> = Vec::new();
    loop {
        while held.len() < 4
            && let Ok(future) = doomed.try_recv()
        {
            held.push((future, Arc::default()));
        }
        if held.is_empty() {
            let Ok(future) = doomed.recv() else { return };
            held.push((future, Arc::default()));
        }
        let at = dice.below(held.len());
        if dice.below(2) == 0 {
            drop(held.swap_remove(at));
            continue;
        }
        let (future, wakes) = &mut held[at];
        if wakes.count() > 0 || dice.below(2) == 0 {
            *wakes = Arc::default();
            let waker = Waker::from(wakes.clone());
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                drop(held.swap_remove(at));
            }
        }
        if dice.below(3) == 0 {
            thread::yield_now();
        }
    }
}

/// The parties of a storm.
pub(crate) struct Crowd<T> {
    goroutines: Vec<JoinHandle<T>>,
    threads: Vec<thread::JoinHandle<T>>,
    reaper: Option<(mpsc::Sender<Doomed>, thread::JoinHandle<()>)>,
}

/// Starts [`PARTIES`] parties.
pub(crate) fn crowd<F>(dice: &mut Dice, body: impl FnMut(Party) -> F) -> Crowd<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    crowd_with(dice, None, body)
}

/// The same; threads use `clock`.
pub(crate) fn crowd_with<F>(
    dice: &mut Dice,
    clock: Option<&Clock>,
    mut body: impl FnMut(Party) -> F,
) -> Crowd<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn thread<T: Send + 'static>(
        clock: Option<&Clock>,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let clock = clock.cloned();
        thread::spawn(move || {
            let _entered = clock.as_ref().map(Clock::enter);
            f()
        })
    }
    let (tx, rx) = mpsc::channel();
    let reaper_dice = Dice::new(dice.throw());
    let reaper = thread(clock, move || reap(reaper_dice, rx));
    let (mut goroutines, mut threads) = (Vec::new(), Vec::new());
    for id in 0..PARTIES {
        let body = body(Party { id, dice: Dice::new(dice.throw()), reaper: tx.clone() });
        match id % 5 {
            0 => goroutines.push(go(move || wait(body))),
            1 => goroutines.push(go_async(body)),
            2 => threads.push(thread(clock, move || wait(body))),
            3 => threads.push(thread(clock, move || block_on(body))),
            _ => threads.push(thread(clock, move || by_hand(body))),
        }
    }
    Crowd { goroutines, threads, reaper: Some((tx, reaper)) }
}

impl<T: Send + 'static> Crowd<T> {
    /// Whether all parties have ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.goroutines.iter().all(JoinHandle::is_finished)
            && self.threads.iter().all(thread::JoinHandle::is_finished)
    }

    /// Waits for the end of all, and until everything that was given up has been dropped.
    pub(crate) fn join(mut self) -> Vec<T> {
        let mut all: Vec<T> = self.goroutines.drain(..).map(|one| one.join().unwrap()).collect();
        // Not std's join alone: it would block the worker that the threads may be waiting for.
        all.extend(self.threads.drain(..).map(|one| gosched::blocking(move || one.join().unwrap())));
        let (tx, reaper) = self.reaper.take().expect("joined once");
        drop(tx);
        gosched::blocking(move || reaper.join().unwrap());
        all
    }
}

/// Moves the clock whenever somebody waits for it until all have ended; then no timer is left.
pub(crate) fn let_time_pass(clock: &Clock, parties: Crowd<()>) {
    let begin = Instant::now();
    while !parties.is_finished() {
        assert!(begin.elapsed() < PATIENCE, "time passes, and somebody waits for ever");
        if clock.timers() > 0 {
            clock.advance(10 * US);
        }
        gosched::yield_now();
    }
    parties.join();
    assert_eq!(clock.timers(), 0, "a timer is left");
}

/// Who is inside of something that excludes others.
#[derive(Default)]
pub(crate) struct Gauge(AtomicUsize);

pub(crate) struct Inside<'a>(&'a Gauge, usize);

impl Gauge {
    /// Goes in with the weight `n`; fails if there is more than `limit` inside then.
    #[track_caller]
    pub(crate) fn enter(&self, n: usize, limit: usize) -> Inside<'_> {
        let inside = self.0.fetch_add(n, Ordering::SeqCst) + n;
        assert!(inside <= limit, "{inside} are inside, and {limit} may be");
        Inside(self, n)
    }

    pub(crate) fn inside(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

/// A value of which it is known how many there are.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(live.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
