//! A 4-ary heap of deadlines whose entries can be found again.
//!
//! Three arrays, so that sifting touches as few cache lines as it can: `nodes` is the heap itself, deadlines
//! beside the slots they belong to, four children to a cache line or two; `places` says where in the heap a
//! slot's node is, with the slot's generation; `wakers` is touched only by insert and remove. A vacant slot
//! keeps the next vacant one where its place was.
//!
//! Nothing here allocates but [`Room::with_capacity`]: the caller asks [`Heap::is_full`] first.

use std::mem;
use std::task::Waker;

const ARITY: usize = 4;
const FIRST_CAPACITY: usize = 64;
const NONE: u32 = u32::MAX;

/// Names a timer of the store that returned it. It stays harmless when the timer is gone: keys of later
/// timers in the same slot differ in the generation, which comes round after four thousand million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    at: u64,
    slot: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// The index into `nodes`, or the next vacant slot.
    index: u32,
    /// Counts the timers this slot has held: a key of another generation is stale.
    generation: u32,
}

/// The memory of a heap.
#[derive(Debug)]
pub(super) struct Room {
    nodes: Vec<Node>,
    places: Vec<Place>,
    wakers: Vec<Option<Waker>>,
}

impl Room {
    const EMPTY: Self = Self { nodes: Vec::new(), places: Vec::new(), wakers: Vec::new() };

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            wakers: Vec::with_capacity(capacity),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity().min(self.places.capacity()).min(self.wakers.capacity())
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Heap {
    room: Room,
    /// The first vacant slot.
    vacant: u32,
}

impl Heap {
    pub(super) const fn new() -> Self {
        Self { room: Room::EMPTY, vacant: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.room.nodes.len()
    }

    /// The earliest deadline, or `u64::MAX`.
    pub(super) fn first(&self) -> u64 {
        self.room.nodes.first().map_or(u64::MAX, |node| node.at)
    }

    /// Whether [`Heap::insert`] would have to allocate.
    pub(super) fn is_full(&self) -> bool {
        // There are as many places as there ever were nodes at once, so room for a node means that a slot
        // is vacant or that there is room for another place.
        self.len() == self.room.capacity()
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
        larger.nodes.append(&mut self.room.nodes);
        larger.places.append(&mut self.room.places);
        larger.wakers.append(&mut self.room.wakers);
        mem::replace(&mut self.room, larger)
    }

    /// Adds a timer. The heap is not full.
    pub(super) fn insert(&mut self, at: u64, waker: Waker) -> TimerKey {
        debug_assert!(!self.is_full());
        let slot = match self.vacant {
            NONE => {
                let slot = self.room.places.len() as u32;
                self.room.places.push(Place { index: NONE, generation: 0 });
                self.room.wakers.push(Some(waker));
                slot
            }
            slot => {
                self.vacant = self.room.places[slot as usize].index;
                self.room.wakers[slot as usize] = Some(waker);
                slot
            }
        };
        let index = self.len();
        self.room.nodes.push(Node { at, slot });
        self.sift_up(index);
        TimerKey { slot, generation: self.room.places[slot as usize].generation }
    }

    /// The waker of a live timer.
    pub(super) fn waker_mut(&mut self, key: TimerKey) -> Option<&mut Waker> {
        self.index_of(key)?;
        self.room.wakers[key.slot as usize].as_mut()
    }

    /// Takes a timer out.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let index = self.index_of(key)?;
        self.take(index)
    }

    /// Gives a live timer another deadline.
    pub(super) fn reposition(&mut self, key: TimerKey, at: u64) {
        if let Some(index) = self.index_of(key) {
            let before = mem::replace(&mut self.room.nodes[index].at, at);
            if at < before {
                self.sift_up(index);
            } else if at > before {
                self.sift_down(index);
            }
        }
    }

    /// Takes the earliest timer out, if it is due.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Waker> {
        if self.room.nodes.first()?.at <= now { self.take(0) } else { None }
    }

    fn index_of(&self, key: TimerKey) -> Option<usize> {
        let place = self.room.places.get(key.slot as usize)?;
        (place.generation == key.generation).then_some(place.index as usize)
    }

    fn take(&mut self, index: usize) -> Option<Waker> {
        let Node { at, slot } = self.room.nodes.swap_remove(index);
        if let Some(moved) = self.room.nodes.get(index) {
            if moved.at < at {
                self.sift_up(index);
            } else {
                self.sift_down(index);
            }
        }
        let place = &mut self.room.places[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.index = self.vacant;
        self.vacant = slot;
        self.room.wakers[slot as usize].take()
    }

    /// Moves the node at `index` towards the root until its parent is not later, and records its place.
    fn sift_up(&mut self, mut index: usize) {
        let Room { nodes, places, .. } = &mut self.room;
        let node = nodes[index];
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if nodes[parent].at <= node.at {
                break;
            }
            nodes[index] = nodes[parent];
            places[nodes[index].slot as usize].index = index as u32;
            index = parent;
        }
        nodes[index] = node;
        places[node.slot as usize].index = index as u32;
    }

    /// Moves the node at `index` away from the root until no child is earlier, and records its place.
    fn sift_down(&mut self, mut index: usize) {
        let Room { nodes, places, .. } = &mut self.room;
        let node = nodes[index];
        loop {
            let first = index * ARITY + 1;
            let last = (first + ARITY).min(nodes.len());
            let Some(child) = (first..last).min_by_key(|child| nodes[*child].at) else { break };
            if nodes[child].at >= node.at {
                break;
            }
            nodes[index] = nodes[child];
            places[nodes[index].slot as usize].index = index as u32;
            index = child;
        }
        nodes[index] = node;
        places[node.slot as usize].index = index as u32;
    }

    /// Panics unless every node is not earlier than its parent and every place finds its node.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let Room { nodes, places, wakers } = &self.room;
        assert_eq!(places.len(), wakers.len());
        for (index, node) in nodes.iter().enumerate() {
            assert!(index == 0 || nodes[(index - 1) / ARITY].at <= node.at, "heap order at {index}");
            assert_eq!(places[node.slot as usize].index as usize, index, "place of node {index}");
            assert!(wakers[node.slot as usize].is_some(), "waker of node {index}");
        }
        let mut vacant = self.vacant;
        let mut vacancies = 0;
        while vacant != NONE {
            assert!(wakers[vacant as usize].is_none(), "a vacant slot keeps no waker");
            vacant = places[vacant as usize].index;
            vacancies += 1;
        }
        assert_eq!(nodes.len() + vacancies, places.len());
    }
}
