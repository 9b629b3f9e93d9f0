//! may: stackful coroutines, and its own channels, which are all unbounded.

#[path = "../../../../rows/fanout/may.rs"]
pub mod fanout;
#[path = "../../../../rows/mpmc_unbounded/may.rs"]
pub mod mpmc_unbounded;
#[path = "../../../../rows/mpsc_unbounded/may.rs"]
pub mod mpsc_unbounded;
#[path = "../../../../rows/mutex/may.rs"]
pub mod mutex;
#[path = "../../../../rows/pairs/may.rs"]
pub mod pairs;
#[path = "../../../../rows/pingpong/may.rs"]
pub mod pingpong;
#[path = "../../../../rows/rwlock/may.rs"]
pub mod rwlock;
#[path = "../../../../rows/spsc_unbounded/may.rs"]
pub mod spsc_unbounded;
#[path = "../../../../rows/waitgroup/may.rs"]
pub mod waitgroup;
#[path = "../../../../rows/yield/may.rs"]
pub mod yields;

pub const ROWS: crate::Rows = &[
    ("fanout", fanout::run),
    ("mpmc_unbounded", mpmc_unbounded::run),
    ("mpsc_unbounded", mpsc_unbounded::run),
    ("mutex", mutex::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("rwlock", rwlock::run),
    ("spsc_unbounded", spsc_unbounded::run),
    ("waitgroup", waitgroup::run),
    ("yield", yields::run),
];

/// Runs a row's body on a coroutine, as gosched's main goroutine does.
pub fn on(args: &bench_support::Args, run: fn(&bench_support::Args)) {
    may::config().set_workers(args.workers);
    let args = args.clone();
    may::go!(move || run(&args)).join().expect("the program ran through");
}
