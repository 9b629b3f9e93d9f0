//! Backtraces of parked goroutines, from outside: whatever their home worker is doing, and without a store at the
//! suspension.
//!
//! 1. `copy` takes hold of the parked task ([`TaskRef::inspect`]), copies its registers and the used part of its
//!    stack, and lets go. That is all that could delay the goroutine.
//! 2. `walk` unwinds the copy by the tables that the program and its libraries carry for panics (`modules`).
//! 3. [`symbols`] names the addresses, leaves out what is the library's own at both ends, and the middle of what is too
//!    long.
//!
//! One that runs is interrupted: its thread copies its own stack (`interrupt`), and 2 and 3 are the same.
//!
//! 1 and 2 make a [`Trace`], some hundred bytes; 3 is slow and done once for goroutines with the same trace. All of it
//! allocates and takes locks: nothing for signal handlers.
//!
//! Linux on x86-64 and AArch64. Elsewhere, with the threads backend, and if the self-test fails that unwinds a fiber with
//! known functions (`probe`), there are no frames.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod native;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod none;
mod symbols;
#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[allow(non_snake_case)]
mod tests;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
use none as native;

use crate::task::{Context, TaskRef};
pub(crate) use native::Interrupted;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Frames shown at either end of a long backtrace, as Go does.
pub(crate) const SHOWN: usize = 50;

/// The return addresses of a parked goroutine, innermost first. Those with equal traces are at the same place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Trace {
    addresses: Box<[usize]>,
    /// The stack was too long to be copied: its outer part is missing.
    cut: bool,
    /// The thread was interrupted in the middle of the innermost call, wherever that is: of this trace nothing is left
    /// out at that end.
    running: bool,
}

/// A call: one line of a backtrace. Where the compiler has inlined, several have the same address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its path, demangled; `None` in a program without symbols.
    pub(crate) function: Option<Box<str>>,
    pub(crate) file: Option<Box<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    /// The return address.
    pub(crate) address: usize,
}

/// A backtrace to show, innermost call first: the user's calls, without the library's below the goroutine's function
/// and above its last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backtrace {
    pub(crate) innermost: Vec<Arc<Frame>>,
    /// How many are left out between the two.
    pub(crate) elided: usize,
    pub(crate) outermost: Vec<Arc<Frame>>,
    /// Further calls follow that nobody has counted.
    pub(crate) cut: bool,
}

/// Looks at the goroutine `id`: what `header` reads of its header, and where it is parked, both at the same moment. `None`
/// if `task` is not that goroutine any more, or if it is running or about to; no trace if it is parked without a stack (a
/// future between two polls), or where there are no backtraces. `header` must be short, as [`TaskRef::inspect`] says.
pub(crate) fn look<R>(task: TaskRef, id: u64, header: impl FnOnce() -> R) -> Option<(R, Option<Trace>)> {
    native::look(task, id, header)
}

/// Where the goroutine `id` is parked, if it is parked on a stack.
pub(crate) fn frames(task: TaskRef, id: u64) -> Option<Trace> {
    look(task, id, || ())?.1
}

/// Where the goroutine is that runs on another thread: it is interrupted for a moment. None if the thread does not answer, if
/// it runs no goroutine, and where there are no backtraces. Waits; see `native/interrupt.rs`, also for what the
/// interrupted code notices.
///
/// # Safety
///
/// `os_thread` is a thread that does not end meanwhile; `context` is its worker's, and `tick` the count of goroutines that it has
/// taken up.
pub(crate) unsafe fn interrupt(
    os_thread: u32,
    context: *const Context,
    tick: *const AtomicU32,
) -> Option<Interrupted> {
    // SAFETY: by the caller's promise.
    unsafe { native::interrupt(os_thread, context, tick) }
}

/// Names the calls of a trace. Slow for addresses it has not seen: it reads the program's debug information.
pub(crate) fn symbolise(trace: &Trace) -> Arc<Backtrace> {
    symbols::backtrace_of(trace)
}
