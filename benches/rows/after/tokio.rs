use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    let n = args.count(1_000_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (mut tx, mut rx) = C::new(C::SMALLEST);
        tokio::spawn(async move {
            for i in 0..n {
                C::send(&mut tx, i).await;
            }
        });
        let mut sum = 0;
        for _ in 0..n {
            tokio::select! {
                value = C::recv(&mut rx) => sum += value.unwrap(),
                () = tokio::time::sleep(Duration::from_secs(10)) => panic!("ten seconds without a message"),
            }
        }
        let time = begin.elapsed();
        assert_eq!(sum, n * (n - 1) / 2);
        report_per("after", time, n);
    });
}
