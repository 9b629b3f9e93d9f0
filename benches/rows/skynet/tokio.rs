use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::work::shares;
use bench_support::{Args, report, report_peak};
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    let leaves = args.count(1_000_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (tx, mut rx) = C::new(C::SMALLEST);
        node::<C>(tx, 0, leaves);
        let sum = C::recv(&mut rx).await.expect("the sum");
        let time = begin.elapsed();
        assert_eq!(sum, leaves * (leaves - 1) / 2);
        report("skynet", time.as_secs_f64() * 1e3, "ms");
        report_peak("skynet_peak_rss");
    });
}

fn node<C: Chan>(mut up: C::Tx, number: u64, size: u64) {
    tokio::spawn(async move {
        if size == 1 {
            C::send(&mut up, number).await;
            return;
        }
        let (tx, mut rx) = C::new(C::SMALLEST);
        let mut first = number;
        for share in shares(size) {
            node::<C>(C::another_tx(&tx), first, share);
            first += share;
        }
        let mut sum = 0;
        for _ in shares(size) {
            sum += C::recv(&mut rx).await.expect("a sum");
        }
        C::send(&mut up, sum).await;
    });
}
