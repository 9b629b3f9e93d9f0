use bench_support::{Args, report_per};
use crossbeam_channel::{Receiver, bounded, select};
use std::thread;
use std::time::Instant;

pub fn run(args: &Args) {
    select_eight("select8_0", 0, args.count(40_000));
}

/// One thread receives from eight channels, each with a sender of its own.
pub fn select_eight(metric: &str, capacity: usize, n: u64) {
    let per = n / 8;
    let begin = Instant::now();
    let (senders, receivers): (Vec<_>, Vec<Receiver<u64>>) = (0..8).map(|_| bounded(capacity)).unzip();
    // The senders stay alive here, so that no case becomes ready by a closed channel.
    for tx in senders.clone() {
        thread::spawn(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    let [a, b, c, d, e, f, g, h] = &receivers[..] else { unreachable!("eight were made") };
    let mut sum = 0;
    for _ in 0..8 * per {
        let value = select! {
            recv(a) -> value => value,
            recv(b) -> value => value,
            recv(c) -> value => value,
            recv(d) -> value => value,
            recv(e) -> value => value,
            recv(f) -> value => value,
            recv(g) -> value => value,
            recv(h) -> value => value,
        };
        sum += value.unwrap();
    }
    let time = begin.elapsed();
    assert_eq!(sum, 8 * (per * (per - 1) / 2));
    drop(senders);
    report_per(metric, time, 8 * per);
}
