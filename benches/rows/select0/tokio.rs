use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    select_two::<C>(args, "select0", C::SMALLEST, args.count(1_000_000));
}

/// One receiver on two channels, each with a sender of its own.
pub fn select_two<C: Chan>(args: &Args, metric: &'static str, capacity: usize, n: u64) {
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let per = n / 2;
        // The senders stay alive here, so that no branch becomes ready by a closed channel.
        let [(tx0, mut rx0), (tx1, mut rx1)] = [C::new(capacity), C::new(capacity)];
        for mut tx in [C::another_tx(&tx0), C::another_tx(&tx1)] {
            tokio::spawn(async move {
                for i in 0..per {
                    C::send(&mut tx, i).await;
                }
            });
        }
        let mut sum = 0;
        for _ in 0..2 * per {
            tokio::select! {
                value = C::recv(&mut rx0) => sum += value.unwrap(),
                value = C::recv(&mut rx1) => sum += value.unwrap(),
            }
        }
        let time = begin.elapsed();
        assert_eq!(sum, per * per.saturating_sub(1));
        drop((tx0, tx1));
        report_per(metric, time, 2 * per);
    });
}
