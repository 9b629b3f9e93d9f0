use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::Instant;

const PRODUCERS: u64 = 64;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    let per = args.count(3_200_000) / PRODUCERS;
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (tx, mut rx) = C::new(C::SMALLEST);
        for mut tx in C::senders(tx, PRODUCERS) {
            tokio::spawn(async move {
                for i in 0..per {
                    C::send(&mut tx, i).await;
                }
            });
        }
        let mut sum = 0;
        while let Some(value) = C::recv(&mut rx).await {
            sum += value;
        }
        let time = begin.elapsed();
        assert_eq!(sum, PRODUCERS * (per * (per - 1) / 2));
        report_per("fanin", time, PRODUCERS * per);
    });
}
