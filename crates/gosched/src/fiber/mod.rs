//! What a stackful goroutine stands on: memory for stacks, and the report of their overflow.

mod baton;
pub(crate) mod coro;
pub(crate) mod overflow;
pub(crate) mod stack;
