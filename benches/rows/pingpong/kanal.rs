use crate::chans::Kanal;
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::pingpong::with::<Kanal>(args);
}
