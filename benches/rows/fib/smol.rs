use crate::on_smol;
use bench_support::work::{FIB, FIB_FORKS, FIB_RESULT};
use bench_support::{Args, report_per};
use std::pin::Pin;
use std::time::Instant;

pub fn run(args: &Args) {
    let rounds = args.count(30);
    on_smol::run(args, async move {
        let begin = Instant::now();
        for _ in 0..rounds {
            assert_eq!(fib(FIB).await, FIB_RESULT);
        }
        report_per("fib", begin.elapsed(), rounds * FIB_FORKS);
    });
}

fn fib(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let forked = smol::spawn(fib(n - 1));
        let here = fib(n - 2).await;
        forked.await + here
    })
}
