//! tokio's tasks with kanal's channels.

#[path = "../../../../rows/apart/kanal.rs"]
pub mod apart;
#[path = "../../../../rows/blocked_async/kanal.rs"]
pub mod blocked_async;
#[path = "../../../../rows/mpmc/kanal.rs"]
pub mod mpmc;
#[path = "../../../../rows/pairs/kanal.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/kanal.rs"]
pub mod pingpong;
#[path = "../../../../rows/pool/kanal.rs"]
pub mod pool;
#[path = "../../../../rows/spsc/kanal.rs"]
pub mod spsc;

pub const ROWS: crate::Rows = &[
    ("apart", apart::run),
    ("blocked_async", blocked_async::run),
    ("mpmc", mpmc::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pool", pool::run),
    ("spsc", spsc::run),
];
