//! Backtraces where we know how a suspended stack looks.

mod copy;
mod interrupt;
mod modules;
mod own;
mod probe;
mod walk;

use super::{Frame, Trace};
use crate::task::TaskRef;
use copy::StackCopy;
pub(crate) use interrupt::Interrupted;
pub(super) use interrupt::interrupt;
pub(super) use modules::generation;
pub(super) use own::own;
use std::sync::Arc;

pub(super) fn look<R>(task: TaskRef, id: u64, header: impl FnOnce() -> R) -> Option<(R, Option<Trace>)> {
    if !probe::works() {
        return Some((task.inspect(id, header)?, None));
    }
    let (header, copy) = StackCopy::take(task, id, header)?;
    let trace = copy.map(|copy| {
        let trace = walk::trace(&copy);
        copy.keep();
        trace
    });
    Some((header, trace))
}

pub(super) fn of_owned(task: TaskRef) -> Option<Trace> {
    let fiber = task.fiber.get().filter(|fiber| fiber.is_busy() && probe::works())?;
    // SAFETY: it is in the middle of a job, suspended, and nobody else's than our caller's.
    let copy = unsafe { StackCopy::of(fiber) }?;
    let trace = walk::trace(&copy);
    copy.keep();
    Some(trace)
}

/// The calls at a return address, the innermost inlined one first.
pub(super) fn resolve(address: usize) -> Vec<Arc<Frame>> {
    let mut calls = Vec::new();
    // It looks up the instruction before, as is right for a return address, and here for the place of a switch too: the
    // one before it belongs to the switch.
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        calls.push(Frame {
            // The short form, without the compiler's hashes.
            function: symbol.name().map(|name| format!("{name:#}").into()),
            file: symbol.filename().map(|path| path.to_string_lossy().into()),
            line: symbol.lineno(),
            column: symbol.colno(),
            address,
            offset: None,
        });
    });
    if calls.is_empty() {
        calls.push(Frame { function: None, file: None, line: None, column: None, address, offset: None });
    }
    // The last one is the function that the code at the address belongs to; the others are inlined into it.
    if let (Some(last), Some(start)) = (calls.last_mut(), start_of_function(address)) {
        last.offset = address.checked_sub(start);
    }
    calls.into_iter().map(Arc::new).collect()
}

/// Where the function begins that a return address lies in.
fn start_of_function(address: usize) -> Option<usize> {
    unsafe extern "C" {
        /// Of the unwinder that std is linked with, which knows by its tables.
        fn _Unwind_FindEnclosingFunction(pc: *mut std::ffi::c_void) -> *mut std::ffi::c_void;
    }
    // The call itself: the return address may be the next function's.
    let call = std::ptr::without_provenance_mut(address.checked_sub(1)?);
    // SAFETY: it compares the address with those of its tables, and does not look there.
    let start = unsafe { _Unwind_FindEnclosingFunction(call) }.addr();
    (start != 0).then_some(start)
}
