//! The benchmark programs on gosched: `core <row> [--workers 2] [--mode pinned|migrate] [n]`.
//!
//! Each is the same program as in `../go/main.go`, and prints the same `name value unit` lines.

mod library;
mod net;
#[path = "../../util.rs"]
mod util;

use gosched::chan::{Receiver, Sender, bounded};
use gosched::sync::WaitGroup;
use gosched::{go, go_async, select, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use util::{Args, Memory, out, out_per, status};

fn main() {
    let args = Args::parse();
    let Some(row) = args.words.first().cloned() else {
        eprintln!("usage: core <row> [--workers 2] [--mode pinned|migrate] [n]");
        std::process::exit(2);
    };
    let mut builder = gosched::Runtime::builder().workers(args.workers());
    match args.option("mode").unwrap_or("pinned") {
        "pinned" => {}
        // SAFETY: nothing here is bound to a thread: no thread-local is used across a blocking call, and
        // nothing that is not `Send` lives on a goroutine's stack.
        "migrate" => builder = unsafe { builder.migrate() },
        mode => panic!("--mode is pinned or migrate, not {mode}"),
    }
    builder.build().expect("a runtime").run(move || run(&row, |default| args.n(1, default)));
}

fn run(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "spawn" => spawn(n(1_000_000)),
        "spawn_async" => spawn_async(n(1_000_000)),
        "pingpong" => pingpong("pingpong", 1, n(1_000_000), false),
        "apart" => pingpong("apart", 1, n(200_000), true),
        "pairs" => pingpong("pairs", 1000, n(1000), false),
        "spsc" => through("spsc", 1, 1, n(10_000_000)),
        "mpmc" => through("mpmc", 4, 4, n(10_000_000)),
        "select0" => select_two("select0", 0, n(1_000_000)),
        "select128" => select_two("select128", 128, n(5_000_000)),
        "pool" => pool(n(3_000_000)),
        "yield" => yields(n(5_000_000)),
        "blocked" => blocked(n(1_000_000), false),
        "blocked_async" => blocked(n(1_000_000), true),
        "idle" => idle(n(1000)),
        "roundtrip" | "http" | "http_sleep" | "echo" | "echo_small" | "echo_async" => net::run(row, n),
        row => library::run(row, n),
    }
}

fn spawn(n: u64) {
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(n as usize);
    for _ in 0..n {
        let wg = wg.clone();
        go(move || wg.done());
    }
    wg.wait();
    out_per("spawn", begin.elapsed(), n, "ns/task");
    out("spawn_peak_rss", status("VmHWM:") / f64::from(1 << 20), "MiB");
}

fn spawn_async(n: u64) {
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(n as usize);
    for _ in 0..n {
        let wg = wg.clone();
        go_async(async move { wg.done() });
    }
    wg.wait();
    out_per("spawn_async", begin.elapsed(), n, "ns/task");
}

/// `apart`: both run at the same time before they talk, so they begin on two workers.
fn pair(rounds: u64, wg: &WaitGroup, apart: bool) {
    let (ask, asked) = bounded::<u64>(0);
    let (answer, answered) = bounded::<u64>(0);
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
    go(move || {
        first();
        for _ in 0..rounds {
            answer.send(asked.recv().unwrap() + 1).unwrap();
        }
        done.done();
    });
    let done = wg.clone();
    go(move || {
        second();
        for i in 0..rounds {
            ask.send(i).unwrap();
            assert_eq!(answered.recv().unwrap(), i + 1);
        }
        done.done();
    });
}

fn pingpong(name: &str, pairs: u64, rounds: u64, apart: bool) {
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(2 * pairs as usize);
    for _ in 0..pairs {
        pair(rounds, &wg, apart);
    }
    wg.wait();
    out_per(name, begin.elapsed(), pairs * rounds, "ns/roundtrip");
}

fn through(name: &str, producers: u64, consumers: u64, n: u64) {
    let begin = Instant::now();
    let (tx, rx): (Sender<u64>, Receiver<u64>) = bounded(128);
    let (sum, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
    let per = n / producers;
    for _ in 0..producers {
        let tx = tx.clone();
        go(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    // The last producer to finish closes the channel.
    drop(tx);
    wg.add(consumers as usize);
    for _ in 0..consumers {
        let (rx, sum, wg) = (rx.clone(), sum.clone(), wg.clone());
        go(move || {
            sum.fetch_add(rx.iter().sum(), Ordering::Relaxed);
            wg.done();
        });
    }
    wg.wait();
    let time = begin.elapsed();
    assert_eq!(sum.load(Ordering::Relaxed), producers * (per * (per - 1) / 2));
    out_per(name, time, n, "ns/msg");
}

fn select_two(name: &str, capacity: usize, n: u64) {
    let begin = Instant::now();
    let per = n / 2;
    // The senders stay alive here, so that no case becomes ready by a closed channel.
    let [(tx0, rx0), (tx1, rx1)] = [bounded::<u64>(capacity), bounded::<u64>(capacity)];
    for tx in [tx0.clone(), tx1.clone()] {
        go(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    let mut sum = 0;
    for _ in 0..2 * per {
        select! {
            recv(rx0) -> value => sum += value.unwrap(),
            recv(rx1) -> value => sum += value.unwrap(),
        }
    }
    let time = begin.elapsed();
    assert_eq!(sum, per * (per - 1));
    drop((tx0, tx1));
    out_per(name, time, n, "ns/msg");
}

fn pool(n: u64) {
    let begin = Instant::now();
    let (jobs, todo) = bounded::<u64>(100);
    let (results, finished) = bounded::<u64>(100);
    for _ in 0..2 {
        let (todo, results) = (todo.clone(), results.clone());
        go(move || {
            for job in todo.iter() {
                results.send(job * 2).unwrap();
            }
        });
    }
    drop((todo, results));
    go(move || {
        for i in 0..n {
            jobs.send(i).unwrap();
        }
    });
    let sum: u64 = (0..n).map(|_| finished.recv().unwrap()).sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    out_per("pool", time, n, "ns/job");
}

fn yields(n: u64) {
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(2);
    for _ in 0..2 {
        let wg = wg.clone();
        go(move || {
            for _ in 0..n {
                yield_now();
            }
            wg.done();
        });
    }
    wg.wait();
    out_per("yield", begin.elapsed(), 2 * n, "ns/yield");
}

fn blocked(n: u64, stackless: bool) {
    let memory = Memory::now();
    let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
    wg.add(n as usize);
    let (tx, rx) = bounded::<u64>(0);
    let begin = Instant::now();
    for _ in 0..n {
        let (started, wg, rx) = (started.clone(), wg.clone(), rx.clone());
        if stackless {
            go_async(async move {
                started.fetch_add(1, Ordering::Relaxed);
                assert_eq!(rx.recv_async().await, Ok(1));
                wg.done();
            });
        } else {
            go(move || {
                started.fetch_add(1, Ordering::Relaxed);
                assert_eq!(rx.recv(), Ok(1));
                wg.done();
            });
        }
    }
    let spawned = begin.elapsed();
    while started.load(Ordering::Relaxed) < n {
        yield_now();
    }
    gosched::time::sleep(Duration::from_millis(300));
    memory.report(n);
    let begin = Instant::now();
    for _ in 0..n {
        tx.send(1).unwrap();
    }
    wg.wait();
    let woken = begin.elapsed();
    out_per("blocked_spawn", spawned, n, "ns/task");
    out_per("blocked_wake", woken, n, "ns/wake");
}

/// What a runtime costs whose goroutines all wait.
fn idle(n: u64) {
    let (tx, rx) = bounded::<u64>(0);
    for _ in 0..n {
        let rx = rx.clone();
        go(move || {
            // Ends with an error when the sender is dropped below.
            let _ = rx.recv();
        });
    }
    gosched::time::sleep(Duration::from_millis(500));
    let (cpu, begin) = (util::cpu(), Instant::now());
    gosched::time::sleep(Duration::from_secs(3));
    out("idle_cpu", (util::cpu() - cpu) / begin.elapsed().as_secs_f64() * 100.0, "%");
    drop(tx);
}
