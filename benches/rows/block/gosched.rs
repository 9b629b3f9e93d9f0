use bench_support::{Args, report_per};
use gosched::chan::{Receiver, bounded};
use gosched::sync::WaitGroup;
use gosched::{go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    block_and_wake(args, |started, wg, rx| {
        go(move || {
            started.fetch_add(1, Ordering::Relaxed);
            assert_eq!(rx.recv(), Ok(1));
            wg.done();
        });
    });
}

/// `start` starts a goroutine that counts itself as started, receives a one, and is done.
pub fn block_and_wake(args: &Args, start: impl Fn(Arc<AtomicU64>, WaitGroup, Receiver<u64>)) {
    let n = args.count(1_000_000);
    let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
    wg.add(n as usize);
    let (tx, rx) = bounded::<u64>(0);
    let begin = Instant::now();
    for _ in 0..n {
        start(started.clone(), wg.clone(), rx.clone());
    }
    while started.load(Ordering::Relaxed) < n {
        yield_now();
    }
    let blocked = begin.elapsed();
    gosched::time::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    for _ in 0..n {
        tx.send(1).unwrap();
    }
    wg.wait();
    let woken = begin.elapsed();
    report_per("block", blocked, n);
    report_per("wake", woken, n);
}
