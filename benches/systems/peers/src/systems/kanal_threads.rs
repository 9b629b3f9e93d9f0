//! OS threads with kanal's channels.

#[path = "../../../../rows/mpmc/kanal_threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/pool/kanal_threads.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/kanal_threads.rs"]
pub mod spsc;

pub const ROWS: crate::Rows = &[("mpmc", mpmc::run), ("pool", pool::run), ("spsc", spsc::run)];
