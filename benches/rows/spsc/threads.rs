use crate::chans::{BlockingChan, Crossbeam};
use bench_support::{Args, report_per};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Crossbeam>(args);
}

/// The row with any channel's.
pub fn with<C: BlockingChan>(args: &Args) {
    through::<C>("spsc", 1, 1, 128, args.count(10_000_000));
}

/// Numbers through one channel, from so many producers to so many consumers.
pub fn through<C: BlockingChan>(metric: &str, producers: u64, consumers: u64, capacity: usize, n: u64) {
    let begin = Instant::now();
    let (tx, rx) = C::new(capacity);
    let per = n / producers;
    for tx in C::senders(tx, producers) {
        thread::spawn(move || {
            for i in 0..per {
                assert!(C::send(&tx, i));
            }
        });
    }
    let handles: Vec<_> = C::receivers(rx, consumers)
        .into_iter()
        .map(|rx| thread::spawn(move || std::iter::from_fn(|| C::recv(&rx)).sum::<u64>()))
        .collect();
    let sum: u64 = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
    assert_eq!(sum, producers * (per * per.saturating_sub(1) / 2));
    report_per(metric, begin.elapsed(), per * producers);
}
