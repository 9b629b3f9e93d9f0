use bench_support::{Args, report_per};
use may::go;
use may::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const WIDTH: u64 = 1000;

pub fn run(args: &Args) {
    let rounds = args.count(1000);
    let begin = Instant::now();
    let sum = Arc::new(AtomicU64::new(0));
    for _ in 0..rounds {
        let wg = WaitGroup::new();
        for i in 0..WIDTH {
            let (sum, wg) = (sum.clone(), wg.clone());
            go!(move || {
                sum.fetch_add(i, Ordering::Relaxed);
                drop(wg);
            });
        }
        wg.wait();
    }
    report_per("fanout", begin.elapsed(), WIDTH * rounds);
    assert_eq!(sum.load(Ordering::Relaxed), rounds * (WIDTH * (WIDTH - 1) / 2));
}
