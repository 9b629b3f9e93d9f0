//! tokio's tasks with its own channels and locks, hyper for HTTP.

#[path = "../../../../rows/after/tokio.rs"]
pub mod after;
#[path = "../../../../rows/apart/tokio.rs"]
pub mod apart;
#[path = "../../../../rows/block/tokio.rs"]
pub mod block;
#[path = "../../../../rows/blocked_async/tokio.rs"]
pub mod blocked_async;
#[path = "../../../../rows/blocking/tokio.rs"]
pub mod blocking;
#[path = "../../../../rows/fanin/tokio.rs"]
pub mod fanin;
#[path = "../../../../rows/fanout/tokio.rs"]
pub mod fanout;
#[path = "../../../../rows/fib/tokio.rs"]
pub mod fib;
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
#[path = "../../../../rows/interference/tokio.rs"]
pub mod interference;
#[path = "../../../../rows/mpmc/tokio.rs"]
pub mod mpmc;
#[path = "../../../../rows/mpsc/tokio.rs"]
pub mod mpsc;
#[path = "../../../../rows/mutex/tokio.rs"]
pub mod mutex;
#[path = "../../../../rows/pairs/tokio.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/tokio.rs"]
pub mod pingpong;
#[path = "../../../../rows/pipeline/tokio.rs"]
pub mod pipeline;
#[path = "../../../../rows/pool/tokio.rs"]
pub mod pool;
#[path = "../../../../rows/roundtrip/tokio.rs"]
pub mod roundtrip;
#[path = "../../../../rows/rwlock/tokio.rs"]
pub mod rwlock;
#[path = "../../../../rows/select0/tokio.rs"]
pub mod select0;
#[path = "../../../../rows/select128/tokio.rs"]
pub mod select128;
#[path = "../../../../rows/select8_0/tokio.rs"]
pub mod select8_0;
#[path = "../../../../rows/select8_128/tokio.rs"]
pub mod select8_128;
#[path = "../../../../rows/sieve/tokio.rs"]
pub mod sieve;
#[path = "../../../../rows/skynet/tokio.rs"]
pub mod skynet;
#[path = "../../../../rows/sleepers/tokio.rs"]
pub mod sleepers;
#[path = "../../../../rows/spawn/tokio.rs"]
pub mod spawn;
#[path = "../../../../rows/spawn_many/tokio.rs"]
pub mod spawn_many;
#[path = "../../../../rows/spsc/tokio.rs"]
pub mod spsc;
#[path = "../../../../rows/startup/tokio.rs"]
pub mod startup;
#[path = "../../../../rows/structs/tokio.rs"]
pub mod structs;
#[path = "../../../../rows/waitgroup/tokio.rs"]
pub mod waitgroup;
#[path = "../../../../rows/yield/tokio.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("after", after::run),
    ("apart", apart::run),
    ("block", block::run),
    ("blocked_async", blocked_async::run),
    ("blocking", blocking::run),
    ("fanin", fanin::run),
    ("fanout", fanout::run),
    ("fib", fib::run),
    ("http", http::run),
    ("http_sleep", http_sleep::run),
    ("idle", idle::run),
    ("idle_echo", idle_echo::run),
    ("idle_echo_async", idle_echo_async::run),
    ("interference", interference::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("mutex", mutex::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pipeline", pipeline::run),
    ("pool", pool::run),
    ("roundtrip", roundtrip::run),
    ("rwlock", rwlock::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("select8_0", select8_0::run),
    ("select8_128", select8_128::run),
    ("sieve", sieve::run),
    ("skynet", skynet::run),
    ("sleepers", sleepers::run),
    ("spawn", spawn::run),
    ("spawn_many", spawn_many::run),
    ("spsc", spsc::run),
    ("startup", startup::run),
    ("structs", structs::run),
    ("waitgroup", waitgroup::run),
    ("yield", yields::run),
];
