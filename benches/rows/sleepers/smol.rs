use crate::on_smol;
use crate::systems::tokio::sleepers::{Sleepers, sleepers};
use bench_support::Args;
use std::time::Duration;

struct Smol;

impl Sleepers for Smol {
    async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
        smol::spawn(task)
    }
}

pub fn run(args: &Args) {
    let n = args.count(10_000);
    on_smol::run(args, sleepers::<Smol>(n));
}
