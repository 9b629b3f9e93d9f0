use crate::chans::{BlockingChan, Crossbeam, CrossbeamUnbounded};
use crate::systems::threads::spsc::through;
use bench_support::Args;
use bench_support::work::Through;

pub fn run(args: &Args) {
    with::<Crossbeam, CrossbeamUnbounded>(args);
}

/// The row with any channel's.
pub fn with<Bounded: BlockingChan, Unbounded: BlockingChan>(args: &Args) {
    let Through { producers, consumers, capacity } = Through::of(args);
    let n = args.count(10_000_000);
    match capacity {
        Some(capacity) => through::<Bounded>("through", producers, consumers, capacity, n),
        None => through::<Unbounded>("through", producers, consumers, 0, n),
    }
}
