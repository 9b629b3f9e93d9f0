use crate::chans::{Chan, Mpsc};
use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, Memory, report_per};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::yield_now;

/// Tasks that wait on a channel of their own, since tokio's have one receiver.
pub fn run(args: &Args) {
    with::<Mpsc>(args, false);
}

/// The row with any channel's; `shared`: all wait on one.
pub fn with<C: Chan>(args: &Args, shared: bool) {
    let n = args.count(1_000_000);
    on_tokio::run(args, async move {
        let memory = Memory::now();
        let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new(n));
        let mut shared = shared.then(|| C::new(C::SMALLEST));
        let mut senders = Vec::new();
        let begin = Instant::now();
        for _ in 0..n {
            let mut rx = match &shared {
                Some((_, rx)) => C::another_rx(rx),
                None => {
                    let (tx, rx) = C::new(C::SMALLEST);
                    senders.push(tx);
                    rx
                }
            };
            let (started, wg) = (started.clone(), wg.clone());
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::Relaxed);
                assert_eq!(C::recv(&mut rx).await, Some(1));
                wg.done();
            });
        }
        let spawned = begin.elapsed();
        while started.load(Ordering::Relaxed) < n {
            yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        memory.report(n);
        let begin = Instant::now();
        for tx in &mut senders {
            C::send(tx, 1).await;
        }
        if let Some((tx, _)) = &mut shared {
            for _ in 0..n {
                C::send(tx, 1).await;
            }
        }
        wg.wait().await;
        let woken = begin.elapsed();
        report_per("blocked_spawn", spawned, n);
        report_per("blocked_wake", woken, n);
    });
}
