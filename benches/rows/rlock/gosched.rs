use bench_support::{Args, report_per};
use gosched::sync::RwLock;
use std::hint::black_box;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(20_000_000);
    let total = black_box(RwLock::new(1u64));
    let begin = Instant::now();
    let sum: u64 = (0..n).map(|_| *total.read()).sum();
    report_per("rlock", begin.elapsed(), n);
    assert_eq!(sum, n);
}
