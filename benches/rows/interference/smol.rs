use crate::on_smol;
use bench_support::Args;
use bench_support::work::Delays;
use smol::Timer;
use smol::stream::StreamExt;
use std::time::Duration;

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
    on_smol::run(args, async move {
        for _ in 0..4 {
            // Nobody waits for them: they end with the process.
            let sleeper = smol::spawn(async move {
                loop {
                    sleep(Duration::from_millis(10)).await;
                    smol::future::yield_now().await;
                }
            });
            sleeper.detach();
        }
        let mut delays = Delays::of_every(PERIOD);
        let mut ticker = Timer::interval(PERIOD);
        while delays.due() < n {
            ticker.next().await;
            delays.tick();
        }
        delays.report(&row);
        std::process::exit(0);
    });
}
