//! Timers: a store of (instant, waker) pairs, and a thread that serves those without a worker.
//!
//! [`Timers`] is a [`store`] behind a short lock: what is due soon roughly sorted in a [`ring`], what is due later in a
//! [`heap`]. Deadlines are exact; only the question "when is the next one", which every worker asks before it sleeps, may
//! be answered with a time half a millisecond too early, after timers have been cancelled.
//!
//! # Who may do what
//!
//! - Wakers are cloned, woken and dropped outside the lock only: they are user code.
//! - The store grows outside the lock: [`Timers::insert`] allocates a larger one, then moves the timers.
//! - `next` is written under the lock and read without. It and the question "has the earliest become
//!   earlier" are what a sleeper needs: whoever inserts stores `next` and then looks whether somebody
//!   sleeps; whoever goes to sleep says so and then reads `next`. Both accesses here are sequentially
//!   consistent, so that with sequentially consistent accesses to the sleeper's own word at least one of
//!   the two sees the other.

#[cfg(not(loom))]
pub(crate) mod coarse;
pub(crate) mod driver;
mod heap;
pub(crate) mod manual;
mod ring;
#[cfg(not(loom))]
mod shards;
mod store;

use crate::sys::global::OnceLock;
use crate::sys::lock::{Spin, SpinGuard};
use crate::sys::prim::{AtomicU64, Ordering};
use crate::sys::threads::discard_payload;
use manual::Manual;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use store::{Room, Store};

#[cfg(not(loom))]
pub(crate) use shards::Shards;
pub(crate) use store::TimerKey;

/// The time, as everything that a user can wait for reads it: the machine's, or on threads that have one the clock
/// that is moved by hand ([`manual`]).
#[inline]
pub(crate) fn now() -> Instant {
    match manual::here() {
        None => real_now(),
        Some(clock) => clock.now(),
    }
}

/// The machine's time: for what the library does of its own accord, such as parking its threads.
#[inline]
pub(crate) fn real_now() -> Instant {
    Instant::now()
}

/// A clock that a test moves by hand, instead of the machine's that runs by itself.
///
/// A clone is the same clock. See [`time::clock`](crate::time::clock) for what reads it.
///
/// ```
/// use gosched::time::{clock::Clock, sleep};
/// use std::time::Duration;
///
/// let clock = Clock::manual();
/// let mover = clock.clone();
/// let sleeper = std::thread::spawn(move || {
///     let _here = clock.enter();
///     sleep(Duration::from_secs(3600));
/// });
/// while mover.timers() == 0 {
///     std::thread::yield_now(); // it is not asleep yet
/// }
/// mover.advance(Duration::from_secs(3600));
/// sleeper.join().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    pub(crate) manual: Arc<Manual>,
}

/// No timer.
pub(crate) const NEVER: u64 = u64::MAX;
/// The latest deadline that can be told from none, 584 years after the process began.
const LATEST: u64 = u64::MAX - 1;
/// How many timers expire per hold of the lock.
const BATCH: usize = 32;

/// A store of timers, shared by those who insert and the one who waits for the earliest.
#[derive(Debug)]
pub(crate) struct Timers {
    /// What no deadline is before, as [`to_nanos`] gives it, or [`NEVER`].
    next: AtomicU64,
    store: Spin<Store>,
}

impl Timers {
    /// An empty store, which owns no memory.
    pub(crate) fn new() -> Self {
        Self { next: AtomicU64::new(NEVER), store: Spin::new(Store::new()) }
    }

    /// Adds a timer; it is about `now`. The second value tells whether it is earlier than all others, so that a sleeper who
    /// waits for the earliest must be woken. An instant of the past is due at once, one too far away to
    /// count never comes.
    pub(crate) fn insert(&self, now: Instant, at: Instant, waker: Waker) -> (TimerKey, bool) {
        let at = to_nanos(at);
        let mut room: Option<Room> = None;
        let mut store = self.store.lock();
        while store.is_full() {
            let capacity = store.next_capacity();
            match room.take().filter(|room| room.capacity() >= capacity) {
                // What comes back is the old memory, which must not be freed under the lock either.
                Some(larger) => room = Some(store.move_to(larger)),
                None => {
                    drop(store);
                    room = Some(Room::with_capacity(capacity));
                    store = self.store.lock();
                }
            }
        }
        let key = store.insert(to_nanos(now), at, waker);
        let first = self.publish(&store);
        drop(store);
        (key, first)
    }

    /// Removes a timer and returns its waker, for the caller to drop. `None` if it has expired or was
    /// cancelled before.
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        let mut store = self.store.lock();
        let waker = store.remove(key)?;
        self.publish(&store);
        Some(waker)
    }

    /// Gives a timer another deadline and another waker, which is cloned only if it differs. `None` if the
    /// timer has expired or was cancelled before; else whether the earliest deadline has become earlier.
    pub(crate) fn update(&self, key: TimerKey, at: Instant, waker: &Waker) -> Option<bool> {
        let at = to_nanos(at);
        let mut fresh: Option<Waker> = None;
        loop {
            let mut store = self.store.lock();
            let Some(stored) = store.waker_mut(key) else {
                // The clone, if there is one, must not be dropped under the lock.
                drop(store);
                return None;
            };
            if !stored.will_wake(waker) {
                let Some(fresh) = &mut fresh else {
                    drop(store);
                    fresh = Some(waker.clone());
                    continue;
                };
                // The old waker leaves in the variable of the new one, and is dropped after the lock.
                mem::swap(stored, fresh);
            }
            store.reposition(key, at);
            let earlier = self.publish(&store);
            drop(store);
            return Some(earlier);
        }
    }

    /// When the earliest timer is due. Looks at all of them.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        from_nanos(self.store.lock().earliest())
    }

    /// Until when nothing is due. One atomic read. A look at that time may find nothing due yet, if timers were cancelled.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        from_nanos(self.next_nanos())
    }

    /// The same as [`to_nanos`] counts, or [`NEVER`].
    #[inline]
    pub(crate) fn next_nanos(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// Takes the wakers of timers that are due at `now`, in the order of their deadlines, and appends them
    /// to `out`. At most a batch, for the sake of those who wait for the lock: true if more are due. The
    /// caller wakes them.
    #[must_use]
    pub(crate) fn expire(&self, now: Instant, out: &mut Vec<Waker>) -> bool {
        let now = to_nanos(now);
        if self.next.load(Ordering::SeqCst) > now {
            return false;
        }
        out.reserve(BATCH);
        let mut store = self.store.lock();
        store.pop_due(now, BATCH, |waker| out.push(waker));
        self.publish(&store);
        store.first() <= now
    }

    /// Wakes all that is due at `now`, in the order of their deadlines. `due` is scratch space, empty before and after.
    pub(crate) fn fire(&self, now: Instant, due: &mut Vec<Waker>) {
        self.fire_with(now, due, |due| {
            for waker in due.drain(..) {
                // A foreign waker may panic. Its message is printed; neither the other timers nor the caller
                // must suffer.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                    discard_payload(payload);
                }
            }
        });
    }

    /// The same where the caller knows how to wake: `wake_all` empties what it is given. How many there were.
    pub(crate) fn fire_with(
        &self,
        now: Instant,
        due: &mut Vec<Waker>,
        wake_all: impl Fn(&mut Vec<Waker>),
    ) -> usize {
        let mut count = 0;
        loop {
            let more = self.expire(now, due);
            count += due.len();
            wake_all(due);
            if !more {
                return count;
            }
        }
    }

    /// How many timers are live.
    pub(crate) fn len(&self) -> usize {
        self.store.lock().len()
    }

    /// Makes the store's first deadline known; true if it has become earlier.
    fn publish(&self, store: &SpinGuard<'_, Store>) -> bool {
        let first = store.first();
        // Relaxed: only holders of the lock write it.
        let before = self.next.load(Ordering::Relaxed);
        if first != before {
            self.next.store(first, Ordering::SeqCst);
        }
        first < before
    }
}

/// The instant that counts as zero: an early one of this process.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(real_now)
}

/// Nanoseconds since [`epoch`]. Instants before it count as zero, those beyond [`LATEST`] as that.
pub(crate) fn to_nanos(at: Instant) -> u64 {
    let since = at.saturating_duration_since(epoch());
    u64::try_from(since.as_nanos()).unwrap_or(LATEST).min(LATEST)
}

fn from_nanos(at: u64) -> Option<Instant> {
    (at != NEVER).then(|| to_instant(at))
}

/// The instant of a number that [`to_nanos`] returned.
pub(crate) fn to_instant(nanos: u64) -> Instant {
    let mut since = Duration::from_nanos(nanos);
    loop {
        // Systems whose instants end before 584 years get a nearer one, at which nothing will be due yet.
        match epoch().checked_add(since) {
            Some(at) => return at,
            None => since /= 2,
        }
    }
}

#[cfg(test)]
mod tests;
