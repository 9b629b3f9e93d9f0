use bench_support::{Args, report_peak, report_per};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(20_000);
    let begin = Instant::now();
    let mut handles = Vec::new();
    for i in 0..n {
        handles.push(thread::spawn(|| {}));
        // Not all at once: the system has a limit.
        if i % 1000 == 999 {
            handles.drain(..).for_each(|handle| handle.join().unwrap());
        }
    }
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    report_per("spawn", begin.elapsed(), n);
    report_peak("spawn_peak_rss");
}
