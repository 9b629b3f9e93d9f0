use super::block::block_and_wake;
use bench_support::Args;
use gosched::go_async;
use std::sync::atomic::Ordering;

pub fn run(args: &Args) {
    block_and_wake(args, |started, wg, rx| {
        go_async(async move {
            started.fetch_add(1, Ordering::Relaxed);
            assert_eq!(rx.recv_async().await, Ok(1));
            wg.done();
        });
    });
}
