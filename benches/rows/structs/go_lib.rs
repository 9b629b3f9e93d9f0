use bench_support::work::Kilobyte;
use bench_support::{Args, report_per};
use go_lib::chan::chan;
use go_lib::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(2_000_000);
    let begin = Instant::now();
    let (tx, rx) = chan(128);
    go!(move || {
        (0..n).for_each(|i| tx.send(Kilobyte::new(i)));
        tx.close();
    });
    let mut sum = 0;
    while let Some(message) = rx.recv() {
        sum += message.sum();
    }
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    report_per("structs", time, n);
}
