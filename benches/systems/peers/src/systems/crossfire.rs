//! tokio's tasks with crossfire's channels.

#[path = "../../../../rows/apart/crossfire.rs"]
pub mod apart;
#[path = "../../../../rows/block/crossfire.rs"]
pub mod block;
#[path = "../../../../rows/mpmc/crossfire.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/crossfire.rs"]
pub mod mpsc;
#[path = "../../../../rows/pairs/crossfire.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/crossfire.rs"]
pub mod pingpong;
#[path = "../../../../rows/pool/crossfire.rs"]
pub mod pool;
#[path = "../../../../rows/select0/crossfire.rs"]
pub mod select0;
#[path = "../../../../rows/select128/crossfire.rs"]
pub mod select128;
#[path = "../../../../rows/select8_0/crossfire.rs"]
pub mod select8_0;
#[path = "../../../../rows/select8_128/crossfire.rs"]
pub mod select8_128;
#[path = "../../../../rows/skynet/crossfire.rs"]
pub mod skynet;
#[path = "../../../../rows/spsc/crossfire.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/crossfire.rs"]
pub mod structs;

pub const ROWS: crate::Rows = &[
    ("apart", apart::run),
    ("block", block::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pool", pool::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("select8_0", select8_0::run),
    ("select8_128", select8_128::run),
    ("skynet", skynet::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
];
