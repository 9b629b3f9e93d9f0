use crate::chans::AsyncChannel;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::select8_0::with::<AsyncChannel>(args);
}
