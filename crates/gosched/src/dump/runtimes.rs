//! The names of the runtimes that there are.
//!
//! A header points at its runtime, which may be gone by the time somebody has read the pointer. So dumps do not follow
//! it: they look here for its address.

use crate::clock::coarse;
use crate::sys::global::{Mutex, lock};
use crate::task::Anchor;
use std::sync::Arc;

static RUNTIMES: Mutex<Vec<(usize, Arc<str>)>> = Mutex::new(Vec::new());

/// A runtime was made.
pub(crate) fn add(anchor: *const Anchor, name: Arc<str>) {
    // So that its first goroutines have a time from which they wait: no worker has looked yet.
    coarse::refresh();
    lock(&RUNTIMES).push((anchor.addr(), name));
}

/// A runtime is shut down. Before its memory is given back, so that another at its address is not taken for it.
pub(crate) fn remove(anchor: *const Anchor) {
    lock(&RUNTIMES).retain(|(address, _)| *address != anchor.addr());
}

/// The names as they are now.
pub(super) struct Names(Vec<(usize, Arc<str>)>);

impl Names {
    pub(super) fn now() -> Self {
        Self(lock(&RUNTIMES).clone())
    }

    /// None, for who knows it otherwise.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// The name of the runtime at this address. `None` for one that was shut down.
    pub(super) fn of(&self, address: usize) -> Option<Arc<str>> {
        self.0.iter().find(|(other, _)| *other == address).map(|(_, name)| name.clone())
    }
}
