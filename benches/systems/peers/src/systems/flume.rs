//! tokio's tasks with flume's channels.

#[path = "../../../../rows/after/flume.rs"]
pub mod after;
#[path = "../../../../rows/apart/flume.rs"]
pub mod apart;
#[path = "../../../../rows/block/flume.rs"]
pub mod block;
#[path = "../../../../rows/blocked_async/flume.rs"]
pub mod blocked_async;
#[path = "../../../../rows/fanin/flume.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/flume.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/flume.rs"]
pub mod mpsc;
#[path = "../../../../rows/pairs/flume.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/flume.rs"]
pub mod pingpong;
#[path = "../../../../rows/pipeline/flume.rs"]
pub mod pipeline;
#[path = "../../../../rows/pool/flume.rs"]
pub mod pool;
#[path = "../../../../rows/select0/flume.rs"]
pub mod select0;
#[path = "../../../../rows/select128/flume.rs"]
pub mod select128;
#[path = "../../../../rows/select8_0/flume.rs"]
pub mod select8_0;
#[path = "../../../../rows/select8_128/flume.rs"]
pub mod select8_128;
#[path = "../../../../rows/sieve/flume.rs"]
pub mod sieve;
#[path = "../../../../rows/skynet/flume.rs"]
pub mod skynet;
#[path = "../../../../rows/spsc/flume.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/flume.rs"]
pub mod structs;

pub const ROWS: crate::Rows = &[
    ("after", after::run),
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
