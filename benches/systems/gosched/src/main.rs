//! The rows on gosched: `bench-gosched ROW [--workers 2] [--mode pinned|migrate] [N]`.

#[path = "../../../rows/after/gosched.rs"]
mod after;
#[path = "../../../rows/apart/gosched.rs"]
mod apart;
#[path = "../../../rows/block/gosched.rs"]
mod block;
#[path = "../../../rows/block_async/gosched.rs"]
mod block_async;
#[path = "../../../rows/blocked/gosched.rs"]
mod blocked;
#[path = "../../../rows/blocked_async/gosched.rs"]
mod blocked_async;
#[path = "../../../rows/blocking/gosched.rs"]
mod blocking;
#[path = "../../../rows/cancel/gosched.rs"]
mod cancel;
#[path = "../../../rows/digest_small/gosched.rs"]
mod digest_small;
#[path = "../../../rows/fanin/gosched.rs"]
mod fanin;
#[path = "../../../rows/fanout/gosched.rs"]
mod fanout;
#[path = "../../../rows/fib/gosched.rs"]
mod fib;
#[path = "../../../rows/http/gosched.rs"]
mod http;
#[path = "../../../rows/http_sleep/gosched.rs"]
mod http_sleep;
#[path = "../../../rows/idle/gosched.rs"]
mod idle;
#[path = "../../../rows/idle_echo/gosched.rs"]
mod idle_echo;
#[path = "../../../rows/idle_echo_async/gosched.rs"]
mod idle_echo_async;
#[path = "../../../rows/idle_echo_small/gosched.rs"]
mod idle_echo_small;
#[path = "../../../rows/interference/gosched.rs"]
mod interference;
#[path = "../../../rows/lock/gosched.rs"]
mod lock;
#[path = "../../../rows/mpmc/gosched.rs"]
mod mpmc;
#[path = "../../../rows/mpsc/gosched.rs"]
mod mpsc;
#[path = "../../../rows/mutex/gosched.rs"]
mod mutex;
#[path = "../../../rows/pairs/gosched.rs"]
mod pairs;
#[path = "../../../rows/pingpong/gosched.rs"]
mod pingpong;
#[path = "../../../rows/pipeline/gosched.rs"]
mod pipeline;
#[path = "../../../rows/pool/gosched.rs"]
mod pool;
#[path = "../../../rows/rlock/gosched.rs"]
mod rlock;
#[path = "../../../rows/roundtrip/gosched.rs"]
mod roundtrip;
#[path = "../../../rows/rwlock/gosched.rs"]
mod rwlock;
#[path = "../../../rows/select0/gosched.rs"]
mod select0;
#[path = "../../../rows/select128/gosched.rs"]
mod select128;
#[path = "../../../rows/select8_0/gosched.rs"]
mod select8_0;
#[path = "../../../rows/select8_128/gosched.rs"]
mod select8_128;
#[path = "../../../rows/sieve/gosched.rs"]
mod sieve;
#[path = "../../../rows/skynet/gosched.rs"]
mod skynet;
#[path = "../../../rows/sleepers/gosched.rs"]
mod sleepers;
#[path = "../../../rows/sleepers_async/gosched.rs"]
mod sleepers_async;
#[path = "../../../rows/spawn/gosched.rs"]
mod spawn;
#[path = "../../../rows/spawn_async/gosched.rs"]
mod spawn_async;
#[path = "../../../rows/spawn_many/gosched.rs"]
mod spawn_many;
#[path = "../../../rows/spsc/gosched.rs"]
mod spsc;
#[path = "../../../rows/startup/gosched.rs"]
mod startup;
#[path = "../../../rows/structs/gosched.rs"]
mod structs;
#[path = "../../../rows/waitgroup/gosched.rs"]
mod waitgroup;
#[path = "../../../rows/yield/gosched.rs"]
mod yields;

use bench_support::Args;

type Rows = &'static [(&'static str, fn(&Args))];

/// These run on the main goroutine of a runtime as the arguments say.
const ON_A_RUNTIME: Rows = &[
    ("after", after::run),
    ("apart", apart::run),
    ("block", block::run),
    ("block_async", block_async::run),
    ("blocked", blocked::run),
    ("blocked_async", blocked_async::run),
    ("blocking", blocking::run),
    ("cancel", cancel::run),
    ("digest_small", digest_small::run),
    ("fanin", fanin::run),
    ("fanout", fanout::run),
    ("fib", fib::run),
    ("http", http::run),
    ("http_sleep", http_sleep::run),
    ("idle", idle::run),
    ("idle_echo", idle_echo::run),
    ("idle_echo_async", idle_echo_async::run),
    ("idle_echo_small", idle_echo_small::run),
    ("interference", interference::run),
    ("lock", lock::run),
    ("mpmc", mpmc::run),
    ("mpsc", mpsc::run),
    ("mutex", mutex::run),
    ("pairs", pairs::run),
    ("pingpong", pingpong::run),
    ("pipeline", pipeline::run),
    ("pool", pool::run),
    ("rlock", rlock::run),
    ("roundtrip", roundtrip::run),
    ("rwlock", rwlock::run),
    ("select0", select0::run),
    ("select128", select128::run),
    ("select8_0", select8_0::run),
    ("select8_128", select8_128::run),
    ("sieve", sieve::run),
    ("skynet", skynet::run),
    ("sleepers", sleepers::run),
    ("sleepers_async", sleepers_async::run),
    ("spawn", spawn::run),
    ("spawn_async", spawn_async::run),
    ("spawn_many", spawn_many::run),
    ("spsc", spsc::run),
    ("structs", structs::run),
    ("waitgroup", waitgroup::run),
    ("yield", yields::run),
];

/// These run on the main thread, before there is any runtime, and make their own.
const BEFORE_ANY: Rows = &[("startup", startup::run)];

fn main() {
    let args = Args::parse();
    let find = |rows: Rows| rows.iter().find(|(row, _)| *row == args.row).map(|(_, run)| *run);
    if let Some(run) = find(ON_A_RUNTIME) {
        runtime(&args).run(move || run(&args));
    } else if let Some(run) = find(BEFORE_ANY) {
        run(&args);
    } else {
        bench_support::fail(&format!("gosched has no row {}", args.row));
    }
}

/// The runtime that the arguments ask for.
pub fn runtime(args: &Args) -> gosched::Runtime {
    let builder = gosched::Runtime::builder().workers(args.workers);
    let builder = match args.mode.as_str() {
        "" | "pinned" => builder,
        // SAFETY: nothing here is bound to a thread: no thread-local is used across a blocking call, and
        // nothing that is not `Send` lives on a goroutine's stack.
        "migrate" => unsafe { builder.migrate() },
        mode => bench_support::fail(&format!("--mode is pinned or migrate, not {mode}")),
    };
    builder.build().expect("a runtime")
}
