//! The rows on other Rust libraries: `peers SYSTEM ROW [--workers 2] [--mode M] [N]`.
//!
//! A system is a file in `systems/`, with the table of its rows. The programs themselves are in
//! `benches/rows/<row>/<system>.rs`. Where several systems run the same program with other channels it is
//! written once, for any [`chans::Chan`] or [`chans::BlockingChan`].

pub mod chans;
pub mod on_rayon;
pub mod on_smol;
pub mod on_tokio;
mod systems;

use bench_support::Args;

/// The rows of a system: name, program.
type Rows = &'static [(&'static str, fn(&Args))];

pub fn main() {
    let args = Args::of_peer();
    let Some((_, rows)) = systems::ALL.iter().find(|(system, _)| *system == args.system) else {
        bench_support::fail(&format!("there is no system {}", args.system));
    };
    match rows.iter().find(|(row, _)| *row == args.row) {
        Some((_, run)) => run(&args),
        None => bench_support::fail(&format!("{} has no row {}", args.system, args.row)),
    }
}
