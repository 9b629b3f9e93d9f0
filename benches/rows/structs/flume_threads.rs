use crate::chans::FlumeBlocking;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::structs::with::<FlumeBlocking>(args);
}
