//! The rows on gosched: `bench-gosched ROW [--workers 2] [--mode pinned|migrate] [N]`.

#[path = "../../../rows/pingpong/gosched.rs"]
mod pingpong;
#[path = "../../../rows/spawn/gosched.rs"]
mod spawn;

use bench_support::Args;

type Rows = &'static [(&'static str, fn(&Args))];

/// These run on the main goroutine of a runtime as the arguments say.
const ON_A_RUNTIME: Rows = &[("pingpong", pingpong::run), ("spawn", spawn::run)];

/// These run on the main thread, before there is any runtime, and make their own.
const BEFORE_ANY: Rows = &[];

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
