//! The runtimes that there are: their names, and what they have counted.
//!
//! A header points at its runtime, which may be gone by the time somebody has read the pointer. So dumps do not follow
//! it: they look here for its address.

use crate::clock::coarse;
use crate::sys::global::{Mutex, lock};
use crate::task::Schedule;
use crate::task::counters::Counters;
use std::sync::{Arc, Weak};

struct Known {
    address: usize,
    name: Arc<str>,
    scheduler: Weak<dyn Schedule>,
}

struct Registry {
    runtimes: Vec<Known>,
    /// What those have counted that are gone.
    past: Counters,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { runtimes: Vec::new(), past: Counters::NONE });

/// A runtime was made.
pub(crate) fn add(scheduler: &dyn Schedule, name: Arc<str>) {
    // So that its first goroutines have a time from which they wait: no worker has looked yet.
    coarse::refresh();
    let address = scheduler.anchor().addr();
    let scheduler = Arc::downgrade(&scheduler.keep());
    lock(&REGISTRY).runtimes.push(Known { address, name, scheduler });
}

/// A runtime is shut down. Before its memory is given back, so that another at its address is not taken for it.
pub(crate) fn remove(scheduler: &dyn Schedule) {
    let address = scheduler.anchor().addr();
    let mut registry = lock(&REGISTRY);
    let Some(at) = registry.runtimes.iter().position(|known| known.address == address) else { return };
    let known = registry.runtimes.remove(at);
    // Its workers are no more; what they have counted stays.
    registry.past.add(&Counters { workers: 0, stuck: 0, ..scheduler.counters() });
    drop(registry);
    drop(known);
}

/// What each has counted that there is, and what those have that are gone.
pub(super) fn counted() -> (Vec<(usize, Arc<str>, Counters)>, Counters) {
    let registry = lock(&REGISTRY);
    let past = registry.past;
    let live = registry.runtimes.iter().filter_map(|known| {
        let scheduler = known.scheduler.upgrade()?;
        Some((known.address, known.name.clone(), scheduler))
    });
    let live: Vec<_> = live.collect();
    drop(registry);
    let counted = live.into_iter().map(|(address, name, scheduler)| (address, name, scheduler.counters()));
    (counted.collect(), past)
}

/// The names as they are now.
pub(super) struct Names(Vec<(usize, Arc<str>)>);

impl Names {
    pub(super) fn now() -> Self {
        let registry = lock(&REGISTRY);
        Self(registry.runtimes.iter().map(|known| (known.address, known.name.clone())).collect())
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
