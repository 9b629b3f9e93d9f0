use bench_support::{Args, report_per};
use may::go;
use may::sync::{Mutex, WaitGroup};
use std::sync::Arc;
use std::time::Instant;

const TASKS: u64 = 1000;

pub fn run(args: &Args) {
    let per_task = args.count(1000);
    let begin = Instant::now();
    let (total, wg) = (Arc::new(Mutex::new(0u64)), WaitGroup::new());
    for _ in 0..TASKS {
        let (total, wg) = (total.clone(), wg.clone());
        go!(move || {
            for _ in 0..per_task {
                *total.lock().unwrap() += 1;
            }
            drop(wg);
        });
    }
    wg.wait();
    let time = begin.elapsed();
    assert_eq!(*total.lock().unwrap(), TASKS * per_task);
    report_per("mutex", time, TASKS * per_task);
}
