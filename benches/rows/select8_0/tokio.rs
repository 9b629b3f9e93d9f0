use crate::chans::{Chan, Mpsc};
use crate::on_tokio;
use bench_support::{Args, report_per};
use std::time::Instant;

pub fn run(args: &Args) {
    with::<Mpsc>(args);
}

/// The row with any channel's.
pub fn with<C: Chan>(args: &Args) {
    select_eight::<C>(args, "select8_0", C::SMALLEST, args.count(400_000));
}

/// One task receives from eight channels, each with a sender of its own.
pub fn select_eight<C: Chan>(args: &Args, metric: &'static str, capacity: usize, n: u64) {
    let per = n / 8;
    on_tokio::run(args, async move {
        let begin = Instant::now();
        // The senders stay alive here, so that no case becomes ready by a closed channel.
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..8 {
            let (mut tx, rx) = C::new(capacity);
            senders.push(C::another_tx(&tx));
            receivers.push(rx);
            tokio::spawn(async move {
                for i in 0..per {
                    C::send(&mut tx, i).await;
                }
            });
        }
        let [a, b, c, d, e, f, g, h] = &mut receivers[..] else { unreachable!("eight were made") };
        let mut sum = 0;
        for _ in 0..8 * per {
            let value = tokio::select! {
                value = C::recv(a) => value,
                value = C::recv(b) => value,
                value = C::recv(c) => value,
                value = C::recv(d) => value,
                value = C::recv(e) => value,
                value = C::recv(f) => value,
                value = C::recv(g) => value,
                value = C::recv(h) => value,
            };
            sum += value.unwrap();
        }
        let time = begin.elapsed();
        assert_eq!(sum, 8 * (per * (per - 1) / 2));
        drop(senders);
        report_per(metric, time, 8 * per);
    });
}
