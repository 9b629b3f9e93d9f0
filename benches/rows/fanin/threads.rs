use crate::chans::{BlockingChan, Crossbeam};
use bench_support::{Args, report_per};
use std::thread;
use std::time::Instant;

const PRODUCERS: u64 = 64;

pub fn run(args: &Args) {
    with::<Crossbeam>(args);
}

/// The row with any channel's.
pub fn with<C: BlockingChan>(args: &Args) {
    let per = args.count(320_000) / PRODUCERS;
    let begin = Instant::now();
    let (tx, rx) = C::new(C::SMALLEST);
    for tx in C::senders(tx, PRODUCERS) {
        thread::spawn(move || {
            for i in 0..per {
                C::send(&tx, i);
            }
        });
    }
    let mut sum = 0;
    while let Some(value) = C::recv(&rx) {
        sum += value;
    }
    let time = begin.elapsed();
    assert_eq!(sum, PRODUCERS * (per * (per - 1) / 2));
    report_per("fanin", time, PRODUCERS * per);
}
