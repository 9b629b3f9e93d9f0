use bench_support::{Args, report_per};
use gosched::chan::bounded;
use gosched::time::after;
use gosched::{go, select};
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    let begin = Instant::now();
    let (tx, rx) = bounded(0);
    go(move || {
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
