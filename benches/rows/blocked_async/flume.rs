use crate::chans::Flume;
use bench_support::Args;

/// All wait on one channel, as gosched's do.
pub fn run(args: &Args) {
    crate::systems::tokio::blocked_async::with::<Flume>(args, true);
}
