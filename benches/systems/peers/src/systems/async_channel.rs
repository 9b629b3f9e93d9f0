//! tokio's tasks with async-channel's channels.

#[path = "../../../../rows/apart/async_channel.rs"]
pub mod apart;
#[path = "../../../../rows/blocked_async/async_channel.rs"]
pub mod blocked_async;
#[path = "../../../../rows/mpmc/async_channel.rs"]
pub mod mpmc;
#[path = "../../../../rows/pairs/async_channel.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/async_channel.rs"]
pub mod pingpong;
#[path = "../../../../rows/pool/async_channel.rs"]
pub mod pool;
#[path = "../../../../rows/select0/async_channel.rs"]
pub mod select0;
#[path = "../../../../rows/select128/async_channel.rs"]
pub mod select128;
#[path = "../../../../rows/spsc/async_channel.rs"]
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
