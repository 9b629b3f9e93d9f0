//! go-lib: a port of Go's scheduler.

#[path = "../../../../rows/fanin/go_lib.rs"]
pub mod fanin;
#[path = "../../../../rows/mpsc/go_lib.rs"]
pub mod mpsc;
#[path = "../../../../rows/pairs/go_lib.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/go_lib.rs"]
pub mod pingpong;
#[path = "../../../../rows/pipeline/go_lib.rs"]
pub mod pipeline;
#[path = "../../../../rows/pool/go_lib.rs"]
pub mod pool;
#[path = "../../../../rows/sieve/go_lib.rs"]
pub mod sieve;
#[path = "../../../../rows/structs/go_lib.rs"]
pub mod structs;
#[path = "../../../../rows/waitgroup/go_lib.rs"]
pub mod waitgroup;
#[path = "../../../../rows/yield/go_lib.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("fanin", fanin::run),
    ("mpsc", mpsc::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pipeline", pipeline::run),
    ("pool", pool::run),
    ("sieve", sieve::run),
    ("structs", structs::run),
    ("waitgroup", waitgroup::run),
    ("yield", yields::run),
];

/// Runs a row's body on a goroutine, as gosched's main goroutine does.
pub fn on(args: &bench_support::Args, run: fn(&bench_support::Args)) {
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("GOMAXPROCS", args.workers.to_string()) };
    body(args.clone(), run);
}

#[go_lib::main]
fn body(args: bench_support::Args, run: fn(&bench_support::Args)) {
    run(&args);
}
