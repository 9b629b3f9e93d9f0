use bench_support::{Args, report_per};
use crossbeam_channel::{bounded, select};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    select_two("select0", 0, args.count(100_000));
}

/// One receiver on two channels, each with a sender of its own.
pub fn select_two(metric: &str, capacity: usize, n: u64) {
    let begin = Instant::now();
    let per = n / 2;
    // The senders stay alive here, so that no case becomes ready by a closed channel.
    let [(tx0, rx0), (tx1, rx1)] = [bounded::<u64>(capacity), bounded::<u64>(capacity)];
    for tx in [tx0.clone(), tx1.clone()] {
        thread::spawn(move || {
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
    assert_eq!(sum, per * per.saturating_sub(1));
    drop((tx0, tx1));
    report_per(metric, time, 2 * per);
}
