use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;

const TASKS: u64 = 1000;

pub fn run(args: &Args) {
    let per_task = args.count(1000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (total, wg) = (Arc::new(Mutex::new(0u64)), WaitGroup::new(TASKS));
        for _ in 0..TASKS {
            let (total, wg) = (total.clone(), wg.clone());
            tokio::spawn(async move {
                for _ in 0..per_task {
                    *total.lock().await += 1;
                }
                wg.done();
            });
        }
        wg.wait().await;
        let time = begin.elapsed();
        assert_eq!(*total.lock().await, TASKS * per_task);
        report_per("mutex", time, TASKS * per_task);
    });
}
