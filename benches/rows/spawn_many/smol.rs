use crate::on_smol;
use crate::on_tokio::WaitGroup;
use bench_support::{Args, report_per};
use std::time::Instant;

const SPAWNERS: u64 = 100;

pub fn run(args: &Args) {
    let each = args.count(1_000_000) / SPAWNERS;
    on_smol::run(args, async move {
        let begin = Instant::now();
        // tokio's `Notify` works on every executor.
        let wg = WaitGroup::new(SPAWNERS * each);
        for _ in 0..SPAWNERS {
            let wg = wg.clone();
            let spawner = smol::spawn(async move {
                for _ in 0..each {
                    let wg = wg.clone();
                    smol::spawn(async move { wg.done() }).detach();
                }
            });
            spawner.detach();
        }
        wg.wait().await;
        report_per("spawn_many", begin.elapsed(), SPAWNERS * each);
    });
}
