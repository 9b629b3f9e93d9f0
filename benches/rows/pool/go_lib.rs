use bench_support::{Args, report_per};
use go_lib::chan::chan;
use go_lib::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(3_000_000);
    let begin = Instant::now();
    let (jobs, todo) = chan::<u64>(100);
    let (results, finished) = chan(100);
    for _ in 0..2 {
        let (todo, results) = (todo.clone(), results.clone());
        go!(move || {
            while let Some(job) = todo.recv() {
                results.send(job * 2);
            }
        });
    }
    go!(move || (0..n).for_each(|i| jobs.send(i)));
    let sum: u64 = (0..n).map(|_| finished.recv().expect("a result")).sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    report_per("pool", time, n);
}
