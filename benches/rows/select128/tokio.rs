use crate::chans::{Chan, Mpsc};
use crate::systems::tokio::select0::select_two;
use bench_support::Args;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    select_two::<C>(args, "select128", 128, args.count(5_000_000));
}
