use crate::chans::{Kanal, KanalUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::mpsc::with::<Kanal, KanalUnbounded>(args);
}
