use bench_support::{Args, Memory, report_per};
use gosched::chan::{Receiver, bounded};
use gosched::sync::WaitGroup;
use gosched::{go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    blocked(args.count(1_000_000), |waiting| {
        go(move || {
            waiting.started.fetch_add(1, Ordering::Relaxed);
            assert_eq!(waiting.rx.recv(), Ok(1));
            waiting.wg.done();
        });
    });
}

/// What one that waits has.
pub struct Waiting {
    pub started: Arc<AtomicU64>,
    pub rx: Receiver<u64>,
    pub wg: WaitGroup,
}

/// `start` starts one that waits.
pub fn blocked(n: u64, start: impl Fn(Waiting)) {
    let memory = Memory::now();
    let (started, wg) = (Arc::new(AtomicU64::new(0)), WaitGroup::new());
    wg.add(n as usize);
    let (tx, rx) = bounded::<u64>(0);
    let begin = Instant::now();
    for _ in 0..n {
        start(Waiting { started: started.clone(), rx: rx.clone(), wg: wg.clone() });
    }
    let spawned = begin.elapsed();
    while started.load(Ordering::Relaxed) < n {
        yield_now();
    }
    gosched::time::sleep(Duration::from_millis(300));
    memory.report(n);
    let begin = Instant::now();
    for _ in 0..n {
        tx.send(1).unwrap();
    }
    wg.wait();
    let woken = begin.elapsed();
    report_per("blocked_spawn", spawned, n);
    report_per("blocked_wake", woken, n);
}
