use crate::chans::KanalBlocking;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::threads::fanin::with::<KanalBlocking>(args);
}
