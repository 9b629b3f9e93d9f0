//! Waiting for one of several channel operations.
//!
//! A select judges all its cases at one instant: a `default` case is taken only if at that instant none of the
//! others could proceed. If several can, one of them is chosen at random, each with the same probability. If none
//! can and there is no `default`, it waits in all queues at once, and exactly one case is carried out.
//!
//! The message of a send case is made only when its case is chosen. Meanwhile the place in the buffer is set
//! aside, or, without a buffer, the receiver that will get it waits. If making it panics, the place is given back,
//! and the receiver is where it was.
//!
//! [`Select`] is the form for lists made at run time.

mod arm;
mod dynamic;
mod engine;
mod err;
mod locks;
#[cfg(all(test, loom))]
mod loom_tests;
mod macros;
mod operand;
mod order;
mod random;

pub use dynamic::{Select, SelectedOperation};
pub use err::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};

/// What the macros expand to. Not for use by hand; it may change in any release.
#[doc(hidden)]
pub(crate) mod __private {
    pub use super::arm::{
        Arm, Arms, Local, Ready, RecvArm, SelectFuture, SendArm, Wait, run, run_drawn, select_async,
    };
    pub use super::operand::{RecvOperand, SendOperand};
    pub use gosched_macros::select_impl;
}
