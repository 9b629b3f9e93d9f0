use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::Instant;

const STAGES: u64 = 100;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    let n = args.count(50_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (mut tx, mut rx) = C::new(C::SMALLEST);
        tokio::spawn(async move {
            for i in 0..n {
                C::send(&mut tx, i).await;
            }
        });
        for _ in 0..STAGES {
            let (mut tx, next) = C::new(C::SMALLEST);
            let mut rx = std::mem::replace(&mut rx, next);
            tokio::spawn(async move {
                while let Some(value) = C::recv(&mut rx).await {
                    C::send(&mut tx, value + 1).await;
                }
            });
        }
        let mut sum = 0;
        while let Some(value) = C::recv(&mut rx).await {
            sum += value;
        }
        let time = begin.elapsed();
        assert_eq!(sum, n * (n - 1) / 2 + n * STAGES);
        report_per("pipeline", time, n * (STAGES + 1));
    });
}
