use crate::on_tokio;
use bench_support::{Args, report_per};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Instant;

const TASKS: u64 = 64;
const WRITE_EVERY: u64 = 100;

/// Tasks that share one of parking_lot's locks, as is usual where nothing is awaited while it is locked.
pub fn run(args: &Args) {
    let per = args.count(6_400_000) / TASKS;
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let total = Arc::new(RwLock::new(0u64));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let total = total.clone();
                tokio::spawn(async move { reader(&total, per) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let time = begin.elapsed();
        assert_eq!(*total.read(), TASKS * per.div_ceil(WRITE_EVERY));
        report_per("rwlock", time, TASKS * per);
    });
}

/// What each of those does who share the lock.
pub fn reader(total: &RwLock<u64>, per: u64) {
    let mut seen = 0;
    for i in 0..per {
        if i % WRITE_EVERY == 0 {
            *total.write() += 1;
        } else {
            seen = seen.max(*total.read());
        }
    }
    assert!(seen > 0);
}
