use bench_support::{Args, report_per};
use go_lib::chan::chan;
use go_lib::go;
use std::time::Instant;

const STAGES: u64 = 100;

pub fn run(args: &Args) {
    let n = args.count(50_000);
    let begin = Instant::now();
    let (tx, mut rx) = chan(0);
    go!(move || {
        (0..n).for_each(|i| tx.send(i));
        tx.close();
    });
    for _ in 0..STAGES {
        let (tx, next) = chan(0);
        let rx = std::mem::replace(&mut rx, next);
        go!(move || {
            while let Some(value) = rx.recv() {
                tx.send(value + 1);
            }
            tx.close();
        });
    }
    let mut sum = 0;
    while let Some(value) = rx.recv() {
        sum += value;
    }
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1) / 2 + n * STAGES);
    report_per("pipeline", time, n * (STAGES + 1));
}
