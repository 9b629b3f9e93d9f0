use crate::on_smol;
use bench_support::{Args, report_per};
use smol::future::yield_now;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(5_000_000);
    on_smol::run(args, async move {
        let begin = Instant::now();
        let tasks = [(); 2].map(|()| {
            smol::spawn(async move {
                for _ in 0..n {
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await;
        }
        report_per("yield", begin.elapsed(), 2 * n);
    });
}
