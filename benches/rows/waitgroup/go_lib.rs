use bench_support::{Args, report_per};
use go_lib::go;
use go_lib::sync::WaitGroup;
use std::sync::Arc;
use std::time::Instant;

const LOOPS: u64 = 8;

pub fn run(args: &Args) {
    let rounds = args.count(1_600_000) / LOOPS;
    let begin = Instant::now();
    let all = Arc::new(WaitGroup::new());
    all.add(LOOPS as i64);
    for _ in 0..LOOPS {
        let all = all.clone();
        go!(move || {
            for _ in 0..rounds {
                let wg = Arc::new(WaitGroup::new());
                wg.add(1);
                let done = wg.clone();
                go!(move || done.done());
                wg.wait();
            }
            all.done();
        });
    }
    all.wait();
    report_per("waitgroup", begin.elapsed(), LOOPS * rounds);
}
