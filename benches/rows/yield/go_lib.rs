use bench_support::{Args, report_per};
use go_lib::sync::WaitGroup;
use go_lib::{go, gosched};
use std::sync::Arc;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(5_000_000);
    let begin = Instant::now();
    let wg = Arc::new(WaitGroup::new());
    wg.add(2);
    for _ in 0..2 {
        let wg = wg.clone();
        go!(move || {
            for _ in 0..n {
                gosched();
            }
            wg.done();
        });
    }
    wg.wait();
    report_per("yield", begin.elapsed(), 2 * n);
}
