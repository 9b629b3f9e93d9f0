use crate::chans::{Chan, Mpsc};
use crate::on_tokio::{self, WaitGroup};
use bench_support::{Args, report_per};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::yield_now;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    pingpong::<C>(args, "pingpong", 1, args.count(1_000_000), false);
}

/// Pairs of tasks, each of which hands numbers to and fro.
pub fn pingpong<C: Chan>(args: &Args, metric: &'static str, pairs: u64, rounds: u64, apart: bool) {
    on_tokio::run(args, async move {
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
        report_per(metric, begin.elapsed(), pairs * rounds);
    });
}

/// `apart`: both run at the same time before they talk, so they begin on two workers.
fn pair<C: Chan>(rounds: u64, wg: &WaitGroup, apart: bool) {
    let (mut ask, mut asked) = C::new(C::SMALLEST);
    let (mut answer, mut answered) = C::new(C::SMALLEST);
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
            C::send(&mut answer, value + 1).await;
        }
        done.done();
    });
    let done = wg.clone();
    tokio::spawn(async move {
        second();
        for i in 0..rounds {
            C::send(&mut ask, i).await;
            assert_eq!(C::recv(&mut answered).await, Some(i + 1));
        }
        done.done();
    });
}
