//! Timers of the near future, roughly sorted.
//!
//! A ring of lists, each for half a millisecond, 134 ms in all. To put a timer in or take it out touches its slot and a
//! neighbour or two, where a heap of ten thousand touches a dozen cache lines. What is in a list is in no order; it is
//! sorted, by going through a small heap, when the list's time has come.
//!
//! Times are counted in units since the clock's zero (`at >> UNIT`); a list serves the units that are equal modulo the
//! ring's length, and `base` is the lowest unit that the ring serves now, so that each list is of one unit at a time.

use super::store::{Home, NONE, Slot};
use std::cmp::Ordering;
use std::mem;

/// Logarithm of a list's share of time, in nanoseconds.
const UNIT: u32 = 19;
const LISTS: usize = 256;
const WORD: usize = u64::BITS as usize;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Ring {
    base: u64,
    /// Which lists hold something.
    occupied: [u64; LISTS / WORD],
    heads: [u32; LISTS],
    /// What no deadline of the list is before.
    earliest: [u64; LISTS],
}

impl Ring {
    pub(super) fn new() -> Self {
        Self { base: 0, occupied: [0; LISTS / WORD], heads: [NONE; LISTS], earliest: [u64::MAX; LISTS] }
    }

    /// It is `now`, or a little later: what is earlier need not be served any more, unless it is still here.
    pub(super) fn move_on(&mut self, now: u64) {
        let now = now >> UNIT;
        if now > self.base {
            self.base = self.first_list().map_or(now, |list| now.min(self.earliest[list] >> UNIT));
        }
    }

    /// Whether `at` lies before what the ring serves, in it, or after it.
    pub(super) fn compare(&self, at: u64) -> Ordering {
        match (at >> UNIT).checked_sub(self.base) {
            None => Ordering::Less,
            Some(ahead) if ahead < LISTS as u64 => Ordering::Equal,
            Some(_) => Ordering::Greater,
        }
    }

    /// Adds a slot, whose time is served.
    pub(super) fn push(&mut self, slot: u32, slots: &mut [Slot]) {
        let at = slots[slot as usize].at;
        let list = list_of(at);
        let head = mem::replace(&mut self.heads[list], slot);
        if head != NONE {
            slots[head as usize].place = slot;
        }
        let entry = &mut slots[slot as usize];
        (entry.home, entry.place, entry.next) = (Home::Ring, NONE, head);
        self.occupied[list / WORD] |= 1 << (list % WORD);
        self.earliest[list] = self.earliest[list].min(at);
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, slot: u32, slots: &mut [Slot]) {
        let Slot { at, place: before, next, .. } = slots[slot as usize];
        match before {
            NONE => {
                let list = list_of(at);
                self.heads[list] = next;
                if next == NONE {
                    self.occupied[list / WORD] &= !(1 << (list % WORD));
                    self.earliest[list] = u64::MAX;
                }
            }
            before => slots[before as usize].next = next,
        }
        if next != NONE {
            slots[next as usize].place = before;
        }
    }

    /// What no deadline here is before; `u64::MAX` if there is none. That it is somebody's deadline is certain only while
    /// no timer of its list has been taken out.
    pub(super) fn first(&self) -> u64 {
        self.first_list().map_or(u64::MAX, |list| self.earliest[list])
    }

    /// Takes out a slot of a list in which one may be due by `now`, if there is such a list.
    pub(super) fn pop(&mut self, now: u64, slots: &mut [Slot]) -> Option<u32> {
        let list = self.first_list().filter(|&list| self.earliest[list] <= now)?;
        let slot = self.heads[list];
        self.remove(slot, slots);
        Some(slot)
    }

    /// The first list that holds something, from `base` on and once around.
    fn first_list(&self) -> Option<usize> {
        let start = self.base as usize % LISTS;
        let (word, bit) = (start / WORD, start % WORD);
        let later = self.occupied[word] & (u64::MAX << bit);
        if later != 0 {
            return Some(word * WORD + later.trailing_zeros() as usize);
        }
        // The word of `base` comes last once more, for what lies before it.
        (1..=LISTS / WORD).map(|step| (word + step) % (LISTS / WORD)).find_map(|word| {
            let bits = self.occupied[word];
            (bits != 0).then(|| word * WORD + bits.trailing_zeros() as usize)
        })
    }

    /// Panics unless the lists are what they should be; how many slots they hold.
    #[cfg(test)]
    pub(super) fn check(&self, slots: &[Slot]) -> usize {
        let mut count = 0;
        for list in 0..LISTS {
            let (mut before, mut slot) = (NONE, self.heads[list]);
            assert_eq!(slot != NONE, self.occupied[list / WORD] >> (list % WORD) & 1 == 1, "list {list}");
            while slot != NONE {
                let entry = &slots[slot as usize];
                assert_eq!((entry.place, entry.home, list_of(entry.at)), (before, Home::Ring, list));
                assert!(
                    (self.base..self.base + LISTS as u64).contains(&(entry.at >> UNIT)),
                    "in no other round"
                );
                assert!(self.earliest[list] <= entry.at);
                (before, slot) = (slot, entry.next);
                count += 1;
            }
        }
        count
    }
}

fn list_of(at: u64) -> usize {
    (at >> UNIT) as usize % LISTS
}
