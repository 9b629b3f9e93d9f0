use crate::on_tokio;
use bench_support::{Args, cpu, report};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::sleep;

pub fn run(args: &Args) {
    let n = args.count(1000);
    on_tokio::run(args, async move {
        let mut senders = Vec::new();
        for _ in 0..n {
            let (tx, rx) = oneshot::channel::<()>();
            senders.push(tx);
            tokio::spawn(async move {
                let _ = rx.await;
            });
        }
        sleep(Duration::from_millis(500)).await;
        let (used, begin) = (cpu(), Instant::now());
        sleep(Duration::from_secs(3)).await;
        report("idle_cpu", (cpu() - used) / begin.elapsed().as_secs_f64() * 100.0, "%");
        drop(senders);
    });
}
