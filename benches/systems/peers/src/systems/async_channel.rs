//! tokio's tasks with async-channel's channels.

#[path = "../../../../rows/apart/async_channel.rs"]
pub mod apart;
#[path = "../../../../rows/block/async_channel.rs"]
pub mod block;
#[path = "../../../../rows/blocked_async/async_channel.rs"]
pub mod blocked_async;
#[path = "../../../../rows/fanin/async_channel.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/async_channel.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/async_channel.rs"]
pub mod mpsc;
#[path = "../../../../rows/pairs/async_channel.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/async_channel.rs"]
pub mod pingpong;
#[path = "../../../../rows/pipeline/async_channel.rs"]
pub mod pipeline;
#[path = "../../../../rows/pool/async_channel.rs"]
pub mod pool;
#[path = "../../../../rows/select0/async_channel.rs"]
pub mod select0;
#[path = "../../../../rows/select128/async_channel.rs"]
pub mod select128;
#[path = "../../../../rows/select8_0/async_channel.rs"]
pub mod select8_0;
#[path = "../../../../rows/select8_128/async_channel.rs"]
pub mod select8_128;
#[path = "../../../../rows/sieve/async_channel.rs"]
pub mod sieve;
#[path = "../../../../rows/skynet/async_channel.rs"]
pub mod skynet;
#[path = "../../../../rows/spsc/async_channel.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/async_channel.rs"]
pub mod structs;

pub const ROWS: crate::Rows = &[
    ("apart", apart::run),
    ("block", block::run),
    ("blocked_async", blocked_async::run),
    ("fanin", fanin::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pipeline", pipeline::run),
    ("pool", pool::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("select8_0", select8_0::run),
    ("select8_128", select8_128::run),
    ("sieve", sieve::run),
    ("skynet", skynet::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
];
