//! The rows on may and go-lib: `coroutines SYSTEM ROW [--workers 2] [N]`.
//!
//! A program of its own, since both change what belongs to the whole process (handlers of signals, the stack
//! that the standard library checks), and nothing that is measured beside them should have to bear that.

mod systems;

use bench_support::Args;

/// The rows of a system: name, program.
type Rows = &'static [(&'static str, fn(&Args))];

/// Starts a system, and runs a row's program on it.
type On = fn(&Args, fn(&Args));

fn main() {
    let args = Args::of_peer();
    let (rows, on): (Rows, On) = match args.system.as_str() {
        "may" => (systems::may::ROWS, systems::may::on),
        "go-lib" => (systems::go_lib::ROWS, systems::go_lib::on),
        system => bench_support::fail(&format!("there is no system {system}")),
    };
    match rows.iter().find(|(row, _)| *row == args.row) {
        Some((_, run)) => on(&args, *run),
        None => bench_support::fail(&format!("{} has no row {}", args.system, args.row)),
    }
}
