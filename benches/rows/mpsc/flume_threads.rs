use crate::chans::{FlumeBlocking, FlumeBlockingUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::mpsc::with::<FlumeBlocking, FlumeBlockingUnbounded>(args);
}
