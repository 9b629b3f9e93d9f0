//! The rows of what stands on the core: locks, contexts, wait groups, timers.

use crate::util::{self, out, out_per};
use gosched::context::{self, CancelContext};
use gosched::sync::{Mutex, RwLock, WaitGroup};
use gosched::{go, go_async};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "mutex" => mutex(1000, n(1000)),
        "lock" => lock(n(20_000_000)),
        "rlock" => rlock(n(20_000_000)),
        "cancel" => cancel(n(10_000), 20),
        "fanout" => fanout(1000, n(1000)),
        "sleepers" => sleepers(n(10_000), 10, false),
        "sleepers_async" => sleepers(n(10_000), 10, true),
        row => panic!("no row {row}"),
    }
}

fn mutex(tasks: u64, per_task: u64) {
    let begin = Instant::now();
    let (total, wg) = (Arc::new(Mutex::new(0u64)), WaitGroup::new());
    wg.add(tasks as usize);
    for _ in 0..tasks {
        let (total, wg) = (total.clone(), wg.clone());
        go(move || {
            for _ in 0..per_task {
                *total.lock() += 1;
            }
            wg.done();
        });
    }
    wg.wait();
    let time = begin.elapsed();
    assert_eq!(*total.lock(), tasks * per_task);
    out_per("mutex", time, tasks * per_task, "ns/lock");
}

/// One goroutine locks and unlocks what nobody else wants.
fn lock(n: u64) {
    let total = black_box(Mutex::new(0u64));
    let begin = Instant::now();
    for _ in 0..n {
        *total.lock() += 1;
    }
    out_per("lock", begin.elapsed(), n, "ns/lock");
    assert_eq!(*total.lock(), n);
}

fn rlock(n: u64) {
    let total = black_box(RwLock::new(1u64));
    let begin = Instant::now();
    let sum: u64 = (0..n).map(|_| *total.read()).sum();
    out_per("rlock", begin.elapsed(), n, "ns/lock");
    assert_eq!(sum, n);
}

/// A tree of contexts, a hundred wide at the root, is made, cancelled and dropped.
fn cancel(n: u64, rounds: u64) {
    let (mut made, mut cancelled, mut dropped) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let begin = Instant::now();
        let root = context::background().with_cancel();
        let mut tree: Vec<CancelContext> = (0..100).map(|_| root.with_cancel()).collect();
        for i in 0..n as usize - 100 {
            tree.push(tree[i % 100].with_cancel());
        }
        made += begin.elapsed();
        let begin = Instant::now();
        root.cancel();
        cancelled += begin.elapsed();
        assert!(tree.iter().all(|context| context.err().is_some()));
        let begin = Instant::now();
        drop((tree, root));
        dropped += begin.elapsed();
    }
    out_per("cancel", cancelled, n * rounds, "ns/child");
    out_per("cancel_make", made, n * rounds, "ns/child");
    out_per("cancel_drop", dropped, n * rounds, "ns/child");
}

/// A thousand goroutines are started and waited for, again and again.
fn fanout(width: u64, rounds: u64) {
    let begin = Instant::now();
    let sum = Arc::new(AtomicU64::new(0));
    for _ in 0..rounds {
        let wg = WaitGroup::new();
        for i in 0..width {
            let sum = sum.clone();
            wg.go(move || {
                sum.fetch_add(i, Ordering::Relaxed);
            });
        }
        wg.wait();
    }
    out_per("fanout", begin.elapsed(), width * rounds, "ns/goroutine");
    assert_eq!(sum.load(Ordering::Relaxed), rounds * (width * (width - 1) / 2));
}

/// Goroutines that sleep `rounds` times a random 1 to 100 ms: processor time in all, and how late they wake.
fn sleepers(n: u64, rounds: u64, is_async: bool) {
    let begin = Instant::now();
    let (late, latest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let wg = WaitGroup::new();
    wg.add(n as usize);
    for i in 0..n {
        let (wg, late, latest) = (wg.clone(), late.clone(), latest.clone());
        let body = async move {
            let mut random = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (mut sum, mut worst) = (0, 0);
            for _ in 0..rounds {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let duration = Duration::from_micros(1000 + random % 99_000);
                let due = Instant::now() + duration;
                match is_async {
                    true => gosched::time::sleep_async(duration).await,
                    false => gosched::time::sleep(duration),
                }
                let by = due.elapsed().as_nanos() as u64;
                sum += by;
                worst = worst.max(by);
            }
            late.fetch_add(sum, Ordering::Relaxed);
            latest.fetch_max(worst, Ordering::Relaxed);
            wg.done();
        };
        match is_async {
            true => drop(go_async(body)),
            false => drop(go(move || gosched::wait(body))),
        }
    }
    wg.wait();
    let (wall, cpu) = (begin.elapsed(), util::cpu());
    out("sleepers_wall", wall.as_secs_f64(), "s");
    out("sleepers_cpu", cpu, "s");
    out("sleepers_late_mean", late.load(Ordering::Relaxed) as f64 / (n * rounds) as f64 / 1e6, "ms");
    out("sleepers_late_worst", latest.load(Ordering::Relaxed) as f64 / 1e6, "ms");
}
