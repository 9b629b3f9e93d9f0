use crate::on_smol;
use async_channel::bounded;
use bench_support::{Args, report_per};
use smol::Timer;
use smol::future::or;
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    on_smol::run(args, async move {
        let begin = Instant::now();
        let (tx, rx) = bounded(1);
        let sender = smol::spawn(async move {
            for i in 0..n {
                tx.send(i).await.unwrap();
            }
        });
        let mut sum = 0;
        for _ in 0..n {
            sum += or(async { rx.recv().await.unwrap() }, async {
                Timer::after(Duration::from_secs(10)).await;
                panic!("ten seconds without a message")
            })
            .await;
        }
        let time = begin.elapsed();
        sender.await;
        assert_eq!(sum, n * (n - 1) / 2);
        report_per("after", time, n);
    });
}
