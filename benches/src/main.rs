//! The runner of the benchmarks. See benches/README.md.

mod args;
mod callgrind;
mod chart;
mod check;
#[cfg(test)]
mod complete;
mod hello;
mod machine;
mod measure;
mod process;
mod programs;
mod results;
mod row;
mod server;
mod stats;
mod suite;
mod system;
mod table;
mod tree;

use clap::Parser;
use std::path::Path;
use std::process::ExitCode;

/// The project.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn main() -> ExitCode {
    let args = args::Args::parse();
    match suite::run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(complaint) => {
            eprintln!("benches: {complaint}");
            ExitCode::from(2)
        }
    }
}
