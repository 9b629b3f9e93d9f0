//! tokio's tasks with kanal's channels.

#[path = "../../../../rows/apart/kanal.rs"]
pub mod apart;
#[path = "../../../../rows/block/kanal.rs"]
pub mod block;
#[path = "../../../../rows/blocked_async/kanal.rs"]
pub mod blocked_async;
#[path = "../../../../rows/fanin/kanal.rs"]
pub mod fanin;
#[path = "../../../../rows/mpmc/kanal.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/kanal.rs"]
pub mod mpsc;
#[path = "../../../../rows/pairs/kanal.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/kanal.rs"]
pub mod pingpong;
#[path = "../../../../rows/pipeline/kanal.rs"]
pub mod pipeline;
#[path = "../../../../rows/pool/kanal.rs"]
pub mod pool;
#[path = "../../../../rows/sieve/kanal.rs"]
pub mod sieve;
#[path = "../../../../rows/skynet/kanal.rs"]
pub mod skynet;
#[path = "../../../../rows/spsc/kanal.rs"]
pub mod spsc;
#[path = "../../../../rows/structs/kanal.rs"]
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
    ("sieve", sieve::run),
    ("skynet", skynet::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
];
