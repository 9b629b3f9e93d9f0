use crate::chans::AsyncChannel;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::pairs::with::<AsyncChannel>(args);
}
