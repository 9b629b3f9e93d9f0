use bench_support::{Args, report_per};
use may::coroutine::yield_now;
use may::go;
use may::sync::WaitGroup;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(5_000_000);
    let begin = Instant::now();
    let wg = WaitGroup::new();
    for _ in 0..2 {
        let wg = wg.clone();
        go!(move || {
            for _ in 0..n {
                yield_now();
            }
            drop(wg);
        });
    }
    wg.wait();
    report_per("yield", begin.elapsed(), 2 * n);
}
