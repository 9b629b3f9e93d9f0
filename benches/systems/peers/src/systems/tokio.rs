//! tokio's tasks with its own channels and locks.

#[path = "../../../../rows/pingpong/tokio.rs"]
pub mod pingpong;
#[path = "../../../../rows/spawn/tokio.rs"]
pub mod spawn;

pub const ROWS: crate::Rows = &[("pingpong", pingpong::run), ("spawn", spawn::run)];
