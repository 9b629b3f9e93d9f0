//! The rows of what stands on the core: locks of parking_lot under tokio; timers of tokio and smol.

use crate::util::{self, out, out_per};
use parking_lot::{Mutex, RwLock};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tasks that share one of parking_lot's mutexes, as is usual where nothing is awaited while it is locked.
pub async fn mutex(tasks: u64, per_task: u64) {
    let begin = Instant::now();
    let total = Arc::new(Mutex::new(0u64));
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let total = total.clone();
            tokio::spawn(async move {
                for _ in 0..per_task {
                    *total.lock() += 1;
                }
            })
        })
        .collect();
    for handle in handles {
        handle.await.unwrap();
    }
    let time = begin.elapsed();
    assert_eq!(*total.lock(), tasks * per_task);
    out_per("mutex", time, tasks * per_task, "ns/lock");
}

pub fn lock(n: u64) {
    let total = black_box(Mutex::new(0u64));
    let begin = Instant::now();
    for _ in 0..n {
        *total.lock() += 1;
    }
    out_per("lock", begin.elapsed(), n, "ns/lock");
    assert_eq!(*total.lock(), n);
}

pub fn rlock(n: u64) {
    let total = black_box(RwLock::new(1u64));
    let begin = Instant::now();
    let sum: u64 = (0..n).map(|_| *total.read()).sum();
    out_per("rlock", begin.elapsed(), n, "ns/lock");
    assert_eq!(sum, n);
}

pub async fn fanout(width: u64, rounds: u64) {
    let begin = Instant::now();
    let sum = Arc::new(AtomicU64::new(0));
    for _ in 0..rounds {
        let mut set = tokio::task::JoinSet::new();
        for i in 0..width {
            let sum = sum.clone();
            set.spawn(async move {
                sum.fetch_add(i, Ordering::Relaxed);
            });
        }
        set.join_all().await;
    }
    out_per("fanout", begin.elapsed(), width * rounds, "ns/goroutine");
    assert_eq!(sum.load(Ordering::Relaxed), rounds * (width * (width - 1) / 2));
}

/// Where tasks that sleep are started, and what they sleep with.
pub trait Sleepers {
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;
    /// Starts a task and returns what waits for its end.
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send;
}

pub struct Tokio;

impl Sleepers for Tokio {
    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
        let handle = tokio::spawn(task);
        async { handle.await.unwrap() }
    }
}

pub struct Smol;

impl Sleepers for Smol {
    async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
        smol::spawn(task)
    }
}

/// Tasks that sleep `rounds` times a random 1 to 100 ms: processor time in all, and how late they wake.
pub async fn sleepers<S: Sleepers>(n: u64, rounds: u64) {
    let begin = Instant::now();
    let (late, latest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut handles = Vec::new();
    for i in 0..n {
        let (late, latest) = (late.clone(), latest.clone());
        handles.push(S::spawn(async move {
            let mut random = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (mut sum, mut worst) = (0, 0);
            for _ in 0..rounds {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let duration = Duration::from_micros(1000 + random % 99_000);
                let due = Instant::now() + duration;
                S::sleep(duration).await;
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
    out("sleepers_wall", begin.elapsed().as_secs_f64(), "s");
    out("sleepers_cpu", util::cpu(), "s");
    out("sleepers_late_mean", late.load(Ordering::Relaxed) as f64 / (n * rounds) as f64 / 1e6, "ms");
    out("sleepers_late_worst", latest.load(Ordering::Relaxed) as f64 / 1e6, "ms");
}
