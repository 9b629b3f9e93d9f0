use bench_support::Args;
use bench_support::work::Delays;
use gosched::go;
use gosched::time::Ticker;
use std::time::Duration;

pub fn run(args: &Args) {
    // The goroutines do not say that they block.
    ticks_beside(args, std::thread::sleep);
}

/// Ticks every millisecond while four others sleep, each 10 ms at a time, by `sleep`.
pub fn ticks_beside(args: &Args, sleep: fn(Duration)) {
    for _ in 0..4 {
        // Nobody waits for them: they end with the process.
        go(move || {
            loop {
                sleep(Duration::from_millis(10));
                gosched::yield_now();
            }
        });
    }
    let mut delays = Delays::of_every(Duration::from_millis(1));
    let ticker = Ticker::new(Duration::from_millis(1));
    while delays.due() < args.count(1500) {
        ticker.receiver().recv().expect("a tick");
        delays.tick();
    }
    delays.report(&args.row);
    // There is no waiting for goroutines that do not end.
    std::process::exit(0);
}
