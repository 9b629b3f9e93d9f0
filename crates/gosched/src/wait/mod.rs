//! `wait`: the one door to blocking.
//!
//! Every blocking operation of the library is a future, and its straight-line form is that future driven by
//! this module. Where it is called decides how: a goroutine suspends, a thread parks. Nothing above this
//! module knows the difference, and nothing here knows a scheduler: suspending is going back to whoever
//! resumed this stack, and waking goes through the task's `Schedule`.
//!
//! * [`block`]: `wait` itself.
//! * `thread`: how an ordinary thread waits. `timer`: deadlines.
//! * [`node`], [`queue`]: futures waiting in a queue (locks and the like). [`list`], [`waiter`]: waiting channel
//!   operations, which exchange values and may be cases of a select ([`selectable`]).
//! * [`circles`]: who holds which lock, and who waits for whom, in debug builds.
//! * `place`: where a future was made. `affinity`: what debug builds check at each suspension.

#[cfg(all(not(loom), debug_assertions, target_os = "linux", target_arch = "x86_64"))]
mod affinity;
#[cfg(not(loom))]
mod block;
#[cfg(loom)]
#[path = "block_model.rs"]
mod block;
#[cfg(not(loom))]
pub(crate) mod circles;
#[cfg(loom)]
#[path = "circles_model.rs"]
pub(crate) mod circles;
pub(crate) mod list;
pub(crate) mod node;
mod place;
pub(crate) mod queue;
#[cfg(all(test, not(loom)))]
#[allow(non_snake_case)]
mod reason_tests;
pub(crate) mod selectable;
#[cfg(not(loom))]
mod thread;
#[cfg(not(loom))]
mod timer;
pub(crate) mod waiter;

pub use crate::task::reason::WaitReason;
#[cfg(loom)]
pub(crate) use block::Timer;
#[cfg(not(loom))]
pub(crate) use block::is_suspendable;
pub use block::wait;
pub(crate) use block::{At, Spot, lean_spot, wait_deadline, wait_for};
#[cfg(not(loom))]
pub use block::{no_suspend, yield_now};
pub(crate) use place::Place;
#[cfg(not(loom))]
pub(crate) use place::note_await;
#[cfg(not(loom))]
pub(crate) use timer::{Keeper, Timer, WeakKeeper};
