//! OS threads with crossbeam-channel.

#[path = "../../../../rows/after/threads.rs"]
pub mod after;
#[path = "../../../../rows/block/threads.rs"]
pub mod block;
#[path = "../../../../rows/fanin/threads.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/threads.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/threads.rs"]
pub mod mpsc;
#[path = "../../../../rows/mutex/threads.rs"]
pub mod mutex;
#[path = "../../../../rows/pairs/threads.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/threads.rs"]
pub mod pingpong;
#[path = "../../../../rows/pipeline/threads.rs"]
pub mod pipeline;
#[path = "../../../../rows/pool/threads.rs"]
pub mod pool;
#[path = "../../../../rows/select0/threads.rs"]
pub mod select0;
#[path = "../../../../rows/select128/threads.rs"]
pub mod select128;
#[path = "../../../../rows/select8_0/threads.rs"]
pub mod select8_0;
#[path = "../../../../rows/select8_128/threads.rs"]
pub mod select8_128;
#[path = "../../../../rows/spawn/threads.rs"]
pub mod spawn;
#[path = "../../../../rows/spsc/threads.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/threads.rs"]
pub mod structs;
#[path = "../../../../rows/yield/threads.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("after", after::run),
    ("block", block::run),
    ("fanin", fanin::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("mutex", mutex::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pipeline", pipeline::run),
    ("pool", pool::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("select8_0", select8_0::run),
    ("select8_128", select8_128::run),
    ("spawn", spawn::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
    ("yield", yields::run),
];
