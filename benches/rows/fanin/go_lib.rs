use bench_support::{Args, report_per};
use go_lib::chan::chan;
use go_lib::go;
use std::time::Instant;

const PRODUCERS: u64 = 64;

pub fn run(args: &Args) {
    let per = args.count(3_200_000) / PRODUCERS;
    let begin = Instant::now();
    let (tx, rx) = chan(0);
    for _ in 0..PRODUCERS {
        let tx = tx.clone();
        go!(move || (0..per).for_each(|i| tx.send(i)));
    }
    let sum: u64 = (0..PRODUCERS * per).map(|_| rx.recv().expect("a number")).sum();
    let time = begin.elapsed();
    assert_eq!(sum, PRODUCERS * (per * (per - 1) / 2));
    report_per("fanin", time, PRODUCERS * per);
}
