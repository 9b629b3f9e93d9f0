use crate::chans::{BlockingChan, Crossbeam};
use bench_support::work::Kilobyte;
use bench_support::{Args, report_per};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Crossbeam>(args);
}

/// The row with any channel's.
pub fn with<C: BlockingChan<Kilobyte>>(args: &Args) {
    let n = args.count(2_000_000);
    let begin = Instant::now();
    let (tx, rx) = C::new(128);
    thread::spawn(move || {
        for i in 0..n {
            C::send(&tx, Kilobyte::new(i));
        }
    });
    let mut sum = 0;
    while let Some(message) = C::recv(&rx) {
        sum += message.sum();
    }
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    report_per("structs", time, n);
}
