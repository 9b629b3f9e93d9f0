//! What the program does: every goroutine with its state, as data and as text, and goroutines that were left behind.
//!
//! Looking at goroutines neither stops nor disturbs them, and costs them nothing while nobody looks. A list is not of one
//! instant: each of its lines was true at a moment while it was made.
//!
//! In Go: `runtime.Stack`, the goroutine profile, and the module `go.uber.org/goleak`.

pub mod leak;
mod sigquit;
mod test;

/// What the macros expand to. Not for direct use.
#[doc(hidden)]
pub mod __private {
    pub use super::test::{Settings, handle_sigquit, test, test_async};
}

pub use crate::dump::{
    Deadlock, GoroutineGroup, GoroutineInfo, Histogram, Metrics, RuntimeMetrics, Stack, StallCause,
    StallReport,
};
pub use crate::task::reason::GoroutineState;
pub use crate::unwind::{Backtrace, Frame};
pub use sigquit::on_sigquit;

use crate::dump;
use crate::sys::census;
use std::io;

/// More goroutines than these are summarised.
const MOST: usize = 1000;

/// All goroutines of all runtimes of the process, sorted by their ids.
///
/// Of those that wait on stacks of their own, and of the caller, there are the calls: also where the worker that they
/// belong to is stuck. Their names are looked up only when somebody reads them.
///
/// Those that have ended are not among them, also if nobody has joined them yet; neither are those that were abandoned
/// when their runtime was shut down.
///
/// ```
/// use gosched::debug;
///
/// gosched::run(|| {
///     let ids: Vec<u64> = debug::goroutines().iter().map(|info| info.id).collect();
///     assert!(ids.contains(&gosched::current().id()));
/// });
/// ```
///
/// In Go: `runtime.Stack(buf, true)`, as text.
pub fn goroutines() -> Vec<GoroutineInfo> {
    dump::goroutines()
}

/// The same, counted by what they do, by the calls on their stacks, by where they wait and where they were started: the
/// largest group first. For programs with very many goroutines: a million with stacks of their own take about a second.
///
/// ```
/// gosched::run(|| {
///     let groups = gosched::debug::groups();
///     assert!(groups.iter().any(|group| group.count >= 1));
/// });
/// ```
///
/// In Go: `pprof.Lookup("goroutine")`.
pub fn groups() -> Vec<GoroutineGroup> {
    dump::groups()
}

/// What the process has done and does, in numbers: a snapshot of all runtimes, one by one and together.
///
/// Goroutines and workers pay nothing for it but counters of their own; what goroutines do is looked up when it is asked
/// for. A million goroutines take some 50 ms, and their stacks as much again or more.
///
/// ```
/// gosched::run(|| {
///     let metrics = gosched::debug::metrics();
///     assert_eq!(metrics.runtimes.len(), 1);
///     assert!(metrics.total.running >= 1);
/// });
/// ```
///
/// In Go: `runtime/metrics`.
pub fn metrics() -> Metrics {
    dump::metrics()
}

/// What all goroutines of the process do, as text in Go's form: the caller first, then main, then by their ids. Of
/// more than a thousand it is a summary like Go's goroutine profile, which begins with `goroutine profile: total`.
///
/// Each goroutine has a line that names it and says what it does; two lines for each of its calls, or for where it waits
/// if it has no stack of its own; and where it was started:
///
/// ```text
/// goroutine 18 "fetcher" [chan receive, 3 minutes]:
/// my_program::fetch::next(...)
///         /home/me/my_program/src/fetch.rs:31 +0x8c
/// my_program::fetch::run(...)
///         /home/me/my_program/src/fetch.rs:12 +0x2f
/// created by go in goroutine 1
///         src/main.rs:12
/// ```
///
/// Calls of the library itself at either end are left out, and so is the middle of more than a hundred calls. Of a
/// goroutine that is running, other than the caller, only that is known.
///
/// ```
/// gosched::run(|| {
///     let text = gosched::debug::stacks();
///     assert!(text.starts_with("goroutine "), "{text}");
///     assert!(text.contains("[running]:"), "{text}");
/// });
/// ```
///
/// In Go: `runtime.Stack(buf, true)`.
pub fn stacks() -> String {
    let mut text = Vec::new();
    dump::write(&mut text, MOST).expect("a vector takes everything");
    String::from_utf8_lossy(&text).into_owned()
}

/// Declares that the calling thread wakes no goroutine of its own accord, until it ends.
///
/// A thread that the library has not started, and that is not blocked in one of its calls, may at any time send a message
/// or unlock something. So while there is one, goroutines that all wait for each other are no deadlock for sure: there is
/// only a warning. Threads that do nothing of the kind (a logger's, an allocator's, one that waits for another to end)
/// can say so here; then a [`Deadlock`] is found in spite of them.
///
/// ```
/// let logger = std::thread::spawn(|| {
///     gosched::debug::ignore_thread();
///     // for line in lines { ... }
/// });
/// # logger.join().unwrap();
/// ```
///
/// In Go there are no such threads; with cgo, deadlocks are not found.
pub fn ignore_thread() {
    census::ignore_this_thread();
}

/// Writes what [`stacks`] returns.
///
/// # Errors
///
/// Those of `out`.
///
/// ```
/// gosched::debug::stacks_to(std::io::stderr())?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `pprof.Lookup("goroutine").WriteTo(w, 2)`.
pub fn stacks_to(mut out: impl io::Write) -> io::Result<()> {
    // In one piece, so that it does not mix with what others write.
    out.write_all(stacks().as_bytes())?;
    out.flush()
}
