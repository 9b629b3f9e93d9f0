use bench_support::{Args, Naps, cpu, report};
use gosched::sync::WaitGroup;
use gosched::{go, go_async, time};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often each sleeps.
const TIMES: u64 = 10;

pub fn run(args: &Args) {
    let n = args.count(10_000);
    sleepers(n, |sleeper| {
        go(move || sleeper.run(time::sleep));
    });
}

/// `start` starts one.
pub fn sleepers(n: u64, start: impl Fn(Sleeper)) {
    let begin = Instant::now();
    let late = Arc::new(Late { sum: AtomicU64::new(0), worst: AtomicU64::new(0) });
    let wg = WaitGroup::new();
    wg.add(n as usize);
    for i in 0..n {
        start(Sleeper { naps: Naps::new(i), late: late.clone(), wg: wg.clone() });
    }
    wg.wait();
    report("sleepers_wall", begin.elapsed().as_secs_f64(), "s");
    report("sleepers_cpu", cpu(), "s");
    let mean = late.sum.load(Ordering::Relaxed) as f64 / (n * TIMES) as f64;
    report("sleepers_late_mean", mean / 1e6, "ms");
    report("sleepers_late_worst", late.worst.load(Ordering::Relaxed) as f64 / 1e6, "ms");
}

/// How late they woke, in nanoseconds.
struct Late {
    sum: AtomicU64,
    worst: AtomicU64,
}

pub struct Sleeper {
    naps: Naps,
    late: Arc<Late>,
    wg: WaitGroup,
}

impl Sleeper {
    fn run(self, sleep: impl Fn(Duration)) {
        let (mut sum, mut worst) = (0, 0);
        for nap in self.naps.take(TIMES as usize) {
            let due = Instant::now() + nap;
            sleep(nap);
            let by = due.elapsed().as_nanos() as u64;
            sum += by;
            worst = worst.max(by);
        }
        self.late.sum.fetch_add(sum, Ordering::Relaxed);
        self.late.worst.fetch_max(worst, Ordering::Relaxed);
        self.wg.done();
    }

    async fn run_async(self) {
        let (mut sum, mut worst) = (0, 0);
        for nap in self.naps.take(TIMES as usize) {
            let due = Instant::now() + nap;
            time::sleep_async(nap).await;
            let by = due.elapsed().as_nanos() as u64;
            sum += by;
            worst = worst.max(by);
        }
        self.late.sum.fetch_add(sum, Ordering::Relaxed);
        self.late.worst.fetch_max(worst, Ordering::Relaxed);
        self.wg.done();
    }
}

/// Those without a stack.
pub fn run_async(args: &Args) {
    let n = args.count(10_000);
    sleepers(n, |sleeper| {
        go_async(sleeper.run_async());
    });
}
