//! What all that run on smol share.

use bench_support::Args;

/// Runs a row's body on one of smol's global executor's threads, of which there are as many as the others have
/// workers; this thread waits.
pub fn run(args: &Args, body: impl Future<Output = ()> + Send + 'static) {
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("SMOL_THREADS", args.workers.to_string()) };
    smol::block_on(async { smol::spawn(body).await });
}
