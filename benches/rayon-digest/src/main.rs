//! The digest example on rayon, by hand and without haste: the yardstick for the one on gosched.
//!
//! It shares with the example how a tree is walked, a file digested and a line printed, so that the
//! difference between the two programs is how the work gets to the cores and back into order.
//! What it leaves out, for it is no part of the comparison: the progress bar, ctrl-C, and output
//! before the end.

#[path = "../../../crates/gosched/examples/digest/args.rs"]
mod args;
#[path = "../../../crates/gosched/examples/digest/hash.rs"]
mod hash;
#[path = "../../../crates/gosched/examples/digest/line.rs"]
mod line;
#[path = "../../../crates/gosched/examples/digest/walk.rs"]
mod walk;

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use rayon::prelude::*;

use args::{Arguments, Request};
use hash::Digester;
use walk::{Found, Walk};

fn main() -> ExitCode {
    let arguments = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Help) => {
            print!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(complaint) => {
            eprint!("rayon-digest: {complaint}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Some(workers) = arguments.workers {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers);
        pool.build_global().expect("the pool is built once");
    }
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rayon-digest: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let root = arguments.root.clone().unwrap_or_else(|| ".".into());
    let mut paths = Vec::new();
    let mut failed = Vec::new();
    for found in Walk::new(&root, &[]) {
        match found {
            Found::File(path) => paths.push(path),
            Found::Failed(path, error) => failed.push((path, error)),
        }
    }
    // Every file may be stolen by itself (they differ too much in size to be dealt out in runs), so
    // the digesters belong to the threads: `map_init` would make one for each run.
    thread_local!(static DIGESTER: RefCell<Option<Digester>> = const { RefCell::new(None) });
    let digest = |path: &PathBuf| {
        DIGESTER.with_borrow_mut(|digester| {
            let digester = digester.get_or_insert_with(|| Digester::new(arguments.algorithm));
            digester.digest(path, |_| true)
        })
    };
    let digests: Vec<_> = paths.par_iter().with_max_len(1).map(digest).collect();
    let mut output = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    for (path, digest) in paths.into_iter().zip(digests) {
        match digest {
            Ok(Some(digest)) => line::write_line(&mut output, &digest, &path)?,
            Ok(None) => unreachable!("nobody gave it up"),
            Err(error) => failed.push((path, error)),
        }
    }
    output.flush()?;
    for (path, error) in &failed {
        eprintln!("rayon-digest: {}: {error}", path.display());
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
