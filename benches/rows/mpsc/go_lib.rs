use bench_support::work::Through;
use bench_support::{Args, report_per};
use go_lib::chan::chan;
use go_lib::go;
use go_lib::sync::WaitGroup;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub fn run(args: &Args) {
    let Through { producers, consumers, capacity } = Through::of(args);
    let per = args.count(10_000_000) / producers;
    let begin = Instant::now();
    let (tx, rx) = chan::<u64>(capacity.expect("go-lib has no unbounded channels"));
    let (sum, wg) = (Arc::new(AtomicU64::new(0)), Arc::new(WaitGroup::new()));
    let sent = Arc::new(WaitGroup::new());
    sent.add(producers as i64);
    for _ in 0..producers {
        let (tx, sent) = (tx.clone(), sent.clone());
        go!(move || {
            (0..per).for_each(|i| tx.send(i));
            sent.done();
        });
    }
    wg.add(consumers as i64);
    for _ in 0..consumers {
        let (rx, sum, wg) = (rx.clone(), sum.clone(), wg.clone());
        go!(move || {
            let mut own = 0;
            while let Some(value) = rx.recv() {
                own += value;
            }
            sum.fetch_add(own, Ordering::Relaxed);
            wg.done();
        });
    }
    sent.wait();
    tx.close();
    wg.wait();
    let time = begin.elapsed();
    assert_eq!(sum.load(Ordering::Relaxed), producers * (per * (per - 1) / 2));
    report_per("through", time, producers * per);
}
