use bench_support::{Args, report_per};
use may::go;
use may::sync::WaitGroup;
use std::time::Instant;

const LOOPS: u64 = 8;

pub fn run(args: &Args) {
    let rounds = args.count(1_600_000) / LOOPS;
    let begin = Instant::now();
    let all = WaitGroup::new();
    for _ in 0..LOOPS {
        let all = all.clone();
        go!(move || {
            for _ in 0..rounds {
                let wg = WaitGroup::new();
                let done = wg.clone();
                go!(move || drop(done));
                wg.wait();
            }
            drop(all);
        });
    }
    all.wait();
    report_per("waitgroup", begin.elapsed(), LOOPS * rounds);
}
