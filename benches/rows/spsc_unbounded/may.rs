use bench_support::{Args, report_per};
use may::coroutine::JoinHandle;
use may::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(10_000_000);
    let begin = Instant::now();
    let (tx, rx) = may::sync::spsc::channel();
    go!(move || (0..n).for_each(|i| tx.send(i).unwrap()));
    let consumer: JoinHandle<u64> = go!(move || rx.iter().sum());
    let sum = consumer.join().expect("no panic");
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1) / 2);
    report_per("through", time, n);
}
