use bench_support::{Args, report_per};
use gosched::sync::Mutex;
use std::hint::black_box;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(20_000_000);
    let total = black_box(Mutex::new(0u64));
    let begin = Instant::now();
    for _ in 0..n {
        *total.lock() += 1;
    }
    report_per("lock", begin.elapsed(), n);
    assert_eq!(*total.lock(), n);
}
