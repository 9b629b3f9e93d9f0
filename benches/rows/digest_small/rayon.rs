//! The digest on rayon, by hand and without haste. It shares with gosched's how a tree is walked, a file digested
//! and a line printed, so that the difference is how the work gets to the cores and back into order.

#[path = "../../../crates/gosched/examples/digest/hash.rs"]
mod hash;
#[path = "../../../crates/gosched/examples/digest/line.rs"]
mod line;
#[path = "../../../crates/gosched/examples/digest/walk.rs"]
mod walk;

use bench_support::{Args, report_check, report_per};
use rayon::prelude::*;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &Args) {
    let (root, algorithm) = (args.required("dir"), args.option("algorithm").unwrap_or("sha256"));
    let algorithm = match algorithm {
        "sha256" => hash::Algorithm::Sha256,
        "blake3" => hash::Algorithm::Blake3,
        other => bench_support::fail(&format!("there is no algorithm {other}")),
    };
    rayon::ThreadPoolBuilder::new().num_threads(args.workers).build_global().expect("the pool is built once");
    let begin = Instant::now();
    let paths: Vec<PathBuf> = walk::Walk::new(Path::new(root), &[])
        .map(|found| match found {
            walk::Found::File(path) => path,
            walk::Found::Failed(path, error) => panic!("{}: {error}", path.display()),
        })
        .collect();
    // Every file may be stolen by itself (they differ too much in size to be dealt out in runs), so the
    // digesters belong to the threads: `map_init` would make one for each run.
    thread_local!(static DIGESTER: RefCell<Option<hash::Digester>> = const { RefCell::new(None) });
    let digest = |path: &PathBuf| {
        DIGESTER.with_borrow_mut(|digester| {
            let digester = digester.get_or_insert_with(|| hash::Digester::new(algorithm));
            digester.digest(path, |_| true).expect("every file can be read").expect("nobody gave it up")
        })
    };
    let digests: Vec<_> = paths.par_iter().with_max_len(1).map(digest).collect();
    let mut output = Vec::new();
    for (path, digest) in paths.iter().zip(&digests) {
        line::write_line(&mut output, digest, path).expect("memory takes all");
    }
    report_per("digest", begin.elapsed(), paths.len() as u64);
    report_check("digest_check", &output);
}
