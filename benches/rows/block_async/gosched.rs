use bench_support::{Args, report_per};
use gosched::chan::bounded;
use gosched::sync::WaitGroup;
use gosched::{go_async, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
    wg.add(n as usize);
    let (tx, rx) = bounded::<u64>(0);
    let begin = Instant::now();
    for _ in 0..n {
        let (started, wg, rx) = (started.clone(), wg.clone(), rx.clone());
        go_async(async move {
            started.fetch_add(1, Ordering::Relaxed);
            assert_eq!(rx.recv_async().await, Ok(1));
            wg.done();
        });
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
