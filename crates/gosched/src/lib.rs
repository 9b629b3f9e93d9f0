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
//!
//! # Waiting
//!
//! Every operation that may wait is a future first, made by a method whose name ends in `_async`, and has a
//! blocking form that is [`wait`] on that future. The blocking form suspends a goroutine, and parks a plain
//! thread. Where there is a time limit, its name ends in `_timeout` or `_deadline` (on locks, as in parking_lot,
//! `_for` or `_until`).
//!
//! Dropping a future before it is ready cancels the operation. A blocking call cannot be told to stop from
//! outside: where that may be needed, wait for the future under a context, [`context::Context::wait`]. What is
//! lost by cancelling is said under "Cancellation" of each type; as a rule nothing.
//!
//! # Async libraries
//!
//! [`wait`] takes any future, whoever wakes it. Crates that are made for tokio (reqwest, sqlx, tonic and others) ask for its
//! runtime besides; with the feature `tokio` there is one in the background, and everything that runs here is in its
//! context: goroutines, calls made with [`blocking`], and the polls of [`wait`] on ordinary threads. What such a crate
//! calls `async` is then called with [`wait`]:
//!
//! ```text
//! gosched = { version = "0.1", features = ["tokio"] }
//!
//! let text = wait(reqwest::get(url))?.text();     // a future
//! let text = wait(text)?;                         // the text
//! ```
//!
//! - One thread drives the timers and sockets of these crates, and runs what they spawn. It is started with the first
//!   runtime of this library, never ends, and counts as a thread that may wake others: a deadlock is then only warned of,
//!   and only while it has no tasks and no goroutine waits for such a future.
//! - A task made with `tokio::spawn` runs on that thread: it must not block there, so it uses the `*_async` forms.
//! - Where a thread is in the context of another runtime of tokio's, it stays there. A guard of `tokio`'s
//!   `Handle::enter` that is held in a goroutine is seen by others on the same worker and must not outlive a blocking
//!   call: tokio panics when such guards are dropped out of order.
//! - On an ordinary thread values that need tokio's runtime when they are dropped (a connection that goes back to its pool)
//!   are dropped inside `wait`, or inside `runtime::tokio_handle()?.enter()`.
//!
//! # Go's names
//!
//! "In Go" names what does the same there. Futures, and the methods that make them, have no counterpart: in Go every
//! function may block, so a wait that can be given up is a `select` with one case more.

// Under `--cfg loom` only what the models reach is built: the lock-free words and the primitives on them.
// What stands on real stacks, threads and clocks is left out.

mod clock;
#[cfg(not(loom))]
mod dump;
#[cfg(not(loom))]
mod fiber;
mod queue;
mod scheduler;
#[cfg(not(loom))]
mod spawn;
mod sys;
mod task;
// What calls it is still to come.
#[cfg(not(loom))]
#[allow(dead_code)]
mod unwind;
mod wait;

pub mod chan;
#[cfg(not(loom))]
pub mod context;
#[cfg(not(loom))]
pub mod debug;
#[cfg(not(loom))]
pub mod group;
#[cfg(not(loom))]
pub mod io;
#[cfg(all(not(loom), unix))]
pub mod net;
#[cfg(not(loom))]
pub mod pipeline;
#[cfg(all(not(loom), unix))]
pub mod process;
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
        Blocking, Builder, Goexit, Goroutine, JoinHandle, Labels, LocalKey, Scope, ScopedJoinHandle,
        ShutDown, labels, set_labels,
    };
}

/// ```
/// #[gosched::main(workers = 2)]
/// fn main() {
///     assert_eq!(gosched::go(|| 6 * 7).join().unwrap(), 42);
/// }
/// ```
pub use gosched_macros::main;
/// ```
/// use gosched::chan;
///
/// #[gosched::test(workers = 2)]
/// fn a_message_arrives() -> Result<(), chan::RecvError> {
///     let (tx, rx) = chan::bounded(0);
///     gosched::go(move || tx.send(7));
///     assert_eq!(rx.recv()?, 7);
///     Ok(())
/// } // no goroutine is left
/// # fn main() {}
/// ```
pub use gosched_macros::test;
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
