use crate::chans::{Chan, Mpsc};
use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    through::<C>(args, "spsc", 1, 1, 128, args.count(10_000_000));
}

/// Numbers through one channel, from so many producers to so many consumers.
pub fn through<C: Chan>(
    args: &Args,
    metric: &'static str,
    producers: u64,
    consumers: u64,
    capacity: usize,
    n: u64,
) {
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (tx, rx) = C::new(capacity);
        let (sum, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new(consumers));
        let per = n / producers;
        for mut tx in C::senders(tx, producers) {
            tokio::spawn(async move {
                for i in 0..per {
                    C::send(&mut tx, i).await;
                }
            });
        }
        for mut rx in C::receivers(rx, consumers) {
            let (sum, wg) = (sum.clone(), wg.clone());
            tokio::spawn(async move {
                let mut own = 0;
                while let Some(value) = C::recv(&mut rx).await {
                    own += value;
                }
                sum.fetch_add(own, Ordering::Relaxed);
                wg.done();
            });
        }
        wg.wait().await;
        let time = begin.elapsed();
        assert_eq!(sum.load(Ordering::Relaxed), producers * (per * per.saturating_sub(1) / 2));
        report_per(metric, time, per * producers);
    });
}
