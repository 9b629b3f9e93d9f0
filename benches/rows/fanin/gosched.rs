use bench_support::{Args, report_per};
use gosched::chan::bounded;
use gosched::go;
use std::time::Instant;

const PRODUCERS: u64 = 64;

pub fn run(args: &Args) {
    let per = args.count(3_200_000) / PRODUCERS;
    let begin = Instant::now();
    let (tx, rx) = bounded(0);
    for _ in 0..PRODUCERS {
        let tx = tx.clone();
        go(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    drop(tx);
    let sum: u64 = rx.iter().sum();
    let time = begin.elapsed();
    assert_eq!(sum, PRODUCERS * (per * (per - 1) / 2));
    report_per("fanin", time, PRODUCERS * per);
}
