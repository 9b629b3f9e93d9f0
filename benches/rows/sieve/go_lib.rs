use bench_support::{Args, report};
use go_lib::chan::{Receiver, chan};
use go_lib::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(2000);
    let begin = Instant::now();
    let (tx, mut rx) = chan(0);
    go!(move || {
        let mut number = 2;
        loop {
            tx.send(number);
            number += 1;
        }
    });
    let mut prime = 0;
    for _ in 0..n {
        prime = rx.recv().expect("the numbers do not end");
        rx = filter(rx, prime);
    }
    let time = begin.elapsed();
    assert!(n != 2000 || prime == 17389);
    report("sieve", time.as_secs_f64() * 1e3, "ms");
}

fn filter(rx: Receiver<u64>, prime: u64) -> Receiver<u64> {
    let (tx, filtered) = chan(0);
    go!(move || {
        while let Some(number) = rx.recv() {
            if !number.is_multiple_of(prime) {
                tx.send(number);
            }
        }
    });
    filtered
}
