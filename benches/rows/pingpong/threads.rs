use crate::chans::{BlockingChan, Crossbeam};
use bench_support::{Args, report_per};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    pingpong::<Crossbeam>("pingpong", 1, args.count(20_000));
}

/// Pairs of threads, each of which hands numbers to and fro.
pub fn pingpong<C: BlockingChan>(metric: &str, pairs: u64, rounds: u64) {
    let begin = Instant::now();
    let mut handles = Vec::new();
    for _ in 0..pairs {
        let (ask, asked) = C::new(C::SMALLEST);
        let (answer, answered) = C::new(C::SMALLEST);
        handles.push(thread::spawn(move || {
            for _ in 0..rounds {
                assert!(C::send(&answer, C::recv(&asked).unwrap() + 1));
            }
        }));
        handles.push(thread::spawn(move || {
            for i in 0..rounds {
                assert!(C::send(&ask, i));
                assert_eq!(C::recv(&answered), Some(i + 1));
            }
        }));
    }
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    report_per(metric, begin.elapsed(), pairs * rounds);
}
