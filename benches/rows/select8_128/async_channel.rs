use crate::chans::AsyncChannel;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::select8_128::with::<AsyncChannel>(args);
}
