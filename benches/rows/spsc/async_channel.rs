use crate::chans::AsyncChannel;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::spsc::with::<AsyncChannel>(args);
}
