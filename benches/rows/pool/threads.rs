use crate::chans::{BlockingChan, Crossbeam};
use bench_support::{Args, report_per};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Crossbeam>(args);
}

/// The row with any channel's.
pub fn with<C: BlockingChan>(args: &Args) {
    let n = args.count(1_000_000);
    let begin = Instant::now();
    let (jobs, todo) = C::new(100);
    let (results, finished) = C::new(100);
    for (todo, results) in C::receivers(todo, 2).into_iter().zip(C::senders(results, 2)) {
        thread::spawn(move || {
            while let Some(job) = C::recv(&todo) {
                assert!(C::send(&results, job * 2));
            }
        });
    }
    thread::spawn(move || {
        for i in 0..n {
            assert!(C::send(&jobs, i));
        }
    });
    let sum: u64 = (0..n).map(|_| C::recv(&finished).unwrap()).sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    report_per("pool", time, n);
}
