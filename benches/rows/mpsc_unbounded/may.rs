use bench_support::{Args, report_per};
use may::coroutine::JoinHandle;
use may::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let per = args.count(10_000_000) / 4;
    let begin = Instant::now();
    let (tx, rx) = may::sync::mpsc::channel();
    for _ in 0..4 {
        let tx = tx.clone();
        go!(move || (0..per).for_each(|i| tx.send(i).unwrap()));
    }
    drop(tx);
    let consumer: JoinHandle<u64> = go!(move || rx.iter().sum());
    let sum = consumer.join().expect("no panic");
    let time = begin.elapsed();
    assert_eq!(sum, 4 * (per * (per - 1) / 2));
    report_per("through", time, 4 * per);
}
