//! The timers behind the lock: slots, and three ways to find the earliest.
//!
//! | home | holds | to insert or remove |
//! |---|---|---|
//! | `ring` | what is due in the next 134 ms, roughly sorted | touches two or three cache lines |
//! | `soon` | what was in the ring until its time came, and what is due at once: a small heap | cheap while it is small |
//! | `far` | what is due later: a heap | touches more, the more there are; most are timeouts that will be cancelled, whose deadlines grow with time, and which it inserts and removes at its end |
//!
//! Nothing moves from `far` to the ring: it is looked at beside `soon`.
//!
//! Nothing here allocates but [`Room::with_capacity`]: the caller asks [`Store::is_full`] first.

use super::heap::Heap;
use super::ring::Ring;
use std::cmp::Ordering;
use std::mem;
use std::task::Waker;

const FIRST_CAPACITY: usize = 64;
pub(super) const NONE: u32 = u32::MAX;
/// How many timers move from the ring to the heap per hold of the lock.
const MOST_MOVED: usize = 64;

/// Names a timer of the store that returned it. It stays harmless when the timer is gone: keys of later
/// timers in the same slot differ in the generation, which comes round after four thousand million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
    /// Which of several stores: for whoever has several.
    shard: u32,
}

impl TimerKey {
    pub(super) fn in_shard(self, shard: usize) -> Self {
        Self { shard: shard as u32, ..self }
    }

    pub(super) fn shard(self) -> usize {
        self.shard as usize
    }
}

/// Where a timer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Nowhere: the slot holds none.
    Vacant,
    Ring,
    Soon,
    Far,
}

/// A timer.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) at: u64,
    waker: Option<Waker>,
    /// Counts the timers this slot has held: a key of another generation is stale.
    generation: u32,
    pub(super) home: Home,
    /// Its index in its heap, or the slot before it in its list.
    pub(super) place: u32,
    /// The slot behind it in its list, or the next vacant one.
    pub(super) next: u32,
}

/// The memory of a store.
#[derive(Debug)]
pub(super) struct Room {
    slots: Vec<Slot>,
    soon: Heap,
    far: Heap,
    /// `None` in the room without any.
    ring: Option<Box<Ring>>,
}

impl Room {
    const EMPTY: Self = Self { slots: Vec::new(), soon: Heap::EMPTY, far: Heap::EMPTY, ring: None };

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            slots: Vec::with_capacity(capacity),
            soon: Heap::with_capacity(capacity),
            far: Heap::with_capacity(capacity),
            ring: Some(Box::new(Ring::new())),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity().min(self.soon.capacity()).min(self.far.capacity())
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Store {
    room: Room,
    /// The first vacant slot.
    vacant: u32,
    len: usize,
}

impl Store {
    pub(super) const fn new() -> Self {
        Self { room: Room::EMPTY, vacant: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What no deadline is before; `u64::MAX` if there is none. It may be nobody's, half a millisecond too early at most,
    /// if timers have been cancelled: then a look at that time finds nothing due, and the right one afterwards.
    pub(super) fn first(&self) -> u64 {
        let near = self.room.ring.as_ref().map_or(u64::MAX, |ring| ring.first());
        self.room.soon.first().min(self.room.far.first()).min(near)
    }

    /// Whether [`Store::insert`] would have to allocate.
    pub(super) fn is_full(&self) -> bool {
        self.vacant == NONE && self.room.slots.len() == self.room.capacity()
    }

    /// How large the next room must be.
    pub(super) fn next_capacity(&self) -> usize {
        let capacity = (self.room.capacity() * 2).max(FIRST_CAPACITY);
        assert!(capacity < NONE as usize, "too many timers");
        capacity
    }

    /// Moves all timers into a larger room and returns the old one, empty.
    pub(super) fn move_to(&mut self, mut larger: Room) -> Room {
        debug_assert!(larger.capacity() > self.room.capacity());
        larger.slots.append(&mut self.room.slots);
        larger.soon.append(&mut self.room.soon);
        larger.far.append(&mut self.room.far);
        if self.room.ring.is_some() {
            mem::swap(&mut larger.ring, &mut self.room.ring);
        }
        mem::replace(&mut self.room, larger)
    }

    /// Adds a timer; it is about `now`. The store is not full.
    pub(super) fn insert(&mut self, now: u64, at: u64, waker: Waker) -> TimerKey {
        debug_assert!(!self.is_full());
        let Room { slots, ring: Some(ring), .. } = &mut self.room else {
            unreachable!("there is room for a timer")
        };
        ring.move_on(now);
        let slot = match self.vacant {
            NONE => {
                let vacant =
                    Slot { at, waker: None, generation: 0, home: Home::Vacant, place: NONE, next: NONE };
                slots.push(vacant);
                slots.len() as u32 - 1
            }
            slot => slot,
        };
        let entry = &mut slots[slot as usize];
        if self.vacant == slot {
            self.vacant = entry.next;
        }
        entry.waker = Some(waker);
        let generation = entry.generation;
        self.len += 1;
        self.lodge(slot, at);
        TimerKey { slot, generation, shard: 0 }
    }

    /// The waker of a live timer.
    pub(super) fn waker_mut(&mut self, key: TimerKey) -> Option<&mut Waker> {
        let slot = self.slot_of(key)?;
        self.room.slots[slot as usize].waker.as_mut()
    }

    /// Takes a timer out.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let slot = self.slot_of(key)?;
        self.dislodge(slot);
        self.vacate(slot)
    }

    /// Gives a live timer another deadline.
    pub(super) fn reposition(&mut self, key: TimerKey, at: u64) {
        let Some(slot) = self.slot_of(key) else { return };
        let Room { slots, far, .. } = &mut self.room;
        let entry = &mut slots[slot as usize];
        if entry.home == Home::Far {
            // It may come near and stay: what matters here are timeouts that are put off again and again.
            entry.at = at;
            let place = entry.place;
            far.reposition(place, at, slots);
        } else if entry.at != at {
            self.dislodge(slot);
            self.lodge(slot, at);
        }
    }

    /// Takes the wakers of what is due at `now`, in the order of their deadlines, at most so many.
    pub(super) fn pop_due(&mut self, now: u64, most: usize, mut due: impl FnMut(Waker)) {
        if !self.sort(now) {
            return;
        }
        for _ in 0..most {
            let Room { slots, soon, far, .. } = &mut self.room;
            let heap = if far.first() < soon.first() { far } else { soon };
            if heap.first() > now {
                return;
            }
            let slot = heap.take(0, slots);
            due(self.vacate(slot).expect("a live timer has a waker"));
        }
    }

    /// Moves what may be due from the ring to the heap. False if there is more.
    fn sort(&mut self, now: u64) -> bool {
        let Room { slots, soon, ring: Some(ring), .. } = &mut self.room else { return true };
        for _ in 0..MOST_MOVED {
            let Some(slot) = ring.pop(now, slots) else {
                ring.move_on(now);
                return true;
            };
            slots[slot as usize].home = Home::Soon;
            soon.push(slot, slots);
        }
        false
    }

    fn slot_of(&self, key: TimerKey) -> Option<u32> {
        let entry = self.room.slots.get(key.slot as usize)?;
        (entry.generation == key.generation && entry.home != Home::Vacant).then_some(key.slot)
    }

    /// Puts a slot where its deadline belongs.
    fn lodge(&mut self, slot: u32, at: u64) {
        let Room { slots, soon, far, ring } = &mut self.room;
        let ring = ring.as_mut().expect("there is room for a timer");
        slots[slot as usize].at = at;
        let (home, heap) = match ring.compare(at) {
            Ordering::Less => (Home::Soon, soon),
            Ordering::Equal => return ring.push(slot, slots),
            Ordering::Greater => (Home::Far, far),
        };
        slots[slot as usize].home = home;
        heap.push(slot, slots);
    }

    /// Takes a slot out of where it is.
    fn dislodge(&mut self, slot: u32) {
        let Room { slots, soon, far, ring } = &mut self.room;
        let Slot { home, place, .. } = slots[slot as usize];
        match (home, ring) {
            (Home::Ring, Some(ring)) => ring.remove(slot, slots),
            (Home::Soon, _) => drop(soon.take(place, slots)),
            (Home::Far, _) => drop(far.take(place, slots)),
            (Home::Vacant, _) | (Home::Ring, None) => unreachable!("it is live"),
        }
    }

    fn vacate(&mut self, slot: u32) -> Option<Waker> {
        let entry = &mut self.room.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        (entry.home, entry.next) = (Home::Vacant, self.vacant);
        self.vacant = slot;
        self.len -= 1;
        entry.waker.take()
    }

    /// Panics unless everything is where it should be.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let Room { slots, soon, far, ring } = &self.room;
        let near = ring.as_ref().map_or(0, |ring| ring.check(slots));
        assert_eq!(soon.check(slots) + far.check(slots) + near, self.len);
        let live = slots.iter().filter(|slot| slot.home != Home::Vacant);
        assert!(live.clone().all(|slot| slot.waker.is_some()) && live.clone().count() == self.len);
        assert!(live.clone().all(|slot| slot.at >= self.first()));
        let mut vacant = self.vacant;
        let mut vacancies = 0;
        while vacant != NONE {
            assert!(slots[vacant as usize].waker.is_none(), "a vacant slot keeps no waker");
            vacant = slots[vacant as usize].next;
            vacancies += 1;
        }
        assert_eq!(self.len + vacancies, slots.len());
    }

    /// The earliest deadline, or `u64::MAX`: also after some were cancelled. Looks at all.
    pub(super) fn earliest(&self) -> u64 {
        let live = self.room.slots.iter().filter(|slot| slot.home != Home::Vacant);
        live.map(|slot| slot.at).min().unwrap_or(u64::MAX)
    }
}
