//! The programs as tokio tasks.

use crate::chans::Chan;
use crate::util::{self, Memory, out, out_per, status};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::yield_now;

/// A counter and a `Notify`: the cheapest wait group there is in tokio. One waiter.
#[derive(Clone)]
struct WaitGroup(Arc<(AtomicUsize, Notify)>);

impl WaitGroup {
    fn new(n: u64) -> Self {
        Self(Arc::new((AtomicUsize::new(n as usize), Notify::new())))
    }

    fn done(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.notify_one();
        }
    }

    async fn wait(&self) {
        self.0.1.notified().await;
    }
}

pub async fn spawn(n: u64) {
    let begin = Instant::now();
    let wg = WaitGroup::new(n);
    for _ in 0..n {
        let wg = wg.clone();
        tokio::spawn(async move { wg.done() });
    }
    wg.wait().await;
    out_per("spawn", begin.elapsed(), n, "ns/task");
    out("spawn_peak_rss", status("VmHWM:") / f64::from(1 << 20), "MiB");
}

fn pair<C: Chan>(rounds: u64, wg: &WaitGroup, apart: bool) {
    let (ask, mut asked) = C::new(C::SMALLEST);
    let (answer, mut answered) = C::new(C::SMALLEST);
    let here = Arc::new(AtomicU64::new(if apart { 0 } else { 2 }));
    let meet = |here: Arc<AtomicU64>| {
        move || {
            here.fetch_add(1, Ordering::SeqCst);
            while here.load(Ordering::SeqCst) < 2 {
                std::hint::spin_loop();
            }
        }
    };
    let (first, second) = (meet(here.clone()), meet(here));
    let done = wg.clone();
    tokio::spawn(async move {
        first();
        for _ in 0..rounds {
            let value = C::recv(&mut asked).await.unwrap();
            C::send(&answer, value + 1).await;
        }
        done.done();
    });
    let done = wg.clone();
    tokio::spawn(async move {
        second();
        for i in 0..rounds {
            C::send(&ask, i).await;
            assert_eq!(C::recv(&mut answered).await, Some(i + 1));
        }
        done.done();
    });
}

pub async fn pingpong<C: Chan>(name: &str, pairs: u64, rounds: u64, apart: bool) {
    let begin = Instant::now();
    let wg = WaitGroup::new(2 * pairs);
    for _ in 0..pairs {
        pair::<C>(rounds, &wg, apart);
        if apart {
            // A woken task sits in this worker's private slot until this one suspends.
            yield_now().await;
        }
    }
    wg.wait().await;
    out_per(name, begin.elapsed(), pairs * rounds, "ns/roundtrip");
}

/// One receiver for each of `n` consumers.
fn receivers<C: Chan>(rx: C::Rx, n: u64) -> Vec<C::Rx> {
    let mut all: Vec<_> = (1..n).map(|_| C::another(&rx)).collect();
    all.push(rx);
    all
}

pub async fn through<C: Chan>(name: &str, producers: u64, consumers: u64, n: u64) {
    let begin = Instant::now();
    let (tx, rx) = C::new(128);
    let (sum, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new(consumers));
    let per = n / producers;
    for _ in 0..producers {
        let tx = tx.clone();
        tokio::spawn(async move {
            for i in 0..per {
                C::send(&tx, i).await;
            }
        });
    }
    drop(tx);
    for mut rx in receivers::<C>(rx, consumers) {
        let (sum, wg) = (sum.clone(), wg.clone());
        tokio::spawn(async move {
            let mut own = 0;
            while let Some(value) = C::recv(&mut rx).await {
                own += value;
            }
            sum.fetch_add(own, Ordering::Relaxed);
            wg.done();
        });
    }
    wg.wait().await;
    let time = begin.elapsed();
    assert_eq!(sum.load(Ordering::Relaxed), producers * (per * (per - 1) / 2));
    out_per(name, time, n, "ns/msg");
}

pub async fn select_two<C: Chan>(name: &str, capacity: usize, n: u64) {
    let begin = Instant::now();
    let per = n / 2;
    let [(tx0, mut rx0), (tx1, mut rx1)] = [C::new(capacity), C::new(capacity)];
    for tx in [tx0.clone(), tx1.clone()] {
        tokio::spawn(async move {
            for i in 0..per {
                C::send(&tx, i).await;
            }
        });
    }
    let mut sum = 0;
    for _ in 0..2 * per {
        tokio::select! {
            value = C::recv(&mut rx0) => sum += value.unwrap(),
            value = C::recv(&mut rx1) => sum += value.unwrap(),
        }
    }
    let time = begin.elapsed();
    assert_eq!(sum, per * (per - 1));
    drop((tx0, tx1));
    out_per(name, time, n, "ns/msg");
}

pub async fn pool<J: Chan, R: Chan>(n: u64) {
    let begin = Instant::now();
    let (jobs, todo) = J::new(100);
    let (results, mut finished) = R::new(100);
    for mut todo in receivers::<J>(todo, 2) {
        let results = results.clone();
        tokio::spawn(async move {
            while let Some(job) = J::recv(&mut todo).await {
                R::send(&results, job * 2).await;
            }
        });
    }
    drop(results);
    tokio::spawn(async move {
        for i in 0..n {
            J::send(&jobs, i).await;
        }
    });
    let mut sum = 0;
    for _ in 0..n {
        sum += R::recv(&mut finished).await.unwrap();
    }
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    out_per("pool", time, n, "ns/job");
}

pub async fn yields(n: u64) {
    let begin = Instant::now();
    let wg = WaitGroup::new(2);
    for _ in 0..2 {
        let wg = wg.clone();
        tokio::spawn(async move {
            for _ in 0..n {
                yield_now().await;
            }
            wg.done();
        });
    }
    wg.wait().await;
    out_per("yield", begin.elapsed(), 2 * n, "ns/yield");
}

pub async fn mutex(tasks: u64, per_task: u64) {
    let begin = Instant::now();
    let (total, wg) = (Arc::new(Mutex::new(0u64)), WaitGroup::new(tasks));
    for _ in 0..tasks {
        let (total, wg) = (total.clone(), wg.clone());
        tokio::spawn(async move {
            for _ in 0..per_task {
                *total.lock().await += 1;
            }
            wg.done();
        });
    }
    wg.wait().await;
    let time = begin.elapsed();
    assert_eq!(*total.lock().await, tasks * per_task);
    out_per("mutex", time, tasks * per_task, "ns/lock");
}

/// Tasks that wait on a channel of their own, where one cannot be shared (tokio), or on one for all (kanal).
pub async fn blocked<C: Chan>(n: u64) {
    let memory = Memory::now();
    let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new(n));
    let shared = (C::SMALLEST == 0).then(|| C::new(0));
    let mut senders = Vec::new();
    let begin = Instant::now();
    for _ in 0..n {
        let mut rx = match &shared {
            Some((_, rx)) => C::another(rx),
            None => {
                let (tx, rx) = C::new(C::SMALLEST);
                senders.push(tx);
                rx
            }
        };
        let (started, wg) = (started.clone(), wg.clone());
        tokio::spawn(async move {
            started.fetch_add(1, Ordering::Relaxed);
            assert_eq!(C::recv(&mut rx).await, Some(1));
            wg.done();
        });
    }
    let spawned = begin.elapsed();
    while started.load(Ordering::Relaxed) < n {
        yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    memory.report(n);
    let begin = Instant::now();
    for tx in &senders {
        C::send(tx, 1).await;
    }
    if let Some((tx, _)) = &shared {
        for _ in 0..n {
            C::send(tx, 1).await;
        }
    }
    wg.wait().await;
    let woken = begin.elapsed();
    out_per("blocked_spawn", spawned, n, "ns/task");
    out_per("blocked_wake", woken, n, "ns/wake");
}

pub async fn idle(n: u64) {
    let mut senders = Vec::new();
    for _ in 0..n {
        let (tx, rx) = oneshot::channel::<()>();
        senders.push(tx);
        tokio::spawn(async move {
            let _ = rx.await;
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (cpu, begin) = (util::cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    out("idle_cpu", (util::cpu() - cpu) / begin.elapsed().as_secs_f64() * 100.0, "%");
    drop(senders);
}
