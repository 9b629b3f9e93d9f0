use bench_support::{Args, report_per};
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// As many as a program might have.
const THREADS: u64 = 8;

pub fn run(args: &Args) {
    let per_thread = args.count(125_000);
    let begin = Instant::now();
    let total = Arc::new(Mutex::new(0u64));
    let handles: Vec<_> = (0..THREADS)
        .map(|_| {
            let total = total.clone();
            thread::spawn(move || (0..per_thread).for_each(|_| *total.lock() += 1))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    assert_eq!(*total.lock(), THREADS * per_thread);
    report_per("mutex", begin.elapsed(), THREADS * per_thread);
}
