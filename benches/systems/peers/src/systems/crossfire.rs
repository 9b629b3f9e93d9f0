//! tokio's tasks with crossfire's channels.

#[path = "../../../../rows/apart/crossfire.rs"]
pub mod apart;
#[path = "../../../../rows/mpmc/crossfire.rs"]
pub mod mpmc;
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
#[path = "../../../../rows/spsc/crossfire.rs"]
pub mod spsc;

pub const ROWS: crate::Rows = &[
    ("apart", apart::run),
    ("mpmc", mpmc::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pool", pool::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("spsc", spsc::run),
];
