use bench_support::work::shares;
use bench_support::{Args, report, report_peak};
use gosched::chan::{Sender, bounded};
use gosched::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let leaves = args.count(1_000_000);
    let begin = Instant::now();
    let (tx, rx) = bounded(0);
    go(move || node(&tx, 0, leaves));
    let sum = rx.recv().expect("the sum");
    let time = begin.elapsed();
    assert_eq!(sum, leaves * (leaves - 1) / 2);
    report("skynet", time.as_secs_f64() * 1e3, "ms");
    report_peak("skynet_peak_rss");
}

fn node(up: &Sender<u64>, number: u64, size: u64) {
    if size == 1 {
        up.send(number).unwrap();
        return;
    }
    let (tx, rx) = bounded(0);
    let mut first = number;
    for share in shares(size) {
        let tx = tx.clone();
        go(move || node(&tx, first, share));
        first += share;
    }
    up.send(shares(size).map(|_| rx.recv().expect("a sum")).sum()).unwrap();
}
