use crate::on_smol;
use crate::on_tokio::WaitGroup;
use bench_support::{Args, report_peak, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    on_smol::run(args, async move {
        let begin = Instant::now();
        // tokio's `Notify` works on every executor.
        let wg = WaitGroup::new(n);
        for _ in 0..n {
            let wg = wg.clone();
            smol::spawn(async move { wg.done() }).detach();
        }
        wg.wait().await;
        report_per("spawn", begin.elapsed(), n);
        report_peak("spawn_peak_rss");
    });
}
