use crate::chans::FlumeBlocking;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::fanin::with::<FlumeBlocking>(args);
}
