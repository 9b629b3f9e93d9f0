//! OS threads with flume's channels.

#[path = "../../../../rows/mpmc/flume_threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/pool/flume_threads.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/flume_threads.rs"]
pub mod spsc;

pub const ROWS: crate::Rows = &[("mpmc", mpmc::run), ("pool", pool::run), ("spsc", spsc::run)];
