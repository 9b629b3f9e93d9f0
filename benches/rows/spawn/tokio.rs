use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_peak, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let wg = WaitGroup::new(n);
        for _ in 0..n {
            let wg = wg.clone();
            tokio::spawn(async move { wg.done() });
        }
        wg.wait().await;
        report_per("spawn", begin.elapsed(), n);
        report_peak("spawn_peak_rss");
    });
}
