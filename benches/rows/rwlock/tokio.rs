use crate::on_tokio;
use bench_support::{Args, report_per};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::RwLock;

const TASKS: u64 = 64;
const WRITE_EVERY: u64 = 100;

pub fn run(args: &Args) {
    let per = args.count(6_400_000) / TASKS;
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let total = Arc::new(RwLock::new(0u64));
        let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(reader(total.clone(), per))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        let time = begin.elapsed();
        assert_eq!(*total.read().await, TASKS * per.div_ceil(WRITE_EVERY));
        report_per("rwlock", time, TASKS * per);
    });
}

async fn reader(total: Arc<RwLock<u64>>, per: u64) {
    let mut seen = 0;
    for i in 0..per {
        if i % WRITE_EVERY == 0 {
            *total.write().await += 1;
        } else {
            seen = seen.max(*total.read().await);
        }
    }
    assert!(seen > 0);
}
