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


mod clock;
mod fiber;
mod queue;
mod scheduler;
mod spawn;
mod sys;
mod task;
mod wait;

pub mod chan;
pub mod runtime;
pub mod select;
pub mod sync;
pub mod time;

/// Goroutines: starting them with settings, waiting for them, and what belongs to one.
pub mod goroutine {
    pub use crate::spawn::{
        Blocking, Builder, Goexit, Goroutine, JoinHandle, LocalKey, Scope, ScopedJoinHandle, ShutDown,
    };
}

pub use gosched_macros::main;
pub use runtime::{Runtime, run};
pub use spawn::{
    JoinHandle, LocalKey, blocking, blocking_async, current, go, go_async, goexit, num_goroutine, scope,
};
pub use wait::{WaitReason, no_suspend, wait, yield_now};
