use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::time::Instant;
use tokio::task::yield_now;

pub fn run(args: &Args) {
    let n = args.count(5_000_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let wg = WaitGroup::new(2);
        for _ in 0..2 {
            let wg = wg.clone();
            tokio::spawn(async move {
                for _ in 0..n {
                    yield_now().await;
                }
                wg.done();
            });
        }
        wg.wait().await;
        report_per("yield", begin.elapsed(), 2 * n);
    });
}
