//! The stages of gosched's example `digest`, without its bar and its ctrl-C.

#[path = "../../../crates/gosched/examples/digest/hash.rs"]
mod hash;
#[path = "../../../crates/gosched/examples/digest/line.rs"]
mod line;
#[path = "../../../crates/gosched/examples/digest/pipeline.rs"]
mod pipeline;
#[path = "../../../crates/gosched/examples/digest/walk.rs"]
mod walk;

use bench_support::{Args, report_check, report_per};
use std::path::Path;
use std::time::Instant;

pub fn run(args: &Args) {
    let (root, algorithm) = (args.required("dir"), args.option("algorithm").unwrap_or("sha256"));
    let algorithm = match algorithm {
        "sha256" => hash::Algorithm::Sha256,
        "blake3" => hash::Algorithm::Blake3,
        other => bench_support::fail(&format!("there is no algorithm {other}")),
    };
    let begin = Instant::now();
    let walk = walk::Walk::new(Path::new(root), &[]);
    let mut pipeline = pipeline::Pipeline::start(walk, args.workers, algorithm);
    let mut output = Vec::new();
    let mut files = 0;
    while let Ok(outcome) = pipeline.results.recv() {
        let merged = pipeline.merge(outcome, |path, digest| {
            files += 1;
            line::write_line(&mut output, &digest?, &path)
        });
        merged.expect("every file can be read");
    }
    pipeline.finish();
    report_per("digest", begin.elapsed(), files);
    report_check("digest_check", &output);
}
