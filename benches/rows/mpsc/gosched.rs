use bench_support::Args;
use bench_support::work::Through;
use gosched::chan::{bounded, unbounded};

pub fn run(args: &Args) {
    let Through { producers, consumers, capacity } = Through::of(args);
    let channel = capacity.map_or_else(unbounded, bounded);
    crate::spsc::through("through", producers, consumers, channel, args.count(10_000_000));
}
