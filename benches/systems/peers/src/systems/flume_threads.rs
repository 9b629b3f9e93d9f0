//! OS threads with flume's channels.

#[path = "../../../../rows/fanin/flume_threads.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/flume_threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/flume_threads.rs"]
pub mod mpsc;
#[path = "../../../../rows/pool/flume_threads.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/flume_threads.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/flume_threads.rs"]
pub mod structs;

pub const ROWS: crate::Rows = &[
    ("fanin", fanin::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("pool", pool::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
];
