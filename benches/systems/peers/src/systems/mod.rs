//! The systems, each with the table of its rows.

mod async_channel;
mod crossfire;
mod flume;
mod kanal;
mod threads;
mod tokio;

use crate::Rows;

/// Every system that this program has. What they are is said in benches/README.md.
pub const ALL: &[(&str, Rows)] = &[
    ("async-channel", async_channel::ROWS),
    ("crossfire", crossfire::ROWS),
    ("flume", flume::ROWS),
    ("kanal", kanal::ROWS),
    ("threads", threads::ROWS),
    ("tokio", tokio::ROWS),
];
