use crate::chans::{Crossfire, CrossfireUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::mpsc::with::<Crossfire, CrossfireUnbounded>(args);
}
