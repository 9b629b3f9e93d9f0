use bench_support::{Args, report_per};
use gosched::context::{self, CancelContext};
use std::time::{Duration, Instant};

/// A tree of so many is made, cancelled and dropped, `n` times.
const TREE: usize = 10_000;

pub fn run(args: &Args) {
    let rounds = args.count(20);
    let (mut made, mut cancelled, mut dropped) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let begin = Instant::now();
        let root = context::background().with_cancel();
        let mut tree: Vec<CancelContext> = (0..100).map(|_| root.with_cancel()).collect();
        for i in 0..TREE - 100 {
            tree.push(tree[i % 100].with_cancel());
        }
        made += begin.elapsed();
        let begin = Instant::now();
        root.cancel();
        cancelled += begin.elapsed();
        assert!(tree.iter().all(|context| context.err().is_some()));
        let begin = Instant::now();
        drop((tree, root));
        dropped += begin.elapsed();
    }
    let all = TREE as u64 * rounds;
    report_per("cancel", cancelled, all);
    report_per("cancel_make", made, all);
    report_per("cancel_drop", dropped, all);
}
