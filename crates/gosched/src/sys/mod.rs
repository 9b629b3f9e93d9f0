//! The bottom layer: one facade over std and loom, a short lock, and the operating system's calls.
//!
//! Nothing here knows of goroutines. Every atomic, cell and lock of the library comes from [`prim`],
//! so that a build with `--cfg loom` models the very code that ships. What belongs to the process and not
//! to a model (the stack slabs, the thread cache) takes its words from [`global`].

#[cfg(not(loom))]
pub(crate) mod background;
#[cfg(not(loom))]
pub(crate) mod census;
pub(crate) mod global;
pub(crate) mod lock;
pub(crate) mod mem;
pub(crate) mod prim;
#[cfg(not(loom))]
pub(crate) mod signals;
pub(crate) mod threads;
