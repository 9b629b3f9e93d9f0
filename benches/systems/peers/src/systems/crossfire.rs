//! tokio's tasks with crossfire's channels.

#[path = "../../../../rows/pingpong/crossfire.rs"]
pub mod pingpong;

pub const ROWS: crate::Rows = &[("pingpong", pingpong::run)];
