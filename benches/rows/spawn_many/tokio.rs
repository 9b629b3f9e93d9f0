use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::time::Instant;

const SPAWNERS: u64 = 100;

pub fn run(args: &Args) {
    let each = args.count(1_000_000) / SPAWNERS;
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let wg = WaitGroup::new(SPAWNERS * each);
        for _ in 0..SPAWNERS {
            let wg = wg.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    let wg = wg.clone();
                    tokio::spawn(async move { wg.done() });
                }
            });
        }
        wg.wait().await;
        report_per("spawn_many", begin.elapsed(), SPAWNERS * each);
    });
}
