use bench_support::{Args, report_per};
use gosched::chan::bounded;
use gosched::go;
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(3_000_000);
    let begin = Instant::now();
    let (jobs, todo) = bounded::<u64>(100);
    let (results, finished) = bounded::<u64>(100);
    for _ in 0..2 {
        let (todo, results) = (todo.clone(), results.clone());
        go(move || {
            for job in todo.iter() {
                results.send(job * 2).unwrap();
            }
        });
    }
    drop((todo, results));
    go(move || {
        for i in 0..n {
            jobs.send(i).unwrap();
        }
    });
    let sum: u64 = (0..n).map(|_| finished.recv().unwrap()).sum();
    let time = begin.elapsed();
    assert_eq!(sum, n * (n - 1));
    report_per("pool", time, n);
}
