use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::work::Kilobyte;
use bench_support::{Args, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan<Kilobyte>>(args: &Args) {
    let n = args.count(2_000_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (mut tx, mut rx) = C::new(128);
        tokio::spawn(async move {
            for i in 0..n {
                C::send(&mut tx, Kilobyte::new(i)).await;
            }
        });
        let mut sum = 0;
        while let Some(message) = C::recv(&mut rx).await {
            sum += message.sum();
        }
        let time = begin.elapsed();
        assert_eq!(sum, n * (n - 1));
        report_per("structs", time, n);
    });
}
