use crate::on_tokio;
use bench_support::{Args, Naps, cpu, report};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often each sleeps.
const TIMES: u64 = 10;

/// Where tasks that sleep are started, and what they sleep with.
pub trait Sleepers {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;
    /// Starts a task and returns what waits for its end.
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send;
}

struct Tokio;

impl Sleepers for Tokio {
    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
        let handle = tokio::spawn(task);
        async { handle.await.unwrap() }
    }
}

pub fn run(args: &Args) {
    let n = args.count(10_000);
    on_tokio::run(args, sleepers::<Tokio>(n));
}

pub async fn sleepers<S: Sleepers>(n: u64) {
    let begin = Instant::now();
    let (late, latest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut handles = Vec::new();
    for i in 0..n {
        let (late, latest) = (late.clone(), latest.clone());
        handles.push(S::spawn(async move {
            let (mut sum, mut worst) = (0, 0);
            for nap in Naps::new(i).take(TIMES as usize) {
                let due = Instant::now() + nap;
                S::sleep(nap).await;
                let by = due.elapsed().as_nanos() as u64;
                sum += by;
                worst = worst.max(by);
            }
            late.fetch_add(sum, Ordering::Relaxed);
            latest.fetch_max(worst, Ordering::Relaxed);
        }));
    }
    for handle in handles {
        handle.await;
    }
    report("sleepers_wall", begin.elapsed().as_secs_f64(), "s");
    report("sleepers_cpu", cpu(), "s");
    report("sleepers_late_mean", late.load(Ordering::Relaxed) as f64 / (n * TIMES) as f64 / 1e6, "ms");
    report("sleepers_late_worst", latest.load(Ordering::Relaxed) as f64 / 1e6, "ms");
}
