use bench_support::{Args, report_per};
use may::go;
use may::sync::WaitGroup;
use may::sync::spsc::channel;
use std::time::Instant;

pub fn run(args: &Args) {
    pingpong("pingpong", 1, args.count(1_000_000));
}

/// Pairs of coroutines, each of which hands numbers to and fro.
pub fn pingpong(metric: &str, pairs: u64, rounds: u64) {
    let begin = Instant::now();
    let wg = WaitGroup::new();
    for _ in 0..pairs {
        let (ask, asked) = channel::<u64>();
        let (answer, answered) = channel();
        let done = wg.clone();
        go!(move || {
            for _ in 0..rounds {
                answer.send(asked.recv().unwrap() + 1).unwrap();
            }
            drop(done);
        });
        let done = wg.clone();
        go!(move || {
            for i in 0..rounds {
                ask.send(i).unwrap();
                assert_eq!(answered.recv().unwrap(), i + 1);
            }
            drop(done);
        });
    }
    wg.wait();
    report_per(metric, begin.elapsed(), pairs * rounds);
}
