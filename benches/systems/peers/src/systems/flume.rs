//! tokio's tasks with flume's channels.

#[path = "../../../../rows/pingpong/flume.rs"]
pub mod pingpong;

pub const ROWS: crate::Rows = &[("pingpong", pingpong::run)];
