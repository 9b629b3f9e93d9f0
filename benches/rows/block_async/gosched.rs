use crate::block::block_and_wake;
use crate::blocked_async::waits;
use bench_support::Args;

pub fn run(args: &Args) {
    block_and_wake(args, waits);
}
