//! OS threads with kanal's channels.

#[path = "../../../../rows/fanin/kanal_threads.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/kanal_threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/kanal_threads.rs"]
pub mod mpsc;
#[path = "../../../../rows/pool/kanal_threads.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/kanal_threads.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/kanal_threads.rs"]
pub mod structs;

pub const ROWS: crate::Rows = &[
    ("fanin", fanin::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("pool", pool::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
];
