use bench_support::work::{FIB, FIB_FORKS, FIB_RESULT};
use bench_support::{Args, report_per};
use gosched::scope;
use std::time::Instant;

pub fn run(args: &Args) {
    let rounds = args.count(30);
    let begin = Instant::now();
    for _ in 0..rounds {
        assert_eq!(fib(FIB), FIB_RESULT);
    }
    report_per("fib", begin.elapsed(), rounds * FIB_FORKS);
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    scope(|s| {
        let forked = s.go(|| fib(n - 1));
        let here = fib(n - 2);
        forked.join().expect("no panic") + here
    })
}
