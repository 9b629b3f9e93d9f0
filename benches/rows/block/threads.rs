use bench_support::{Args, report_per};
use crossbeam_channel::bounded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    let n = args.count(10_000);
    let started = Arc::new(AtomicU64::new(0));
    let (tx, rx) = bounded::<u64>(0);
    let begin = Instant::now();
    let mut threads = Vec::new();
    for _ in 0..n {
        let (started, rx) = (started.clone(), rx.clone());
        threads.push(thread::spawn(move || {
            started.fetch_add(1, Ordering::Relaxed);
            assert_eq!(rx.recv(), Ok(1));
        }));
    }
    while started.load(Ordering::Relaxed) < n {
        thread::yield_now();
    }
    let blocked = begin.elapsed();
    thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    for _ in 0..n {
        tx.send(1).unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let woken = begin.elapsed();
    report_per("block", blocked, n);
    report_per("wake", woken, n);
}
