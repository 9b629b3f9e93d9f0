use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::time::Instant;

const LOOPS: u64 = 8;

pub fn run(args: &Args) {
    let rounds = args.count(1_600_000) / LOOPS;
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let all = WaitGroup::new(LOOPS);
        for _ in 0..LOOPS {
            let all = all.clone();
            tokio::spawn(async move {
                for _ in 0..rounds {
                    let wg = WaitGroup::new(1);
                    let done = wg.clone();
                    tokio::spawn(async move { done.done() });
                    wg.wait().await;
                }
                all.done();
            });
        }
        all.wait().await;
        report_per("waitgroup", begin.elapsed(), LOOPS * rounds);
    });
}
