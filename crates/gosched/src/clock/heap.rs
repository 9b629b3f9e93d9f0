//! A 4-ary heap of deadlines whose entries can be found again.
//!
//! The deadlines lie beside the numbers of the slots they belong to, four children to a cache line or two; each slot knows
//! where in the heap it is. Nothing here allocates: whoever pushes has seen to the room.

use super::store::Slot;
use std::mem;

const ARITY: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    at: u64,
    slot: u32,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Heap(Vec<Node>);

impl Heap {
    pub(super) const EMPTY: Self = Self(Vec::new());

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Takes over what is in another one; this one is empty.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// The earliest deadline, or `u64::MAX`.
    pub(super) fn first(&self) -> u64 {
        self.0.first().map_or(u64::MAX, |node| node.at)
    }

    /// Adds a slot.
    pub(super) fn push(&mut self, slot: u32, slots: &mut [Slot]) {
        debug_assert!(self.0.len() < self.0.capacity(), "growing would allocate under the lock");
        let index = self.0.len();
        self.0.push(Node { at: slots[slot as usize].at, slot });
        self.sift_up(index, slots);
    }

    /// Gives the node at `index` another deadline.
    pub(super) fn reposition(&mut self, index: u32, at: u64, slots: &mut [Slot]) {
        let index = index as usize;
        let before = mem::replace(&mut self.0[index].at, at);
        if at < before {
            self.sift_up(index, slots);
        } else if at > before {
            self.sift_down(index, slots);
        }
    }

    /// Takes the node at `index` out; which slot's it was.
    pub(super) fn take(&mut self, index: u32, slots: &mut [Slot]) -> u32 {
        let index = index as usize;
        let Node { at, slot } = self.0.swap_remove(index);
        if let Some(moved) = self.0.get(index) {
            if moved.at < at {
                self.sift_up(index, slots);
            } else {
                self.sift_down(index, slots);
            }
        }
        slot
    }

    /// Moves the node at `index` towards the root until its parent is not later, and records its place.
    fn sift_up(&mut self, mut index: usize, slots: &mut [Slot]) {
        let nodes = &mut self.0;
        let node = nodes[index];
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if nodes[parent].at <= node.at {
                break;
            }
            nodes[index] = nodes[parent];
            slots[nodes[index].slot as usize].place = index as u32;
            index = parent;
        }
        nodes[index] = node;
        slots[node.slot as usize].place = index as u32;
    }

    /// Moves the node at `index` away from the root until no child is earlier, and records its place.
    fn sift_down(&mut self, mut index: usize, slots: &mut [Slot]) {
        let nodes = &mut self.0;
        let node = nodes[index];
        loop {
            let first = index * ARITY + 1;
            let child = match nodes.get(first..first + ARITY) {
                // All four, in two rounds and without a jump that depends on deadlines: nobody could foretell it.
                Some([a, b, c, d]) => {
                    let (left, at_left) = if b.at < a.at { (1, b.at) } else { (0, a.at) };
                    let (right, at_right) = if d.at < c.at { (3, d.at) } else { (2, c.at) };
                    first + if at_right < at_left { right } else { left }
                }
                _ => match (first..nodes.len()).min_by_key(|child| nodes[*child].at) {
                    Some(child) => child,
                    None => break,
                },
            };
            if nodes[child].at >= node.at {
                break;
            }
            nodes[index] = nodes[child];
            slots[nodes[index].slot as usize].place = index as u32;
            index = child;
        }
        nodes[index] = node;
        slots[node.slot as usize].place = index as u32;
    }

    /// Panics unless every node is not earlier than its parent and every place finds its node; how many there are.
    #[cfg(test)]
    pub(super) fn check(&self, slots: &[Slot]) -> usize {
        for (index, node) in self.0.iter().enumerate() {
            assert!(index == 0 || self.0[(index - 1) / ARITY].at <= node.at, "heap order at {index}");
            let slot = &slots[node.slot as usize];
            assert_eq!((slot.place as usize, slot.at), (index, node.at), "place of node {index}");
        }
        self.0.len()
    }
}
