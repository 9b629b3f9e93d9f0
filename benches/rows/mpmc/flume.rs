use crate::chans::Flume;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::mpmc::with::<Flume>(args);
}
