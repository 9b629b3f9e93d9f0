use bench_support::{Args, cpu, report};
use gosched::chan::bounded;
use gosched::go;
use gosched::time::sleep;
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    let (tx, rx) = bounded::<u64>(0);
    for _ in 0..args.count(1000) {
        let rx = rx.clone();
        go(move || {
            // Ends with an error when the sender is dropped below.
            let _ = rx.recv();
        });
    }
    sleep(Duration::from_millis(500));
    let (used, begin) = (cpu(), Instant::now());
    sleep(Duration::from_secs(3));
    report("idle_cpu", (cpu() - used) / begin.elapsed().as_secs_f64() * 100.0, "%");
    drop(tx);
}
