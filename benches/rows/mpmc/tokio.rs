use crate::chans::{Chan, SharedMpsc};
use crate::systems::tokio::spsc::through;
use bench_support::Args;

/// Its mpsc has one consumer, so four share it behind a mutex.
pub fn run(args: &Args) {
    with::<SharedMpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    through::<C>(args, "mpmc", 4, 4, 128, args.count(10_000_000));
}
