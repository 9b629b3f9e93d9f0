use bench_support::{Args, report_per};
use crossbeam_channel::{after, bounded, select};
use std::thread;
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    let n = args.count(50_000);
    let begin = Instant::now();
    let (tx, rx) = bounded(0);
    thread::spawn(move || {
        for i in 0..n {
            tx.send(i).unwrap();
        }
    });
    let mut sum = 0;
    for _ in 0..n {
        select! {
            recv(rx) -> value => sum += value.unwrap(),
            recv(after(Duration::from_secs(10))) -> _ => panic!("ten seconds without a message"),
        }
    }
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1) / 2);
    report_per("after", time, n);
}
