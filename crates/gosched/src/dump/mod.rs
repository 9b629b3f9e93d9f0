//! What all goroutines of the process do: as data, and as text.
//!
//! The registry is the pool of headers: a spawn pays nothing for being listed. A look at a goroutine takes nothing
//! from it and does not stop it ([`task::peek`](crate::task::peek)), so a list is not of one instant: each line was true
//! at a moment while the list was made.
//!
//! * [`info`]: one goroutine. * [`group`]: many that do the same. * [`stack`]: where they are. * [`text`]: all three as Go
//!   prints them. * [`metrics`]: counters. * [`runtimes`]: which there are. * [`stall`]: a goroutine that others wait
//!   behind. * [`deadlock`]: all of them, waiting for each other.

mod deadlock;
mod group;
mod info;
mod metrics;
pub(crate) mod runtimes;
mod stack;
pub(crate) mod stall;
#[cfg(test)]
mod tests;
mod text;

pub use deadlock::Deadlock;
pub use group::GoroutineGroup;
pub(crate) use group::groups;
pub use info::GoroutineInfo;
pub(crate) use info::goroutines;
pub use metrics::{Histogram, Metrics, RuntimeMetrics};
pub(crate) use metrics::{metrics, of_runtime};
pub use stack::Stack;
pub use stall::{StallCause, StallReport};
pub(crate) use text::write;
