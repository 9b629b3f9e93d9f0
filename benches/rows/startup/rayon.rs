use bench_support::{Args, report_per};
use rayon::ThreadPoolBuilder;
use std::time::Instant;

/// The pool tells its threads to end, and does not wait for them.
pub fn run(args: &Args) {
    let n = args.count(1000);
    let begin = Instant::now();
    for _ in 0..n {
        let pool = ThreadPoolBuilder::new().num_threads(args.workers).build().expect("a pool");
        assert_eq!(pool.install(|| 42), 42);
    }
    report_per("startup", begin.elapsed(), n);
}
