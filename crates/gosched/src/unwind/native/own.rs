//! Unwinding the stack that this runs on.

use super::walk::MOST;
use crate::task::context;
use crate::unwind::Trace;

/// The calls of the goroutine that runs here. `None` on a thread that runs none, and on a stack of the user's own.
#[inline(never)]
pub(in crate::unwind) fn own() -> Option<Trace> {
    let context = context()?;
    context.task.get()?;
    // The worker's own frames, which lie on its thread's stack, are not the goroutine's.
    let bounds = context.fiber.get().and_then(|fiber| fiber.bounds());
    let mut addresses = Vec::new();
    backtrace::trace(|frame| {
        let sp = frame.sp().addr();
        if bounds.is_some_and(|(limit, top)| sp < limit || sp >= top) {
            return false;
        }
        addresses.push(frame.ip().addr());
        addresses.len() < MOST
    });
    let cut = addresses.len() == MOST;
    (!addresses.is_empty()).then(|| Trace { addresses: addresses.into(), cut, running: false })
}
