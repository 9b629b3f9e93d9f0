//! The task: what a goroutine is to the scheduler, whichever body it has.
//!
//! A task is a [`Task`] header in type-stable memory, reached through the copyable [`TaskRef`]. Its body is a
//! closure that runs on a stack of its own (*stackful*) or a future that is polled (*stackless*); both live in
//! the header while they fit, in a box beside it otherwise.
//!
//! Who may touch what:
//!
//! | field | by whom |
//! |---|---|
//! | `state` | anybody; see the table in [`state`] |
//! | `join` | the owner of the body and the one `JoinHandle`; see [`join`] |
//! | `id`, `scheduler`, `created`, `parent`, `vtable` | written before the task is first queued, read-only after; anybody may look, see [`peek`] |
//! | `reason`, `waits_at`, `since` | written by the owner; anybody may look |
//! | `extra` | the owner; dumps under a lock, see [`extra`] |
//! | `next` | the queue that holds the task |
//! | everything else in [`Owned`] | the task's owner (state OWNED): the worker running it, who closed it, or (reading only) who [looks at](TaskRef::inspect) it while it is parked |
//!
//! Owners follow each other through the state word's release and acquire, so plain cells do.

#[cfg(not(loom))]
pub(crate) mod body;
#[cfg(not(loom))]
pub(crate) mod counters;
#[cfg(not(loom))]
pub(crate) mod current;
#[cfg(not(loom))]
pub(crate) mod extra;
#[cfg(not(loom))]
pub(crate) mod header;
#[cfg(any(not(loom), test))]
pub(crate) mod join;
#[cfg(not(loom))]
pub(crate) mod labels;
#[cfg(not(loom))]
pub(crate) mod panics;
#[cfg(not(loom))]
pub(crate) mod peek;
#[cfg(not(loom))]
pub(crate) mod pool;
pub(crate) mod reason;
#[cfg(not(loom))]
pub(crate) mod report;
#[cfg(not(loom))]
pub(crate) mod shown;
pub(crate) mod state;
#[cfg(not(loom))]
pub(crate) mod waker;

#[cfg(not(loom))]
pub(crate) use current::{Context, Request, context};
#[cfg(not(loom))]
pub(crate) use header::{Anchor, Schedule, Task, TaskRef};
