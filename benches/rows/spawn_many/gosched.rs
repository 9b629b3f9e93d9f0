use bench_support::{Args, report_per};
use gosched::go;
use gosched::sync::WaitGroup;
use std::time::Instant;

const SPAWNERS: u64 = 100;

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    let each = n / SPAWNERS;
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add((SPAWNERS * each) as usize);
    for _ in 0..SPAWNERS {
        let wg = wg.clone();
        go(move || {
            for _ in 0..each {
                let wg = wg.clone();
                go(move || wg.done());
            }
        });
    }
    wg.wait();
    report_per("spawn_many", begin.elapsed(), SPAWNERS * each);
}
