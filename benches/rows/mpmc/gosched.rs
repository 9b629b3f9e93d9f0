use bench_support::Args;
use gosched::chan::bounded;

pub fn run(args: &Args) {
    crate::spsc::through("mpmc", 4, 4, bounded(128), args.count(10_000_000));
}
