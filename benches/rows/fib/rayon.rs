use crate::on_rayon;
use bench_support::work::{FIB, FIB_FORKS, FIB_RESULT};
use bench_support::{Args, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    let rounds = args.count(30);
    on_rayon::run(args, move || {
        let begin = Instant::now();
        for _ in 0..rounds {
            assert_eq!(fib(FIB), FIB_RESULT);
        }
        report_per("fib", begin.elapsed(), rounds * FIB_FORKS);
    });
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (forked, here) = rayon::join(|| fib(n - 1), || fib(n - 2));
    forked + here
}
