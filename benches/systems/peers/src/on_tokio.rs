//! What all that run on tokio share.

use bench_support::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Runs a row's body on a worker, as gosched's main goroutine does. `--mode current` is tokio's runtime of one
/// thread.
pub fn run(args: &Args, body: impl Future<Output = ()> + Send + 'static) {
    runtime(args).block_on(async { tokio::spawn(body).await.expect("the program ran through") });
}

/// The runtime that the arguments ask for.
pub fn runtime(args: &Args) -> tokio::runtime::Runtime {
    let mut builder = match args.mode.as_str() {
        "" | "multi" => tokio::runtime::Builder::new_multi_thread(),
        "current" => tokio::runtime::Builder::new_current_thread(),
        mode => bench_support::fail(&format!("tokio's --mode is multi or current, not {mode}")),
    };
    builder.worker_threads(args.workers).enable_all().build().expect("a runtime")
}

/// A counter and a `Notify`: the cheapest wait group there is in tokio. One waiter.
#[derive(Clone)]
pub struct WaitGroup(Arc<(AtomicUsize, Notify)>);

impl WaitGroup {
    pub fn new(n: u64) -> Self {
        Self(Arc::new((AtomicUsize::new(n as usize), Notify::new())))
    }

    pub fn done(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.notify_one();
        }
    }

    pub async fn wait(&self) {
        self.0.1.notified().await;
    }
}
