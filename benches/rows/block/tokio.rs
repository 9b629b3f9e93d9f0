use crate::chans::Chan;
use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// Each task waits on a oneshot of its own: what tokio has at the lowest price.
pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    on_tokio::run(args, async move {
        let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new(n));
        let begin = Instant::now();
        let mut senders = Vec::with_capacity(n as usize);
        for _ in 0..n {
            let (tx, rx) = oneshot::channel();
            senders.push(tx);
            let (started, wg) = (started.clone(), wg.clone());
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::Relaxed);
                assert_eq!(rx.await, Ok(1));
                wg.done();
            });
        }
        all(&started, n).await;
        let blocked = begin.elapsed();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begin = Instant::now();
        for tx in senders {
            tx.send(1).expect("a receiver");
        }
        wg.wait().await;
        let woken = begin.elapsed();
        report_per("block", blocked, n);
        report_per("wake", woken, n);
    });
}

async fn all(started: &AtomicU64, n: u64) {
    while started.load(Ordering::Relaxed) < n {
        yield_now().await;
    }
}

/// With any channel that many can receive from.
pub fn with<C: Chan>(args: &Args) {
    let n = args.count(1_000_000);
    on_tokio::run(args, async move {
        let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new(n));
        let (mut tx, rx) = C::new(C::SMALLEST);
        let begin = Instant::now();
        for _ in 0..n {
            let mut rx = C::another_rx(&rx);
            let (started, wg) = (started.clone(), wg.clone());
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::Relaxed);
                assert_eq!(C::recv(&mut rx).await, Some(1));
                wg.done();
            });
        }
        all(&started, n).await;
        let blocked = begin.elapsed();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begin = Instant::now();
        for _ in 0..n {
            C::send(&mut tx, 1).await;
        }
        wg.wait().await;
        let woken = begin.elapsed();
        report_per("block", blocked, n);
        report_per("wake", woken, n);
    });
}
