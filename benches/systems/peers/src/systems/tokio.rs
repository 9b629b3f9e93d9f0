//! tokio's tasks with its own channels and locks, hyper for HTTP.

#[path = "../../../../rows/apart/tokio.rs"]
pub mod apart;
#[path = "../../../../rows/blocked_async/tokio.rs"]
pub mod blocked_async;
#[path = "../../../../rows/fanout/tokio.rs"]
pub mod fanout;
#[path = "../../../../rows/http/tokio.rs"]
pub mod http;
#[path = "../../../../rows/http_sleep/tokio.rs"]
pub mod http_sleep;
#[path = "../../../../rows/idle/tokio.rs"]
pub mod idle;
#[path = "../../../../rows/idle_echo/tokio.rs"]
pub mod idle_echo;
#[path = "../../../../rows/idle_echo_async/tokio.rs"]
pub mod idle_echo_async;
#[path = "../../../../rows/mpmc/tokio.rs"]
pub mod mpmc;
#[path = "../../../../rows/mutex/tokio.rs"]
pub mod mutex;
#[path = "../../../../rows/pairs/tokio.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/tokio.rs"]
pub mod pingpong;
#[path = "../../../../rows/pool/tokio.rs"]
pub mod pool;
#[path = "../../../../rows/roundtrip/tokio.rs"]
pub mod roundtrip;
#[path = "../../../../rows/select0/tokio.rs"]
pub mod select0;
#[path = "../../../../rows/select128/tokio.rs"]
pub mod select128;
#[path = "../../../../rows/sleepers/tokio.rs"]
pub mod sleepers;
#[path = "../../../../rows/spawn/tokio.rs"]
pub mod spawn;
#[path = "../../../../rows/spsc/tokio.rs"]
pub mod spsc;
#[path = "../../../../rows/yield/tokio.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("apart", apart::run),
    ("blocked_async", blocked_async::run),
    ("fanout", fanout::run),
    ("http", http::run),
    ("http_sleep", http_sleep::run),
    ("idle", idle::run),
    ("idle_echo", idle_echo::run),
    ("idle_echo_async", idle_echo_async::run),
    ("mpmc", mpmc::run),
    ("mutex", mutex::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pool", pool::run),
    ("roundtrip", roundtrip::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("sleepers", sleepers::run),
    ("spawn", spawn::run),
    ("spsc", spsc::run),
    ("yield", yields::run),
];
