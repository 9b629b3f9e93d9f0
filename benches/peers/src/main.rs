//! The benchmark programs on other Rust libraries:
//! `peers <tokio|parking|smol|kanal|threads> <row> [--workers 2] [n]`, and a client: `peers ask <port> [n]`.
//!
//! - `tokio`: tokio's tasks and its own mpsc channels. Their smallest capacity is 1, so `pingpong`, `pairs`
//!   and `select0` run with one slot of buffer. Several consumers share a receiver behind a mutex.
//! - `kanal`: tokio's tasks with kanal's channels, a true rendezvous. No select: a pending receive of
//!   kanal's that is dropped can lose its message.
//! - `parking`: tokio's tasks with parking_lot's locks.
//! - `smol`: smol's tasks and timers.
//! - `threads`: OS threads with crossbeam-channel.
//!
//! Each is the same program as in `../go/main.go`, and prints the same `name value unit` lines.

mod chans;
mod library;
mod net;
mod tasks;
mod threads;
#[path = "../../util.rs"]
mod util;

use chans::{Kanal, Mpsc, SharedMpsc};
use util::Args;

fn main() {
    let args = Args::parse();
    let [system, row, ..] = &args.words[..] else {
        eprintln!("usage: peers <tokio|parking|smol|kanal|threads> <row> [--workers 2] [n]");
        std::process::exit(2);
    };
    let (system, row) = (system.clone(), row.clone());
    let n = move |default| args.n(2, default);
    if system == "ask" {
        return net::ask(row.parse().expect("a port"), n(100_000));
    }
    if system == "threads" {
        return threads(&row, n);
    }
    if system == "smol" {
        return smol_rows(&row, n);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(Args::parse().workers())
        .enable_all()
        .build()
        .expect("a runtime");
    // The body runs on a worker, as the main goroutine does.
    runtime.block_on(async move {
        tokio::spawn(async move {
            match system.as_str() {
                "tokio" => tokio_rows(&row, n).await,
                "parking" => parking_rows(&row, n).await,
                "kanal" => kanal_rows(&row, n).await,
                system => panic!("no system {system}"),
            }
        })
        .await
        .expect("the program ran through");
    });
}

async fn tokio_rows(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "spawn" => tasks::spawn(n(1_000_000)).await,
        "pingpong" => tasks::pingpong::<Mpsc>("pingpong", 1, n(1_000_000), false).await,
        "apart" => tasks::pingpong::<Mpsc>("apart", 1, n(200_000), true).await,
        "pairs" => tasks::pingpong::<Mpsc>("pairs", 1000, n(1000), false).await,
        "spsc" => tasks::through::<Mpsc>("spsc", 1, 1, n(10_000_000)).await,
        "mpmc" => tasks::through::<SharedMpsc>("mpmc", 4, 4, n(2_000_000)).await,
        "select0" => tasks::select_two::<Mpsc>("select0", 1, n(1_000_000)).await,
        "select128" => tasks::select_two::<Mpsc>("select128", 128, n(5_000_000)).await,
        "pool" => tasks::pool::<SharedMpsc, Mpsc>(n(1_000_000)).await,
        "yield" => tasks::yields(n(5_000_000)).await,
        "mutex" => tasks::mutex(1000, n(1000)).await,
        "blocked" => tasks::blocked::<Mpsc>(n(1_000_000)).await,
        "idle" => tasks::idle(n(1000)).await,
        "fanout" => library::fanout(1000, n(1000)).await,
        "sleepers" => library::sleepers::<library::Tokio>(n(10_000), 10).await,
        "roundtrip" | "http" | "http_sleep" | "echo" | "echo_async" => net::run(row, n).await,
        row => panic!("no row {row}"),
    }
}

async fn parking_rows(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "mutex" => library::mutex(1000, n(1000)).await,
        "lock" => library::lock(n(20_000_000)),
        "rlock" => library::rlock(n(20_000_000)),
        row => panic!("no row {row}"),
    }
}

fn smol_rows(row: &str, n: impl Fn(u64) -> u64) {
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("SMOL_THREADS", Args::parse().workers().to_string()) };
    // As many workers as the others have; this thread waits.
    match row {
        "sleepers" => smol::block_on(async move {
            smol::spawn(library::sleepers::<library::Smol>(n(10_000), 10)).await;
        }),
        row => panic!("no row {row}"),
    }
}

async fn kanal_rows(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "pingpong" => tasks::pingpong::<Kanal>("pingpong", 1, n(1_000_000), false).await,
        "apart" => tasks::pingpong::<Kanal>("apart", 1, n(200_000), true).await,
        "pairs" => tasks::pingpong::<Kanal>("pairs", 1000, n(1000), false).await,
        "spsc" => tasks::through::<Kanal>("spsc", 1, 1, n(10_000_000)).await,
        "mpmc" => tasks::through::<Kanal>("mpmc", 4, 4, n(10_000_000)).await,
        "pool" => tasks::pool::<Kanal, Kanal>(n(3_000_000)).await,
        "blocked" => tasks::blocked::<Kanal>(n(1_000_000)).await,
        row => panic!("no row {row}"),
    }
}

fn threads(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "spawn" => threads::spawn(n(20_000)),
        "pingpong" => threads::pingpong("pingpong", 1, n(20_000)),
        "pairs" => threads::pingpong("pairs", 1000, n(100)),
        "spsc" => threads::through("spsc", 1, 1, n(10_000_000)),
        "mpmc" => threads::through("mpmc", 4, 4, n(10_000_000)),
        "select0" => threads::select_two("select0", 0, n(100_000)),
        "select128" => threads::select_two("select128", 128, n(2_000_000)),
        "pool" => threads::pool(n(1_000_000)),
        "yield" => threads::yields(n(1_000_000)),
        "mutex" => threads::mutex(8, n(1_000_000)),
        row => panic!("no row {row}"),
    }
}
