use crate::systems::parking::rwlock::reader;
use bench_support::{Args, report_per};
use parking_lot::RwLock;
use std::thread;
use std::time::Instant;

const THREADS: u64 = 8;

/// As many threads as a program would have for this many processors, with parking_lot's lock.
pub fn run(args: &Args) {
    let per = args.count(6_400_000) / THREADS;
    let begin = Instant::now();
    let total = RwLock::new(0u64);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| reader(&total, per));
        }
    });
    report_per("rwlock", begin.elapsed(), THREADS * per);
}
