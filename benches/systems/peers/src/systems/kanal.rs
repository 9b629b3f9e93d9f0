//! tokio's tasks with kanal's channels.

#[path = "../../../../rows/pingpong/kanal.rs"]
pub mod pingpong;

pub const ROWS: crate::Rows = &[("pingpong", pingpong::run)];
