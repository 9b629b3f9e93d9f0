//! Who is to be told when a context is done: its children, and functions.

use super::after::Func;
use super::core::Core;
use std::mem;
use std::sync::Arc;

/// One who is to be told.
pub(super) enum Entry {
    Child(Arc<Core>),
    Func(Func),
}

/// A context has functions to run when it is done.
pub(super) struct HasFuncs;

/// Names an entry. It stays harmless when the entry is gone: serials are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: usize,
    serial: u64,
}

/// What a slot of the table holds.
enum Slot {
    Used(u64, Entry),
    /// The next free one, or the table's length.
    Free(usize),
}

/// A table whose entries come and go in constant time.
pub(super) struct Entries {
    slots: Vec<Slot>,
    free: usize,
    len: usize,
    serial: u64,
}

impl Entries {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: 0, len: 0, serial: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, entry: Entry) -> Key {
        let (index, serial) = (self.free, self.serial);
        let used = Slot::Used(serial, entry);
        match self.slots.get_mut(index) {
            None => {
                self.slots.push(used);
                self.free = self.slots.len();
            }
            Some(slot) => match mem::replace(slot, used) {
                Slot::Free(next) => self.free = next,
                Slot::Used(..) => unreachable!("the free list names free slots"),
            },
        }
        self.len += 1;
        self.serial += 1;
        Key { index, serial }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Entry> {
        let slot = self.slots.get_mut(key.index)?;
        if !matches!(slot, Slot::Used(serial, _) if *serial == key.serial) {
            return None;
        }
        let Slot::Used(_, entry) = mem::replace(slot, Slot::Free(self.free)) else {
            unreachable!("just seen to be used")
        };
        self.free = key.index;
        self.len -= 1;
        if self.len == 0 {
            // A context that lives as long as the process must not keep the memory of its busiest moment.
            *self = Self { serial: self.serial, ..Self::new() };
        }
        Some(entry)
    }

    /// Whether there are functions to be told; if there are none, the children.
    pub(super) fn only_children(&self) -> Result<Vec<Arc<Core>>, HasFuncs> {
        let mut children = Vec::new();
        for slot in &self.slots {
            match slot {
                Slot::Used(_, Entry::Child(child)) => children.push(child.clone()),
                Slot::Used(_, Entry::Func(_)) => return Err(HasFuncs),
                Slot::Free(_) => {}
            }
        }
        Ok(children)
    }

    /// All of them, by kind.
    pub(super) fn split(self) -> (Vec<Arc<Core>>, Vec<Func>) {
        let (mut children, mut funcs) = (Vec::new(), Vec::new());
        for slot in self.slots {
            match slot {
                Slot::Used(_, Entry::Child(child)) => children.push(child),
                Slot::Used(_, Entry::Func(func)) => funcs.push(func),
                Slot::Free(_) => {}
            }
        }
        (children, funcs)
    }
}
