use crate::blocked::{Waiting, blocked};
use bench_support::Args;
use gosched::go_async;
use std::sync::atomic::Ordering;

pub fn run(args: &Args) {
    blocked(args.count(1_000_000), waits);
}

/// Starts one that waits.
pub fn waits(waiting: Waiting) {
    go_async(async move {
        waiting.started.fetch_add(1, Ordering::Relaxed);
        assert_eq!(waiting.rx.recv_async().await, Ok(1));
        waiting.wg.done();
    });
}
