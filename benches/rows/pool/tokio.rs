use crate::chans::{Chan, Mpsc, SharedMpsc};
use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::Instant;

/// The workers share the receiver of the jobs behind a mutex.
pub fn run(args: &Args) {
    with::<SharedMpsc, Mpsc>(args);
}

/// The row with any channels for jobs and results.
pub fn with<J: Chan, R: Chan>(args: &Args) {
    let n = args.count(3_000_000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (mut jobs, todo) = J::new(100);
        let (results, mut finished) = R::new(100);
        for (mut todo, mut results) in J::receivers(todo, 2).into_iter().zip(R::senders(results, 2)) {
            tokio::spawn(async move {
                while let Some(job) = J::recv(&mut todo).await {
                    R::send(&mut results, job * 2).await;
                }
            });
        }
        tokio::spawn(async move {
            for i in 0..n {
                J::send(&mut jobs, i).await;
            }
        });
        let mut sum = 0;
        for _ in 0..n {
            sum += R::recv(&mut finished).await.unwrap();
        }
        let time = begin.elapsed();
        assert_eq!(sum, n * (n - 1));
        report_per("pool", time, n);
    });
}
