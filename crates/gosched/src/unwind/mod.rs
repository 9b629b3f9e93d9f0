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
//! allocates and takes locks: nothing for signal handlers. The calling goroutine's own stack is unwound where it is
//! (`own`), by the unwinder that serves panics.
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

impl Trace {
    pub(crate) fn addresses(&self) -> &[usize] {
        &self.addresses
    }
}

/// A call: one line of a backtrace. Where the compiler has inlined, several have the same address.
///
/// Its text is the two lines that a dump has for it.
///
/// ```
/// use gosched::debug::{self, Frame};
///
/// gosched::run(|| {
///     let me = debug::goroutines().into_iter().find(|info| info.id == gosched::current().id()).unwrap();
///     if let Some(stack) = me.stack { // not on all systems
///         let backtrace = stack.backtrace();
///         let frame: &Frame = backtrace.frames().next().unwrap();
///         println!("{:?} at {:?}:{:?}", frame.function, frame.file, frame.line);
///     }
/// });
/// ```
///
/// In Go: `runtime.Frame`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The path of the function, demangled; `None` in a program without symbols.
    pub function: Option<Box<str>>,
    /// The source file; `None` in a program without debug information.
    pub file: Option<Box<str>>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// The return address: where the program goes on after the call.
    pub address: usize,
    /// How many bytes into the function that is; `None` where the call is inlined into the next one.
    pub offset: Option<usize>,
}

/// A backtrace to show, innermost call first: the program's calls, without the library's below the goroutine's function
/// and above its last call. Made by [`Stack::backtrace`](crate::debug::Stack::backtrace).
///
/// Of a long one the innermost 50 calls and the outermost 50 are kept. Its text is what a dump has for it: two lines for
/// each call.
///
/// ```
/// use gosched::debug::{self, Backtrace};
/// use std::sync::Arc;
///
/// gosched::run(|| {
///     let me = debug::goroutines().into_iter().find(|info| info.id == gosched::current().id()).unwrap();
///     let backtrace: Option<Arc<Backtrace>> = me.stack.map(|stack| stack.backtrace());
///     // Not on all systems.
///     backtrace.into_iter().for_each(|backtrace| assert_eq!(backtrace.elided(), 0));
/// });
/// ```
///
/// In Go: what `runtime.CallersFrames` goes through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backtrace {
    pub(crate) innermost: Vec<Arc<Frame>>,
    /// How many are left out between the two.
    pub(crate) elided: usize,
    pub(crate) outermost: Vec<Arc<Frame>>,
    /// Further calls follow that nobody has counted.
    pub(crate) cut: bool,
    /// None of the calls is the program's own.
    pub(crate) library_only: bool,
}

impl Backtrace {
    /// The calls, the innermost first.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.innermost.iter().chain(&self.outermost).map(|frame| &**frame)
    }

    /// How many calls are left out in the middle.
    pub fn elided(&self) -> usize {
        self.elided
    }

    /// Whether further calls follow that were not counted: the stack was too long to be looked at as a whole.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

/// Looks at the goroutine `id`: what `header` reads of its header, and where it is parked, both at the same moment. `None`
/// if `task` is not that goroutine any more, or if it is running or about to; no trace if it is parked without a stack (a
/// future between two polls), or where there are no backtraces. `header` must be short, as [`TaskRef::inspect`] says.
pub(crate) fn look<R>(task: TaskRef, id: u64, header: impl FnOnce() -> R) -> Option<(R, Option<Trace>)> {
    native::look(task, id, header)
}

/// Where a goroutine will go on that its caller owns, and that nobody resumes any more. `None` if it has no stack.
pub(crate) fn of_owned(task: TaskRef) -> Option<Trace> {
    native::of_owned(task)
}

/// Where the calling goroutine is.
pub(crate) fn own() -> Option<Trace> {
    native::own()
}

/// Where the goroutine `id` is parked, if it is parked on a stack.
#[cfg(test)]
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
