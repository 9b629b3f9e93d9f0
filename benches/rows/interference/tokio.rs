use crate::on_tokio;
use bench_support::Args;
use bench_support::work::Delays;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const PERIOD: Duration = Duration::from_millis(1);

/// The tasks do not say that they block.
pub fn run(args: &Args) {
    ticks_beside(args, |duration| async move { std::thread::sleep(duration) });
}

/// Ticks every millisecond while four others sleep, each 10 ms at a time, by `sleep`.
pub fn ticks_beside<F: Future<Output = ()> + Send>(
    args: &Args,
    sleep: impl Fn(Duration) -> F + Copy + Send + 'static,
) {
    let n = args.count(1500);
    let row = args.row.clone();
    on_tokio::run(args, async move {
        for _ in 0..4 {
            // Nobody waits for them: they end with the process.
            tokio::spawn(async move {
                loop {
                    sleep(Duration::from_millis(10)).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut delays = Delays::of_every(PERIOD);
        let mut ticker = interval_at(Instant::now() + PERIOD, PERIOD);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while delays.due() < n {
            ticker.tick().await;
            delays.tick();
        }
        delays.report(&row);
        std::process::exit(0);
    });
}
