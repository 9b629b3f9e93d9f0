use crate::on_tokio;
use bench_support::{Args, report_per};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

const TASKS: u64 = 1000;

/// Tasks that share one of parking_lot's mutexes, as is usual where nothing is awaited while it is locked.
pub fn run(args: &Args) {
    let per_task = args.count(1000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let total = Arc::new(Mutex::new(0u64));
        let handles: Vec<_> = (0..TASKS)
            .map(|_| {
                let total = total.clone();
                tokio::spawn(async move {
                    for _ in 0..per_task {
                        *total.lock() += 1;
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
        let time = begin.elapsed();
        assert_eq!(*total.lock(), TASKS * per_task);
        report_per("mutex", time, TASKS * per_task);
    });
}
