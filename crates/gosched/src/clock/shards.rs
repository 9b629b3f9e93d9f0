//! The timers of a runtime: a store for each of its workers.
//!
//! A worker sets and fires timers of its own store, and so meets nobody at its lock, as a rule. Whoever sleeps until the
//! next timer, and whoever finds that a worker does not look after its own, sees to all of them.
//!
//! A sleeper must look again when a timer comes that is due before all others. Who inserts stores the deadline of its
//! store and then reads those of the other ones, all sequentially consistent: of two who do so at the same time, at least
//! the one with the earlier deadline (with equal ones, that of the lower number) sees that it is the first.

use super::{NEVER, TimerKey, Timers, to_nanos};
use crossbeam_utils::CachePadded;
use std::task::Waker;
use std::time::Instant;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Shards(Box<[CachePadded<Timers>]>);

impl Shards {
    /// Empty stores, which own no memory.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| CachePadded::new(Timers::new())).collect())
    }

    /// How many stores there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The store that serves worker `shard`, with its number: there may be more workers than stores, as some stand in.
    #[inline]
    fn of(&self, shard: usize) -> (usize, &Timers) {
        let shard = shard % self.0.len();
        (shard, &self.0[shard])
    }

    /// As [`Timers::insert`], into the store of worker `shard`.
    pub(crate) fn insert(&self, shard: usize, now: Instant, at: Instant, waker: Waker) -> (TimerKey, bool) {
        let (shard, timers) = self.of(shard);
        let (key, earlier) = timers.insert(now, at, waker);
        (key.in_shard(shard), earlier && self.is_first(shard, at))
    }

    /// As [`Timers::cancel`].
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        self.0[key.shard()].cancel(key)
    }

    /// As [`Timers::update`].
    pub(crate) fn update(&self, key: TimerKey, at: Instant, waker: &Waker) -> Option<bool> {
        let earlier = self.0[key.shard()].update(key, at, waker)?;
        Some(earlier && self.is_first(key.shard(), at))
    }

    /// When the next timer of all is due, as [`to_nanos`] counts, or [`NEVER`]. One atomic read for each store.
    #[inline]
    pub(crate) fn next_nanos(&self) -> u64 {
        self.0.iter().map(|timers| timers.next_nanos()).min().unwrap_or(NEVER)
    }

    /// The same of one store.
    #[inline]
    pub(crate) fn next_nanos_of(&self, shard: usize) -> u64 {
        self.of(shard).1.next_nanos()
    }

    /// As [`Timers::fire_with`], for one store.
    pub(crate) fn fire_with(
        &self,
        shard: usize,
        now: Instant,
        due: &mut Vec<Waker>,
        wake_all: impl Fn(&mut Vec<Waker>),
    ) -> usize {
        self.of(shard).1.fire_with(now, due, wake_all)
    }

    /// Whether a deadline that has just become the first of its store is the first of all.
    fn is_first(&self, shard: usize, at: Instant) -> bool {
        let own = (to_nanos(at), shard);
        self.0.iter().enumerate().all(|(other, timers)| other == shard || (timers.next_nanos(), other) > own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::epoch;
    use super::*;
    use std::time::Duration;

    fn after(millis: u64) -> Instant {
        epoch() + Duration::from_millis(millis)
    }

    #[test]
    fn the_first_of_all_is_told_and_a_tie_only_once() {
        let shards = Shards::new(3);
        let insert = |shard, at| shards.insert(shard, epoch(), after(at), Waker::noop().clone());
        assert_eq!(shards.next_nanos(), NEVER);
        assert!(insert(1, 10).1);
        assert!(!insert(2, 20).1, "the first of its store, but not of all");
        assert!(!insert(2, 10).1, "a tie: the sleeper comes in time");
        let (key, first) = insert(3, 5);
        assert!(first, "store 0");
        assert_eq!(shards.next_nanos_of(0), to_nanos(after(5)));
        assert_eq!(shards.update(key, after(15), Waker::noop()), Some(false));
        assert_eq!(shards.update(key, after(9), Waker::noop()), Some(true));
        assert_eq!(shards.next_nanos(), to_nanos(after(9)));
        assert!(shards.cancel(key).is_some() && shards.cancel(key).is_none());
        assert_eq!(shards.next_nanos(), to_nanos(after(10)));
    }

    #[test]
    fn each_store_fires_its_own() {
        let shards = Shards::new(2);
        for at in 1..=4 {
            shards.insert(at, epoch(), after(at as u64), Waker::noop().clone());
        }
        let fire = |shard, now| shards.fire_with(shard, after(now), &mut Vec::new(), |due| due.clear());
        assert_eq!(fire(0, 3), 1);
        assert_eq!(fire(1, 3), 2);
        assert_eq!((shards.next_nanos_of(1), shards.next_nanos()), (NEVER, to_nanos(after(4))));
    }
}
