use crate::chans::AsyncChannel;
use bench_support::Args;

/// All wait on one channel, as gosched's do.
pub fn run(args: &Args) {
    crate::systems::tokio::blocked_async::with::<AsyncChannel>(args, true);
}
