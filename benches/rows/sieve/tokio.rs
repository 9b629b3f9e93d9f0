use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::{Args, report};
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    let n = args.count(2000);
    on_tokio::run(args, async move {
        let begin = Instant::now();
        let (mut tx, mut rx) = C::new(C::SMALLEST);
        tokio::spawn(async move {
            let mut number = 2;
            // Ends when nobody receives any more.
            while C::send(&mut tx, number).await {
                number += 1;
            }
        });
        let mut prime = 0;
        for _ in 0..n {
            prime = C::recv(&mut rx).await.expect("the numbers do not end");
            rx = filter::<C>(rx, prime);
        }
        let time = begin.elapsed();
        assert!(n != 2000 || prime == 17389);
        report("sieve", time.as_secs_f64() * 1e3, "ms");
    });
}

fn filter<C: Chan>(mut rx: C::Rx, prime: u64) -> C::Rx {
    let (mut tx, filtered) = C::new(C::SMALLEST);
    tokio::spawn(async move {
        while let Some(number) = C::recv(&mut rx).await {
            if !number.is_multiple_of(prime) && !C::send(&mut tx, number).await {
                return;
            }
        }
    });
    filtered
}
