//! Models have no goroutines that could wait for each other in a circle.

/// How a lock is held or wanted.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Alone,
    Shared,
}

pub(crate) struct Waiting;

pub(crate) fn locked<L>(_: &L, _: Way) {}

pub(crate) fn locked_at<L>(_: &L, _: Way, _: super::At) {}

pub(crate) fn unlocking<L>(_: &L) {}

pub(crate) fn downgraded<L>(_: &L) {}

pub(crate) fn leaves<T: ?Sized>(_: &T) {}

pub(crate) fn waits_for_lock<L>(_: super::WaitReason, _: &L, _: Way) -> Waiting {
    Waiting
}

pub(crate) enum Target {
    Group(#[allow(dead_code, reason = "nobody asks")] usize),
}

pub(crate) fn waits(_: super::WaitReason, _: impl FnOnce() -> Target) -> Waiting {
    Waiting
}
