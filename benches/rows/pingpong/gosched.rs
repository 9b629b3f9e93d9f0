use bench_support::{Args, report_per};
use gosched::chan::bounded;
use gosched::go;
use gosched::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub fn run(args: &Args) {
    pingpong("pingpong", 1, args.count(1_000_000), false);
}

/// Pairs of goroutines, each of which hands numbers to and fro.
pub fn pingpong(metric: &str, pairs: u64, rounds: u64, apart: bool) {
    let begin = Instant::now();
    let wg = WaitGroup::new();
    wg.add(2 * pairs as usize);
    for _ in 0..pairs {
        pair(rounds, &wg, apart);
    }
    wg.wait();
    report_per(metric, begin.elapsed(), pairs * rounds);
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
