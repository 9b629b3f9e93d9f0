//! tokio's tasks with flume's channels.

#[path = "../../../../rows/apart/flume.rs"]
pub mod apart;
#[path = "../../../../rows/blocked_async/flume.rs"]
pub mod blocked_async;
#[path = "../../../../rows/mpmc/flume.rs"]
pub mod mpmc;
#[path = "../../../../rows/pairs/flume.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/flume.rs"]
pub mod pingpong;
#[path = "../../../../rows/pool/flume.rs"]
pub mod pool;
#[path = "../../../../rows/select0/flume.rs"]
pub mod select0;
#[path = "../../../../rows/select128/flume.rs"]
pub mod select128;
#[path = "../../../../rows/spsc/flume.rs"]
pub mod spsc;

pub const ROWS: crate::Rows = &[
    ("apart", apart::run),
    ("blocked_async", blocked_async::run),
    ("mpmc", mpmc::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pool", pool::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("spsc", spsc::run),
];
