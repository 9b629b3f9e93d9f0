use bench_support::{Args, report_per};
use crossbeam_channel::bounded;
use std::thread;
use std::time::Instant;

const STAGES: u64 = 100;

pub fn run(args: &Args) {
    let n = args.count(2000);
    let begin = Instant::now();
    let (tx, mut rx) = bounded::<u64>(0);
    thread::spawn(move || {
        for i in 0..n {
            tx.send(i).unwrap();
        }
    });
    for _ in 0..STAGES {
        let (tx, next) = bounded(0);
        let rx = std::mem::replace(&mut rx, next);
        thread::spawn(move || {
            for value in rx {
                tx.send(value + 1).unwrap();
            }
        });
    }
    let sum: u64 = rx.iter().sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1) / 2 + n * STAGES);
    report_per("pipeline", time, n * (STAGES + 1));
}
