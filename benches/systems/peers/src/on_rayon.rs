//! What all that run on rayon share.

use bench_support::Args;
use rayon::ThreadPoolBuilder;

/// Runs a row's body on one of a pool's threads.
pub fn run(args: &Args, body: impl FnOnce() + Send) {
    ThreadPoolBuilder::new().num_threads(args.workers).build().expect("a pool").install(body);
}
