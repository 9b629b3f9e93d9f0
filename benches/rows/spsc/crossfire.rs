use crate::chans::CrossfireSpsc;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::spsc::with::<CrossfireSpsc>(args);
}
