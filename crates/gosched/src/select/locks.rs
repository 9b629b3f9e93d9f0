//! The locks of a select's cases.

use super::engine::{Cases, each};
use crate::sys::lock::RawSpin;

/// One lock, held.
pub(super) struct Held<'s>(&'s RawSpin);

impl<'s> Held<'s> {
    pub(super) fn take(lock: &'s RawSpin) -> Self {
        lock.lock();
        Self(lock)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: taken in `take`.
        unsafe { self.0.unlock() };
    }
}

/// All distinct locks of a select's cases, held.
pub(super) struct Locks<'s> {
    held: &'s [*const RawSpin],
    /// No two cases share one.
    pub(super) all_differ: bool,
}

impl<'s> Locks<'s> {
    /// Takes them in the order of their addresses, so that opposing selects cannot block each other (S16).
    pub(super) fn take(cases: &impl Cases, room: &'s mut [*const RawSpin]) -> Self {
        let mut count = 0;
        each(cases, |source, _, _| {
            if let Some(lock) = source.lock() {
                room[count] = lock;
                count += 1;
            }
        });
        let room = &mut room[..count];
        match room {
            [a, b] if *a <= *b => {}
            [a, b] => std::mem::swap(a, b),
            _ => room.sort_unstable(),
        }
        let mut distinct = 0;
        for at in 0..count {
            // Equal ones are neighbours, and the last one kept is at `distinct - 1`.
            if distinct == 0 || room[distinct - 1] != room[at] {
                room[distinct] = room[at];
                distinct += 1;
            }
        }
        for lock in &room[..distinct] {
            // SAFETY: the cases are borrowed for as long as these locks are held, and keep them in place.
            unsafe { (**lock).lock() };
        }
        Self { held: &room[..distinct], all_differ: distinct == count }
    }
}

impl Drop for Locks<'_> {
    fn drop(&mut self) {
        for lock in self.held {
            // SAFETY: taken in `take`, and still in place, as there.
            unsafe { (**lock).unlock() };
        }
    }
}
