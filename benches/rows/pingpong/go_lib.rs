use bench_support::{Args, report_per};
use go_lib::chan::chan;
use go_lib::go;
use go_lib::sync::WaitGroup;
use std::sync::Arc;
use std::time::Instant;

pub fn run(args: &Args) {
    pingpong("pingpong", 1, args.count(1_000_000));
}

/// Pairs of goroutines, each of which hands numbers to and fro.
pub fn pingpong(metric: &str, pairs: u64, rounds: u64) {
    let begin = Instant::now();
    let wg = Arc::new(WaitGroup::new());
    wg.add(2 * pairs as i64);
    for _ in 0..pairs {
        let (ask, asked) = chan::<u64>(0);
        let (answer, answered) = chan(0);
        let done = wg.clone();
        go!(move || {
            for _ in 0..rounds {
                answer.send(asked.recv().unwrap() + 1);
            }
            done.done();
        });
        let done = wg.clone();
        go!(move || {
            for i in 0..rounds {
                ask.send(i);
                assert_eq!(answered.recv(), Some(i + 1));
            }
            done.done();
        });
    }
    wg.wait();
    report_per(metric, begin.elapsed(), pairs * rounds);
}
