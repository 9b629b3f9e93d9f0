//! OS threads with crossbeam-channel.

#[path = "../../../../rows/mpmc/threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/mutex/threads.rs"]
pub mod mutex;
#[path = "../../../../rows/pairs/threads.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/threads.rs"]
pub mod pingpong;
#[path = "../../../../rows/pool/threads.rs"]
pub mod pool;
#[path = "../../../../rows/select0/threads.rs"]
pub mod select0;
#[path = "../../../../rows/select128/threads.rs"]
pub mod select128;
#[path = "../../../../rows/spawn/threads.rs"]
pub mod spawn;
#[path = "../../../../rows/spsc/threads.rs"]
pub mod spsc;
#[path = "../../../../rows/yield/threads.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("mpmc", mpmc::run),
    ("mutex", mutex::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pool", pool::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("spawn", spawn::run),
    ("spsc", spsc::run),
    ("yield", yields::run),
];
