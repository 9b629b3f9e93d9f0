use crate::on_tokio;
use bench_support::{Args, report_per};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

const WIDTH: u64 = 1000;

pub fn run(args: &Args) {
    let rounds = args.count(1000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let sum = Arc::new(AtomicU64::new(0));
        for _ in 0..rounds {
            let mut set = JoinSet::new();
            for i in 0..WIDTH {
                let sum = sum.clone();
                set.spawn(async move {
                    sum.fetch_add(i, Ordering::Relaxed);
                });
            }
            set.join_all().await;
        }
        report_per("fanout", begin.elapsed(), WIDTH * rounds);
        assert_eq!(sum.load(Ordering::Relaxed), rounds * (WIDTH * (WIDTH - 1) / 2));
    });
}
