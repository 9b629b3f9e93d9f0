use bench_support::work::Kilobyte;
use bench_support::{Args, report_per};
use gosched::chan::bounded;
use gosched::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(2_000_000);
    let begin = Instant::now();
    let (tx, rx) = bounded(128);
    go(move || {
        for i in 0..n {
            tx.send(Kilobyte::new(i)).unwrap();
        }
    });
    let sum: u64 = rx.iter().map(|message| message.sum()).sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    report_per("structs", time, n);
}
