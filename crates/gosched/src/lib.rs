//! Go's concurrency model for Rust: goroutines, channels, `select` and what belongs to them.
//!
//! ```
//! use gosched::{chan, go, select};
//!
//! gosched::run(|| {
//!     let (tx, rx) = chan::bounded(0);
//!     go(move || tx.send("hello from a goroutine"));
//!     assert_eq!(rx.recv(), Ok("hello from a goroutine"));
//! });
//! ```

// Under `--cfg loom` only what the models reach is built: the lock-free words and the primitives on them.
// What stands on real stacks, threads and clocks is left out.

mod clock;
#[cfg(not(loom))]
mod fiber;
mod queue;
mod scheduler;
#[cfg(not(loom))]
mod spawn;
mod sys;
mod task;
mod wait;

pub mod chan;
#[cfg(not(loom))]
pub mod context;
#[cfg(not(loom))]
pub mod group;
#[cfg(not(loom))]
pub mod pipeline;
#[cfg(not(loom))]
pub mod runtime;
mod select;
pub mod sync;
#[cfg(not(loom))]
pub mod time;

/// What the select macros expand to. Not for use by hand; it may change in any release.
#[doc(hidden)]
pub mod __select {
    pub use crate::select::__private::*;
}

#[cfg(not(loom))]
/// Goroutines: starting them with settings, waiting for them, and what belongs to one.
pub mod goroutine {
    pub use crate::spawn::{
        Blocking, Builder, Goexit, Goroutine, JoinHandle, LocalKey, Scope, ScopedJoinHandle, ShutDown,
    };
}

/// ```
/// #[gosched::main(workers = 2)]
/// fn main() {
///     assert_eq!(gosched::go(|| 6 * 7).join().unwrap(), 42);
/// }
/// ```
pub use gosched_macros::main;
#[cfg(not(loom))]
pub use runtime::{Runtime, run};
pub use select::{
    ReadyTimeoutError, Select, SelectTimeoutError, SelectedOperation, TryReadyError, TrySelectError,
};
#[cfg(not(loom))]
pub use spawn::{
    JoinHandle, LocalKey, blocking, blocking_async, current, go, go_async, goexit, num_goroutine, scope,
};
pub use wait::{WaitReason, wait};
#[cfg(not(loom))]
pub use wait::{no_suspend, yield_now};
