use bench_support::{Args, report_peak, report_per};
use gosched::go_async;
use gosched::sync::WaitGroup;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(n as usize);
    for _ in 0..n {
        let wg = wg.clone();
        go_async(async move { wg.done() });
    }
    wg.wait();
    report_per("spawn", begin.elapsed(), n);
    report_peak("spawn_peak_rss");
}
