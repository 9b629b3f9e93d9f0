use crate::chans::{Chan, Mpsc, MpscUnbounded, SharedMpsc, SharedMpscUnbounded};
use crate::systems::tokio::spsc::through;
use bench_support::Args;
use bench_support::work::Through;

pub fn run(args: &Args) {
    if Through::of(args).consumers == 1 {
        with::<Mpsc, MpscUnbounded>(args);
    } else {
        // One consumer is all it has: several share it behind a mutex.
        with::<SharedMpsc, SharedMpscUnbounded>(args);
    }
}

/// The row with any channel's.
pub fn with<Bounded: Chan, Unbounded: Chan>(args: &Args) {
    let Through { producers, consumers, capacity } = Through::of(args);
    let n = args.count(10_000_000);
    match capacity {
        Some(capacity) => through::<Bounded>(args, "through", producers, consumers, capacity, n),
        None => through::<Unbounded>(args, "through", producers, consumers, 0, n),
    }
}
