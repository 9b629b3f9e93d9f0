use crate::chans::KanalBlocking;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::pool::with::<KanalBlocking>(args);
}
