use crate::chans::{Chan, Mpsc};
use crate::systems::tokio::pingpong::pingpong;
use bench_support::Args;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    pingpong::<C>(args, "apart", 1, args.count(200_000), true);
}
