//! The self-test: unwinds a fiber that is suspended in known functions.
//!
//! What is known of `corosensei`'s saved registers is known from reading it, and a program may come with another version,
//! or without tables for unwinding. Then there shall be no backtraces, rather than wrong ones.

use super::copy::StackCopy;
use super::walk;
use crate::fiber::coro::{Backend, FiberRef, Hooks};
use crate::fiber::stack;
use crate::sys::global::OnceLock;
use std::hint::black_box;

/// The functions below are not longer than this.
const LONGEST: usize = 4096;

/// Whether backtraces can be trusted. Tried out once; false for now if there is no stack to try it on.
pub(super) fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    match WORKS.get() {
        Some(&works) => works,
        None => attempt().is_some_and(|works| *WORKS.get_or_init(|| works)),
    }
}

fn attempt() -> Option<bool> {
    let hooks = Hooks { run: outer, enter: |_| {} };
    let mut fiber = FiberRef::new(stack::MIN_SIZE, Backend::Stacks, hooks).ok()?;
    let job: *mut () = (&raw mut fiber).cast();
    // SAFETY: the fiber is ours alone; the job is what `outer` expects, and lives until it has ended.
    let ended = unsafe { fiber.resume(job, std::ptr::null()) };
    debug_assert!(!ended);
    // SAFETY: it was suspended just now, in the middle of its job.
    let copy = unsafe { StackCopy::of(fiber) };
    let trace = copy.map(|copy| walk::trace(&copy));
    // SAFETY: as above. This time it ends, and the reference is not used again.
    unsafe {
        let ended = fiber.resume(std::ptr::null_mut(), std::ptr::null());
        debug_assert!(ended);
        fiber.destroy();
    }
    let trace = trace.filter(|trace| !trace.cut);
    // One call in `inner`, the next in `outer`.
    let starts = [inner as fn(FiberRef) as usize, outer as unsafe fn(*mut ()) as usize];
    Some(trace.is_some_and(|trace| {
        let called: Vec<Option<usize>> =
            trace.addresses.iter().map(|&address| function_at(address, starts)).collect();
        called.windows(2).any(|pair| pair == [Some(starts[0]), Some(starts[1])])
    }))
}

/// Which of the functions an address lies in.
fn function_at(address: usize, starts: [usize; 2]) -> Option<usize> {
    starts.into_iter().filter(|&start| start < address && address - start < LONGEST).max()
}

/// The job: a pointer to the fiber it runs on.
///
/// # Safety
///
/// `job` is one.
#[inline(never)]
unsafe fn outer(job: *mut ()) {
    // SAFETY: by the caller's promise.
    let fiber = unsafe { *job.cast::<FiberRef>() };
    let frame = black_box([0u64; 16]);
    inner(fiber);
    black_box(&frame);
}

#[inline(never)]
fn inner(fiber: FiberRef) {
    let frame = black_box([0u64; 4]);
    // SAFETY: `outer` runs on this fiber, and calls this.
    unsafe { fiber.suspend() };
    black_box(&frame);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_self_test_passes() {
        assert!(super::works());
    }
}
