use crate::chans::{AsyncChannel, AsyncChannelUnbounded};
use bench_support::Args;

pub fn run(args: &Args) {
    crate::systems::tokio::mpsc::with::<AsyncChannel, AsyncChannelUnbounded>(args);
}
