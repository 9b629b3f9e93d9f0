//! OS threads with crossfire's channels.

#[path = "../../../../rows/fanin/crossfire_threads.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/crossfire_threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/crossfire_threads.rs"]
pub mod mpsc;
#[path = "../../../../rows/pool/crossfire_threads.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/crossfire_threads.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/crossfire_threads.rs"]
pub mod structs;

pub const ROWS: crate::Rows = &[
    ("fanin", fanin::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("pool", pool::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
];
