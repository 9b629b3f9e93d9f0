//! smol's tasks and timers.

#[path = "../../../../rows/after/smol.rs"]
pub mod after;
#[path = "../../../../rows/blocking/smol.rs"]
pub mod blocking;
#[path = "../../../../rows/fib/smol.rs"]
pub mod fib;
#[path = "../../../../rows/interference/smol.rs"]
pub mod interference;
#[path = "../../../../rows/skynet/smol.rs"]
pub mod skynet;
#[path = "../../../../rows/sleepers/smol.rs"]
pub mod sleepers;
#[path = "../../../../rows/spawn/smol.rs"]
pub mod spawn;
#[path = "../../../../rows/spawn_many/smol.rs"]
pub mod spawn_many;
#[path = "../../../../rows/waitgroup/smol.rs"]
pub mod waitgroup;
#[path = "../../../../rows/yield/smol.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("after", after::run),
    ("blocking", blocking::run),
    ("fib", fib::run),
    ("interference", interference::run),
    ("skynet", skynet::run),
    ("sleepers", sleepers::run),
    ("spawn", spawn::run),
    ("spawn_many", spawn_many::run),
    ("waitgroup", waitgroup::run),
    ("yield", yields::run),
];
