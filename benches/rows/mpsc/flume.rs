use crate::chans::{Flume, FlumeUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::mpsc::with::<Flume, FlumeUnbounded>(args);
}
