use bench_support::{Args, report_per};
use gosched::sync::WaitGroup;
use gosched::{go, yield_now};
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(5_000_000);
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(2);
    for _ in 0..2 {
        let wg = wg.clone();
        go(move || {
            for _ in 0..n {
                yield_now();
            }
            wg.done();
        });
    }
    wg.wait();
    report_per("yield", begin.elapsed(), 2 * n);
}
