//! Cancellation storms of `sync`: whatever waits there may be given up at any moment, and nothing is lost by it (each
//! type's docs, "Cancellation"; FEATURES X20). See `common/storm.rs` for what a storm is.
#![cfg(not(loom))]
#![allow(non_snake_case)]
// Clippy takes the guards for those of a lock that blocks the thread.
#![allow(clippy::await_holding_lock)]

mod common;
#[path = "common/storm.rs"]
mod storm;

use common::eventually;
use gosched::sync::{
    Barrier, Condvar, LazyLock, LockAsync, Mutex, Once, OnceCell, RwLock, RwLockAsync, RwLockWriteGuard,
    Semaphore, SingleFlight, WaitGroup,
};
use gosched::{go, time, yield_now};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use storm::{Counted, Gauge, PARTIES, US, crowd, pause, storm};

/// What each party does, one after the other.
const ROUNDS: usize = 200;

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// One of a queue of two leaves and the other is served: so it goes with a lock that is as new.
fn serves_two<F: Future>(mut make: impl FnMut() -> F, release: impl FnOnce()) {
    let mut queue = || {
        let mut future = Box::pin(make());
        assert!(poll(&mut future).is_pending());
        future
    };
    let (one, mut two) = (queue(), queue());
    release();
    drop(one);
    assert!(poll(&mut two).is_ready());
}

// ---- locks -----------------------------------------------------------------------------------------------

#[derive(Default)]
struct Locked {
    total: Mutex<usize>,
    gauge: Gauge,
    added: AtomicUsize,
}

impl Locked {
    /// May be given up while it waits, and also while it holds the lock.
    async fn add(self: Arc<Self>, n: u64) {
        let mut total = self.total.lock_async().await;
        let _alone = self.gauge.enter(1, 1);
        let before = *total;
        pause(n).await;
        *total = before + 1;
        self.added.fetch_add(1, SeqCst);
    }

    fn add_in_time(&self, limit: Duration) {
        if let Some(mut total) = self.total.try_lock_for(limit) {
            let _alone = self.gauge.enter(1, 1);
            *total += 1;
            self.added.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn mutexes_given_up_lose_no_lock_and_no_wake_up() {
    storm(|mut dice| {
        let locked = Arc::new(Locked::default());
        let parties = crowd(&mut dice, |mut party| {
            let locked = locked.clone();
            async move {
                for _ in 0..ROUNDS {
                    let n = party.dice.throw();
                    match party.dice.below(8) {
                        0 => locked.clone().add(n).await,
                        1 => locked.add_in_time(US * (n % 100) as u32),
                        _ => party.hasty(locked.clone().add(n)).await,
                    }
                }
            }
        });
        parties.join();
        let total = locked.total.try_lock().expect("free in the end");
        assert_eq!((*total, locked.gauge.inside()), (locked.added.load(SeqCst), 0));
        assert!(*total >= PARTIES);
        serves_two(|| locked.total.lock_async(), || drop(total));
        assert!(!locked.total.is_locked());
    });
}

/// Readers are 1 each and a writer is all of them.
const ALL: usize = 1000;

#[derive(Default)]
struct Shared {
    total: RwLock<usize>,
    gauge: Gauge,
    written: AtomicUsize,
    read: AtomicUsize,
}

impl Shared {
    fn note(&self, total: &mut usize) {
        *total += 1;
        self.written.fetch_add(1, SeqCst);
    }

    async fn write(self: Arc<Self>, n: u64) {
        let mut total = self.total.write_async().await;
        let alone = self.gauge.enter(ALL, ALL);
        let before = *total;
        pause(n).await;
        *total = before;
        self.note(&mut total);
        if n.is_multiple_of(3) {
            drop(alone);
            let total = RwLockWriteGuard::downgrade(total);
            let _with_others = self.gauge.enter(1, ALL);
            pause(n / 3).await;
            assert_eq!(*total, before + 1, "no writer was in between");
        }
    }

    async fn read(self: Arc<Self>, n: u64) {
        let total = self.total.read_async().await;
        let _with_others = self.gauge.enter(1, ALL);
        let before = *total;
        pause(n).await;
        assert_eq!(*total, before);
        self.read.fetch_add(1, SeqCst);
    }

    fn in_time(&self, writes: bool, limit: Duration) {
        if writes {
            if let Some(mut total) = self.total.try_write_for(limit) {
                let _alone = self.gauge.enter(ALL, ALL);
                self.note(&mut total);
            }
        } else if let Some(_total) = self.total.try_read_for(limit) {
            let _with_others = self.gauge.enter(1, ALL);
        }
    }
}

#[test]
fn rwlocks_given_up_lose_no_lock_and_keep_nobody_out() {
    storm(|mut dice| {
        let shared = Arc::new(Shared::default());
        let parties = crowd(&mut dice, |mut party| {
            let shared = shared.clone();
            async move {
                for _ in 0..ROUNDS {
                    let (n, own) = (party.dice.throw(), shared.clone());
                    match party.dice.below(12) {
                        0 => own.write(n).await,
                        1 => own.read(n).await,
                        2 => shared.in_time(n.is_multiple_of(2), US * (n % 100) as u32),
                        3..=6 => party.hasty(own.write(n)).await,
                        _ => party.hasty(own.read(n)).await,
                    }
                }
            }
        });
        parties.join();
        assert!(!shared.total.is_locked());
        let total = shared.total.try_write().expect("free in the end");
        assert_eq!((*total, shared.gauge.inside()), (shared.written.load(SeqCst), 0));
        assert!(*total > 0 && shared.read.load(SeqCst) > 0);
        serves_two(|| shared.total.write_async(), || drop(total));
        let total = shared.total.write();
        serves_two(|| shared.total.read_async(), || drop(total));
        // A writer that leaves lets in those that it kept out.
        let total = shared.total.read();
        let (mut writer, mut reader) =
            (Box::pin(shared.total.write_async()), Box::pin(shared.total.read_async()));
        assert!(poll(&mut writer).is_pending() && poll(&mut reader).is_pending());
        drop(writer);
        assert!(poll(&mut reader).is_ready());
        drop(total);
        assert!(!shared.total.is_locked());
    });
}

// ---- conditions ------------------------------------------------------------------------------------------

#[derive(Default)]
struct Tokens {
    state: Mutex<TokenState>,
    changed: Condvar,
}

#[derive(Default)]
struct TokenState {
    free: usize,
    taken: usize,
    over: bool,
}

impl Tokens {
    /// Takes a token, in time.
    async fn take(self: Arc<Self>, n: u64) {
        let mut state = self.state.lock_async().await;
        while state.free == 0 && !state.over {
            state = self.changed.wait_async(state).await;
        }
        state.take(n).await;
    }

    /// Takes a token if it is told of one, and only then: if what it was told of is lost with it, nothing heals that.
    async fn take_if_told(self: Arc<Self>, n: u64) {
        let state = self.state.lock_async().await;
        if !state.over {
            self.changed.wait_async(state).await.take(n).await;
        }
    }
}

impl TokenState {
    /// Keeps the others waiting for the mutex, some time. (Given up meanwhile, it has taken its token.)
    async fn take(&mut self, n: u64) {
        if self.free > 0 {
            self.free -= 1;
            self.taken += 1;
            pause(n).await;
        }
    }
}

#[test]
fn condition_waits_given_up_swallow_no_signal() {
    storm(|mut dice| {
        let tokens = Arc::new(Tokens::default());
        let parties = crowd(&mut dice, |mut party| {
            let tokens = tokens.clone();
            async move {
                // Half of them give up all the time. What they are told of and leave, the others must be told of.
                while !tokens.state.lock_async().await.over {
                    let n = party.dice.throw();
                    if party.id < PARTIES / 2 {
                        party.hasty(tokens.clone().take_if_told(n)).await;
                    } else {
                        tokens.clone().take(n).await;
                    }
                }
            }
        });
        for _ in 0..ROUNDS {
            let some = 1 + dice.below(4);
            {
                // Told while they cannot get at the mutex: some are given up on their way to it.
                let mut state = tokens.state.lock();
                state.free += some;
                for _ in 0..some {
                    tokens.changed.notify_one();
                }
                gosched::wait(pause(dice.throw()));
            }
            eventually("the tokens are taken", || tokens.state.lock().free == 0);
            tokens.state.lock().taken -= some;
            if dice.below(8) == 0 {
                tokens.changed.notify_all();
            }
        }
        tokens.state.lock().over = true;
        tokens.changed.notify_all();
        parties.join();
        let mut state = tokens.state.try_lock().expect("free in the end");
        assert_eq!((state.free, state.taken), (0, 0));
        assert!(!tokens.changed.notify_one(), "nobody is left in the queue");
        state.over = false;
        drop(state);
        serves_two(|| tokens.changed.wait_async(tokens.state.lock()), || _ = tokens.changed.notify_one());
    });
}

// ---- what happens once -----------------------------------------------------------------------------------

const CELLS: usize = 30;

#[test]
fn initialisations_given_up_leave_the_cell_to_the_next() {
    struct Cell {
        value: OnceCell<Counted>,
        gauge: Gauge,
        live: Arc<AtomicUsize>,
        made: AtomicUsize,
    }
    impl Cell {
        async fn init(self: Arc<Self>, n: u64) {
            let made = async || {
                let _alone = self.gauge.enter(1, 1);
                pause(n).await;
                match n % 5 {
                    0 => Err(()),
                    _ => {
                        self.made.fetch_add(1, SeqCst);
                        Ok(Counted::new(&self.live))
                    }
                }
            };
            if self.value.get_or_try_init_async(made).await.is_ok() {
                assert!(self.value.get().is_some());
            }
        }

        fn make(&self) -> Counted {
            let _alone = self.gauge.enter(1, 1);
            self.made.fetch_add(1, SeqCst);
            Counted::new(&self.live)
        }

        fn init_now(&self) {
            self.value.get_or_init(|| self.make());
        }

        fn init_in_time(&self, limit: Duration) {
            // Now and then only, so that the others have something to do.
            if limit > 90 * US && self.value.get_or_init_timeout(|| self.make(), limit).is_some() {
                assert!(self.value.get().is_some());
            }
        }
    }
    storm(|mut dice| {
        let live = Arc::new(AtomicUsize::new(0));
        let cell = || Cell {
            value: OnceCell::new(),
            gauge: Gauge::default(),
            live: live.clone(),
            made: AtomicUsize::new(0),
        };
        let cells: Vec<_> = (0..CELLS).map(|_| Arc::new(cell())).collect();
        let parties = crowd(&mut dice, |mut party| {
            let cells = cells.clone();
            async move {
                for cell in cells {
                    for _ in 0..3 {
                        let n = party.dice.throw();
                        party.hasty(cell.clone().init(n)).await;
                    }
                    cell.init_in_time(US * party.dice.below(100) as u32);
                    // In the end everybody insists.
                    if party.dice.below(2) == 0 {
                        cell.init_now()
                    } else {
                        cell.clone().init(1).await
                    }
                    assert!(cell.value.get().is_some());
                }
            }
        });
        parties.join();
        assert!(cells.iter().all(|cell| cell.made.load(SeqCst) == 1 && cell.gauge.inside() == 0));
        assert_eq!(live.load(SeqCst), CELLS);
        drop(cells);
        assert_eq!(live.load(SeqCst), 0);
    });
}

#[test]
fn waits_for_what_happens_once_given_up_take_nobody_along() {
    type Lazy = LazyLock<Counted, Box<dyn FnOnce() -> Counted + Send>>;
    struct Pair {
        once: Once,
        gauge: Gauge,
        runs: AtomicUsize,
        lazy: Lazy,
    }
    impl Pair {
        fn work(&self) {
            let _alone = self.gauge.enter(1, 1);
            yield_now();
            self.runs.fetch_add(1, SeqCst);
            time::sleep(20 * US);
        }
    }
    storm(|mut dice| {
        let live = Arc::new(AtomicUsize::new(0));
        let pair = || {
            let live = live.clone();
            let make = move || {
                let value = Counted::new(&live);
                time::sleep(20 * US);
                value
            };
            let lazy = LazyLock::new(Box::new(make) as Box<dyn FnOnce() -> Counted + Send>);
            Pair { once: Once::new(), gauge: Gauge::default(), runs: AtomicUsize::new(0), lazy }
        };
        let pairs: Vec<_> = (0..CELLS).map(|_| Arc::new(pair())).collect();
        let parties = crowd(&mut dice, |mut party| {
            let pairs = pairs.clone();
            async move {
                for pair in pairs {
                    for _ in 0..2 {
                        let own = pair.clone();
                        party.hasty(async move { own.once.call_once_async(|| own.work()).await }).await;
                        let own = pair.clone();
                        party.hasty(async move { _ = LazyLock::force_async(&own.lazy).await }).await;
                    }
                    let limit = US * party.dice.below(100) as u32;
                    if pair.once.call_once_timeout(|| pair.work(), limit) {
                        assert_eq!(pair.runs.load(SeqCst), 1);
                    }
                    if LazyLock::force_timeout(&pair.lazy, limit).is_some() {
                        assert!(LazyLock::get(&pair.lazy).is_some());
                    }
                    pair.once.call_once_async(|| pair.work()).await;
                    assert_eq!((pair.once.is_completed(), pair.runs.load(SeqCst)), (true, 1));
                    LazyLock::force_async(&pair.lazy).await;
                    assert!(LazyLock::get(&pair.lazy).is_some());
                }
            }
        });
        parties.join();
        assert_eq!(live.load(SeqCst), CELLS);
        drop(pairs);
        assert_eq!(live.load(SeqCst), 0);
    });
}

// ---- wait groups and barriers ----------------------------------------------------------------------------

const WG_ROUNDS: usize = 300;

/// Waits for a condition that mostly comes at once.
fn await_soon(mut condition: impl FnMut() -> bool) {
    let mut looks = 0_u32;
    while !condition() {
        looks += 1;
        if looks.is_multiple_of(100) { time::sleep(50 * US) } else { yield_now() }
    }
}

#[test]
fn wait_group_waits_given_up_take_no_zero_from_others() {
    #[derive(Default)]
    struct Watched {
        wg: WaitGroup,
        opened: AtomicUsize,
        closed: AtomicUsize,
        waited: AtomicUsize,
    }
    impl Watched {
        async fn wait(self: Arc<Self>) {
            let round = self.opened.load(SeqCst);
            self.wg.wait_async().await;
            assert!(self.closed.load(SeqCst) >= round, "let go before the zero of its round");
            self.waited.fetch_add(1, SeqCst);
        }

        fn wait_in_time(&self, limit: Duration) {
            let round = self.opened.load(SeqCst);
            if self.wg.wait_timeout(limit) {
                assert!(self.closed.load(SeqCst) >= round, "let go before the zero of its round");
            }
        }
    }
    storm(|mut dice| {
        let (watched, over) = (Arc::new(Watched::default()), Arc::new(AtomicBool::new(false)));
        let parties = crowd(&mut dice, |mut party| {
            let (watched, over) = (watched.clone(), over.clone());
            async move {
                for _ in 0..ROUNDS {
                    match party.dice.below(8) {
                        0 => watched.clone().wait().await,
                        1 => watched.wait_in_time(US * party.dice.below(100) as u32),
                        _ => party.hasty(watched.clone().wait()).await,
                    }
                }
                // Told of each zero, whoever gives up beside it.
                while !over.load(SeqCst) {
                    watched.clone().wait().await;
                    party.pause().await;
                }
            }
        });
        // Another counts down, so that the next round begins while the waiters of the last one are released.
        let counter = {
            let watched = watched.clone();
            std::thread::spawn(move || {
                for round in 1..=WG_ROUNDS {
                    await_soon(|| watched.opened.load(SeqCst) >= round);
                    watched.closed.store(round, SeqCst);
                    watched.wg.done();
                }
            })
        };
        for round in 1..=WG_ROUNDS {
            watched.wg.add(1);
            watched.opened.store(round, SeqCst);
            if round.is_multiple_of(3) {
                gosched::wait(pause(dice.throw()));
            }
            await_soon(|| watched.closed.load(SeqCst) >= round);
        }
        gosched::blocking(|| counter.join().unwrap());
        over.store(true, SeqCst);
        parties.join();
        assert_eq!(format!("{:?}", watched.wg), "WaitGroup { count: 0, waiting: 0 }");
        assert!(watched.waited.load(SeqCst) >= PARTIES);
        watched.wg.add(1);
        serves_two(|| watched.wg.wait_async(), || watched.wg.done());
    });
}

#[test]
fn barrier_waits_given_up_leave_exact_rounds() {
    const SIZE: usize = 3;
    struct Counts {
        barrier: Barrier,
        leaders: AtomicUsize,
        others: AtomicUsize,
        given_up: AtomicUsize,
    }
    /// Counts those that are dropped before they knew.
    struct Arrival<'a>(&'a Counts, bool);
    impl Drop for Arrival<'_> {
        fn drop(&mut self) {
            self.0.given_up.fetch_add(usize::from(!self.1), SeqCst);
        }
    }
    impl Counts {
        async fn arrive(self: Arc<Self>) {
            let mut arrival = Arrival(&self, false);
            let leads = self.barrier.wait_async().await.is_leader();
            arrival.1 = true;
            self.count(leads);
        }

        fn count(&self, leads: bool) {
            if leads { &self.leaders } else { &self.others }.fetch_add(1, SeqCst);
        }
    }
    storm(|mut dice| {
        let counts = Arc::new(Counts {
            barrier: Barrier::new(SIZE),
            leaders: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
        });
        let parties = crowd(&mut dice, |mut party| {
            let counts = counts.clone();
            async move {
                for _ in 0..ROUNDS {
                    if party.dice.below(3) == 0 {
                        // No longer than that, since at the end some are left alone.
                        let limit = US * party.dice.below(500) as u32;
                        if let Some(result) = counts.barrier.wait_timeout(limit) {
                            counts.count(result.is_leader());
                        }
                    } else {
                        party.hasty(counts.clone().arrive()).await;
                    }
                }
            }
        });
        parties.join();
        assert_eq!(format!("{:?}", counts.barrier), "Barrier { size: 3, waiting: 0 }");
        let (leaders, others) = (counts.leaders.load(SeqCst), counts.others.load(SeqCst));
        let given_up = counts.given_up.load(SeqCst);
        // With each leader two go, of whom some may have been given up before they knew; leaders know at once.
        assert!(others <= 2 * leaders, "{others} were let go by {leaders} leaders");
        assert!(others + given_up >= 2 * leaders, "{leaders} leaders, {others} others, {given_up} given up");
        assert!(leaders > 0 && given_up > 0);
        // Nobody gives up any more: each round is complete.
        let led: Vec<_> = (0..SIZE)
            .map(|_| {
                let counts = counts.clone();
                go(move || (0..20).filter(|_| counts.barrier.wait().is_leader()).count())
            })
            .collect();
        assert_eq!(led.into_iter().map(|led| led.join().unwrap()).sum::<usize>(), 20);
    });
}

// ---- permits ---------------------------------------------------------------------------------------------

#[test]
fn acquisitions_of_all_weights_given_up_lose_no_permit() {
    const SIZE: usize = 7;
    struct Permits {
        semaphore: Semaphore,
        gauge: Gauge,
        entered: AtomicUsize,
    }
    impl Permits {
        async fn enter(self: Arc<Self>, weight: usize, n: u64) {
            let permits = self.semaphore.acquire_guard_async(weight).await;
            let _inside = self.gauge.enter(permits.permits(), SIZE);
            self.entered.fetch_add(1, SeqCst);
            pause(n).await;
        }

        fn in_time(&self, weight: usize, limit: Duration) {
            if self.semaphore.acquire_timeout(weight, limit) {
                drop(self.gauge.enter(weight, SIZE));
                self.semaphore.release(weight);
            }
        }
    }
    storm(|mut dice| {
        let semaphore = Semaphore::new(SIZE);
        let permits = Arc::new(Permits { semaphore, gauge: Gauge::default(), entered: AtomicUsize::new(0) });
        let parties = crowd(&mut dice, |mut party| {
            let permits = permits.clone();
            async move {
                for _ in 0..ROUNDS {
                    let (n, weight) = (party.dice.throw(), party.dice.below(SIZE + 1));
                    match party.dice.below(8) {
                        0 => permits.clone().enter(weight, n).await,
                        1 => permits.in_time(weight, US * (n % 100) as u32),
                        // More than there are: nobody is kept from anything by it.
                        2 => party.hasty(permits.clone().enter(SIZE + 1, n)).await,
                        _ => party.hasty(permits.clone().enter(weight, n)).await,
                    }
                }
            }
        });
        parties.join();
        assert_eq!(format!("{:?}", permits.semaphore), "Semaphore { size: 7, held: 0, waiting: 0 }");
        assert!(permits.entered.load(SeqCst) >= PARTIES && permits.gauge.inside() == 0);
        assert!(permits.semaphore.try_acquire(SIZE));
        serves_two(|| permits.semaphore.acquire_async(SIZE), || permits.semaphore.release(SIZE));
        permits.semaphore.release(SIZE);
        // A large request that leaves lets in those that it kept out.
        assert!(permits.semaphore.try_acquire(1));
        let large = &mut Box::pin(permits.semaphore.acquire_async(SIZE));
        let mut small = Box::pin(permits.semaphore.acquire_async(1));
        assert!(poll(large).is_pending() && poll(&mut small).is_pending());
        large.set(permits.semaphore.acquire_async(SIZE));
        assert!(poll(&mut small).is_ready());
    });
}

// ---- shared runs -----------------------------------------------------------------------------------------

#[test]
fn shared_runs_given_up_go_on_for_the_others() {
    const KEYS: usize = 3;
    #[derive(Default)]
    struct Key {
        gauge: Gauge,
        begun: AtomicUsize,
        ended: AtomicUsize,
        got: AtomicUsize,
        live: Arc<AtomicUsize>,
    }
    struct Flights {
        flight: SingleFlight<usize, (usize, Arc<Counted>)>,
        keys: [Key; KEYS],
    }
    impl Flights {
        async fn get(self: Arc<Self>, at: usize) {
            let own = self.clone();
            let before = self.keys[at].ended.load(SeqCst);
            let run = move || {
                let key = &own.keys[at];
                let _alone = key.gauge.enter(1, 1);
                let run = key.begun.fetch_add(1, SeqCst);
                yield_now();
                let value = Arc::new(Counted::new(&key.live));
                key.ended.fetch_add(1, SeqCst);
                (run, value)
            };
            let ((run, _value), _shared) = self.flight.run_async(at, run).await;
            let key = &self.keys[at];
            // The run that was under way when we came, or a later one; never one that was over. (It is over a moment
            // after it has counted itself as ended.)
            assert!(run + 1 >= before && run < key.begun.load(SeqCst), "{run} {before}");
            key.got.fetch_add(1, SeqCst);
        }
    }
    storm(|mut dice| {
        let flights = Arc::new(Flights { flight: SingleFlight::new(), keys: Default::default() });
        let parties = crowd(&mut dice, |mut party| {
            let flights = flights.clone();
            async move {
                for _ in 0..ROUNDS / 2 {
                    let key = party.dice.below(KEYS);
                    match party.dice.below(4) {
                        0 => flights.clone().get(key).await,
                        _ => party.hasty(flights.clone().get(key)).await,
                    }
                }
            }
        });
        parties.join();
        for (at, key) in flights.keys.iter().enumerate() {
            // Runs whose callers have gone end by themselves, and take their values with them.
            eventually("no value is left", || key.live.load(SeqCst) == 0 && key.gauge.inside() == 0);
            assert_eq!(key.begun.load(SeqCst), key.ended.load(SeqCst));
            assert!(key.got.load(SeqCst) > 0);
            let value = Arc::new(Counted::new(&key.live));
            eventually("the key is free", || flights.flight.run(at, || (7777, value.clone())).0.0 == 7777);
        }
    });
}
