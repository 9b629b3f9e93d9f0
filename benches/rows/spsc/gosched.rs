use bench_support::{Args, report_per};
use gosched::chan::{Receiver, Sender, bounded};
use gosched::go;
use gosched::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub fn run(args: &Args) {
    through("spsc", 1, 1, bounded(128), args.count(10_000_000));
}

/// Numbers through a channel, from so many producers to so many consumers.
pub fn through(metric: &str, producers: u64, consumers: u64, (tx, rx): (Sender<u64>, Receiver<u64>), n: u64) {
    let begin = Instant::now();
    let (sum, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
    let per = n / producers;
    for _ in 0..producers {
        let tx = tx.clone();
        go(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    // The last producer to finish closes the channel.
    drop(tx);
    wg.add(consumers as usize);
    for _ in 0..consumers {
        let (rx, sum, wg) = (rx.clone(), sum.clone(), wg.clone());
        go(move || {
            sum.fetch_add(rx.iter().sum(), Ordering::Relaxed);
            wg.done();
        });
    }
    wg.wait();
    let time = begin.elapsed();
    assert_eq!(sum.load(Ordering::Relaxed), producers * (per * per.saturating_sub(1) / 2));
    report_per(metric, time, per * producers);
}
