use crate::chans::{Chan, Mpsc};
use crate::systems::tokio::select8_0::select_eight;
use bench_support::Args;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    select_eight::<C>(args, "select8_128", 128, args.count(4_000_000));
}
