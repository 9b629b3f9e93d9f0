use crate::chans::CrossfireBlocking;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::spsc::with::<CrossfireBlocking>(args);
}
