use crate::chans::Kanal;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::mpmc::with::<Kanal>(args);
}
