use crate::on_smol;
use async_channel::{Sender, bounded};
use bench_support::work::shares;
use bench_support::{Args, report, report_peak};
use std::time::Instant;

pub fn run(args: &Args) {
    let leaves = args.count(1_000_000);
    on_smol::run(args, async move {
        let begin = Instant::now();
        let (tx, rx) = bounded(1);
        node(tx, 0, leaves);
        let sum = rx.recv().await.expect("the sum");
        let time = begin.elapsed();
        assert_eq!(sum, leaves * (leaves - 1) / 2);
        report("skynet", time.as_secs_f64() * 1e3, "ms");
        report_peak("skynet_peak_rss");
    });
}

fn node(up: Sender<u64>, number: u64, size: u64) {
    let task = smol::spawn(async move {
        if size == 1 {
            up.send(number).await.expect("a receiver");
            return;
        }
        let (tx, rx) = bounded(1);
        let mut first = number;
        for share in shares(size) {
            node(tx.clone(), first, share);
            first += share;
        }
        let mut sum = 0;
        for _ in shares(size) {
            sum += rx.recv().await.expect("a sum");
        }
        up.send(sum).await.expect("a receiver");
    });
    task.detach();
}
