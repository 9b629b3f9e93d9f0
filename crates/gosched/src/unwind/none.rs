//! No backtraces.

use super::{Frame, Trace};
use crate::task::TaskRef;
use std::sync::Arc;

pub(super) fn frames(_task: TaskRef, _id: u64) -> Option<Trace> {
    None
}

pub(super) fn generation() -> (u64, u64) {
    (0, 0)
}

pub(super) fn resolve(_address: usize) -> Vec<Arc<Frame>> {
    Vec::new()
}
