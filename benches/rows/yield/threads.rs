use bench_support::{Args, report_per};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(1_000_000);
    let begin = Instant::now();
    let handles = [(); 2].map(|()| thread::spawn(move || (0..n).for_each(|_| thread::yield_now())));
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    report_per("yield", begin.elapsed(), 2 * n);
}
