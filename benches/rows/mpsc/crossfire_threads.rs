use crate::chans::{CrossfireBlocking, CrossfireBlockingUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::mpsc::with::<CrossfireBlocking, CrossfireBlockingUnbounded>(args);
}
