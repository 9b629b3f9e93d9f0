//! No backtraces.

use super::{Frame, Trace};
use crate::task::TaskRef;
use std::sync::Arc;

pub(super) fn look<R>(task: TaskRef, id: u64, header: impl FnOnce() -> R) -> Option<(R, Option<Trace>)> {
    Some((task.inspect(id, header)?, None))
}

pub(super) fn of_owned(_task: TaskRef) -> Option<Trace> {
    None
}

pub(super) fn own() -> Option<Trace> {
    None
}

pub(super) fn generation() -> (u64, u64) {
    (0, 0)
}

pub(super) fn resolve(_address: usize) -> Vec<Arc<Frame>> {
    Vec::new()
}
