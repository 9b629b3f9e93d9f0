use crate::on_smol;
use crate::on_tokio::WaitGroup;
use bench_support::{Args, report_per};
use std::time::Instant;

const LOOPS: u64 = 8;

/// There is no wait group: each task is awaited itself.
pub fn run(args: &Args) {
    let rounds = args.count(1_600_000) / LOOPS;
    on_smol::run(args, async move {
        let begin = Instant::now();
        let all = WaitGroup::new(LOOPS);
        for _ in 0..LOOPS {
            let all = all.clone();
            let spawner = smol::spawn(async move {
                for _ in 0..rounds {
                    smol::spawn(async {}).await;
                }
                all.done();
            });
            spawner.detach();
        }
        all.wait().await;
        report_per("waitgroup", begin.elapsed(), LOOPS * rounds);
    });
}
