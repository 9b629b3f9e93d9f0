use crate::chans::{KanalBlocking, KanalBlockingUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::mpsc::with::<KanalBlocking, KanalBlockingUnbounded>(args);
}
