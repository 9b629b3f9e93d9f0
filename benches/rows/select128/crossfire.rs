use crate::chans::Crossfire;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::select128::with::<Crossfire>(args);
}
