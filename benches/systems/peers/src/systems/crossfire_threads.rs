//! OS threads with crossfire's channels.

#[path = "../../../../rows/mpmc/crossfire_threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/pool/crossfire_threads.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/crossfire_threads.rs"]
pub mod spsc;

pub const ROWS: crate::Rows = &[("mpmc", mpmc::run), ("pool", pool::run), ("spsc", spsc::run)];
