use crate::chans::{BlockingChan, Crossbeam};
use crate::systems::threads::spsc::through;
use bench_support::Args;

pub fn run(args: &Args) {
    with::<Crossbeam>(args);
}

/// The row with any channel's.
pub fn with<C: BlockingChan>(args: &Args) {
    through::<C>("mpmc", 4, 4, 128, args.count(10_000_000));
}
