//! What a stackful goroutine stands on: memory for stacks, and the report of their overflow.

mod baton;
pub(crate) mod coro;
pub(crate) mod overflow;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) mod saved;
pub(crate) mod stack;
