use bench_support::{Args, report_per};
use gosched::sync::{RwLock, WaitGroup};
use std::sync::Arc;
use std::time::Instant;

const TASKS: u64 = 64;
const WRITE_EVERY: u64 = 100;

pub fn run(args: &Args) {
    let per = args.count(6_400_000) / TASKS;
    let begin = Instant::now();
    let (total, wg) = (Arc::new(RwLock::new(0u64)), WaitGroup::new());
    for _ in 0..TASKS {
        let total = total.clone();
        wg.go(move || {
            let mut seen = 0;
            for i in 0..per {
                if i % WRITE_EVERY == 0 {
                    *total.write() += 1;
                } else {
                    seen = seen.max(*total.read());
                }
            }
            assert!(seen > 0);
        });
    }
    wg.wait();
    let time = begin.elapsed();
    assert_eq!(*total.read(), TASKS * per.div_ceil(WRITE_EVERY));
    report_per("rwlock", time, TASKS * per);
}
