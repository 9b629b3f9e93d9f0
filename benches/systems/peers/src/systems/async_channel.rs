//! tokio's tasks with async-channel's channels.

#[path = "../../../../rows/pingpong/async_channel.rs"]
pub mod pingpong;

pub const ROWS: crate::Rows = &[("pingpong", pingpong::run)];
