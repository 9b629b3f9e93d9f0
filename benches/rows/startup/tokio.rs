use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(1000);
    let begin = Instant::now();
    for _ in 0..n {
        let result = on_tokio::runtime(args).block_on(async { tokio::spawn(async { 42 }).await });
        assert_eq!(result.unwrap(), 42);
    }
    report_per("startup", begin.elapsed(), n);
}
