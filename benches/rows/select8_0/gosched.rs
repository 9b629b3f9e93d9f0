use bench_support::{Args, report_per};
use gosched::chan::{Receiver, bounded};
use gosched::{go, select};
use std::time::Instant;

pub fn run(args: &Args) {
    eight("select8_0", 0, args.count(400_000));
}

pub fn eight(name: &str, capacity: usize, n: u64) {
    let per = n / 8;
    let begin = Instant::now();
    let (senders, receivers): (Vec<_>, Vec<Receiver<u64>>) = (0..8).map(|_| bounded(capacity)).unzip();
    // The senders stay alive here, so that no case becomes ready by a closed channel.
    for tx in senders.clone() {
        go(move || {
            for i in 0..per {
                tx.send(i).unwrap();
            }
        });
    }
    let [a, b, c, d, e, f, g, h] = &receivers[..] else { unreachable!("eight were made") };
    let mut sum = 0;
    for _ in 0..8 * per {
        sum += select! {
            recv(a) -> value => value,
            recv(b) -> value => value,
            recv(c) -> value => value,
            recv(d) -> value => value,
            recv(e) -> value => value,
            recv(f) -> value => value,
            recv(g) -> value => value,
            recv(h) -> value => value,
        }
        .unwrap();
    }
    let time = begin.elapsed();
    assert_eq!(sum, 8 * (per * (per - 1) / 2));
    drop(senders);
    report_per(name, time, 8 * per);
}
