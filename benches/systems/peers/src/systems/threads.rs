//! OS threads with crossbeam-channel.

#[path = "../../../../rows/pingpong/threads.rs"]
pub mod pingpong;
#[path = "../../../../rows/spawn/threads.rs"]
pub mod spawn;

pub const ROWS: crate::Rows = &[("pingpong", pingpong::run), ("spawn", spawn::run)];
