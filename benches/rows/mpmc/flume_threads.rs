use crate::chans::FlumeBlocking;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::mpmc::with::<FlumeBlocking>(args);
}
