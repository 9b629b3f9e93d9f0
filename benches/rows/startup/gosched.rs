use bench_support::{Args, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(1000);
    let begin = Instant::now();
    for _ in 0..n {
        assert_eq!(crate::runtime(args).run(|| gosched::go(|| 42).join().expect("no panic")), 42);
    }
    report_per("startup", begin.elapsed(), n);
}
