//! Backtraces where we know how a suspended stack looks.

mod copy;
mod interrupt;
mod modules;
mod probe;
mod walk;

use super::{Frame, Trace};
use crate::task::TaskRef;
use copy::StackCopy;
pub(crate) use interrupt::Interrupted;
pub(super) use interrupt::interrupt;
pub(super) use modules::generation;
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

/// The calls at a return address, the innermost inlined one first.
pub(super) fn resolve(address: usize) -> Vec<Arc<Frame>> {
    let mut calls = Vec::new();
    // It looks up the instruction before, as is right for a return address, and here for the place of a switch too: the
    // one before it belongs to the switch.
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        calls.push(Arc::new(Frame {
            // The short form, without the compiler's hashes.
            function: symbol.name().map(|name| format!("{name:#}").into()),
            file: symbol.filename().map(|path| path.to_string_lossy().into()),
            line: symbol.lineno(),
            column: symbol.colno(),
            address,
        }));
    });
    if calls.is_empty() {
        calls.push(Arc::new(Frame { function: None, file: None, line: None, column: None, address }));
    }
    calls
}
