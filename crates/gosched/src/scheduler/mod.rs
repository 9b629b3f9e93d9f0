//! The scheduler: workers that run goroutines, and what they share.
//!
//! A worker is Go's P and M in one: a thread with run queues. Movable goroutines (not yet started, stackless,
//! and all of them in migrating mode) wait in its *wake slot* (Go's `runnext`) and its stealable *ring*; pinned
//! ones, which have started on this worker and stay, wait in a *pinned slot* and a *pinned queue* that only
//! the worker itself touches. Others send pinned goroutines through the *inbox*.
//!
//! * [`shared`]: what all workers and all wakers see; `Schedule`.
//! * [`remote`]: a worker as the others see it.
//! * [`worker`]: the loop: which goroutine next, and its queues.
//! * [`search`]: what a worker does that has nothing to do: stealing, napping, sleeping, timers.
//! * [`idle`]: the protocol of searchers and sleepers, with its proof sketch.
//! * [`watch`]: who of the sleepers looks after the timers.
//! * [`crew`]: who is on duty, and who stands in for a worker that is stuck; [`monitor`]: the thread that notices;
//!   [`stall`]: who keeps others waiting.
//! * [`deadlock`]: whether all goroutines wait for each other; [`circles`]: whether some do.
//! * [`reactor`]: waiting for descriptors, which is what a worker does that sleeps.
//! * [`counts`]: what workers count, and how long goroutines wait for their turn.
//! * [`execute`]: running a goroutine on a fiber, and its end.
//! * [`shutdown`]: stopping, and what becomes of goroutines that have not ended.

#[cfg(not(loom))]
mod circles;
#[cfg(not(loom))]
mod counts;
#[cfg(not(loom))]
pub(crate) mod crew;
#[cfg(not(loom))]
pub(crate) mod deadlock;
#[cfg(not(loom))]
pub(crate) mod execute;
pub(crate) mod idle;
#[cfg(not(loom))]
pub(crate) mod monitor;
#[cfg(not(loom))]
pub(crate) mod reactor;
#[cfg(not(loom))]
pub(crate) mod remote;
#[cfg(not(loom))]
pub(crate) mod search;
#[cfg(not(loom))]
pub(crate) mod shared;
#[cfg(not(loom))]
pub(crate) mod shutdown;
#[cfg(not(loom))]
mod stall;
#[cfg(not(loom))]
mod wakes;
mod watch;
#[cfg(not(loom))]
pub(crate) mod worker;

#[cfg(not(loom))]
pub(crate) use shared::{Config, Shared};
