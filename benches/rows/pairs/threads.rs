use crate::chans::Crossbeam;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::pingpong::pingpong::<Crossbeam>("pairs", 1000, args.count(100));
}
