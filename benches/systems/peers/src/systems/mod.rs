//! The systems, each with the table of its rows.

mod async_channel;
mod axum;
mod crossfire;
mod crossfire_threads;
mod flume;
mod flume_threads;
mod kanal;
mod kanal_threads;
mod parking;
mod parking_threads;
mod rayon;
mod smol;
mod threads;
mod tokio;

use crate::Rows;

/// Every system that this program has. What they are is said in benches/README.md.
pub const ALL: &[(&str, Rows)] = &[
    ("async-channel", async_channel::ROWS),
    ("axum", axum::ROWS),
    ("crossfire", crossfire::ROWS),
    ("crossfire-threads", crossfire_threads::ROWS),
    ("flume", flume::ROWS),
    ("flume-threads", flume_threads::ROWS),
    ("kanal", kanal::ROWS),
    ("kanal-threads", kanal_threads::ROWS),
    ("parking", parking::ROWS),
    ("parking-threads", parking_threads::ROWS),
    ("rayon", rayon::ROWS),
    ("smol", smol::ROWS),
    ("threads", threads::ROWS),
    ("tokio", tokio::ROWS),
];
