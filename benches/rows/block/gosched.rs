use crate::blocked::{Crowd, Waiting, waits};
use bench_support::{Args, report_per};
use std::time::Duration;

pub fn run(args: &Args) {
    block_and_wake(args, waits);
}

/// `start` starts one that waits.
pub fn block_and_wake(args: &Args, start: impl Fn(Waiting)) {
    let n = args.count(1_000_000);
    let crowd = Crowd::new(n, start);
    gosched::time::sleep(Duration::from_millis(100));
    report_per("block", crowd.begun, n);
    report_per("wake", crowd.wake(), n);
}
