use bench_support::{Args, Memory, report_per};
use gosched::chan::{Receiver, Sender, bounded};
use gosched::sync::WaitGroup;
use gosched::{go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub fn run(args: &Args) {
    blocked(args.count(1_000_000), waits);
}

/// Starts one that waits.
pub fn waits(waiting: Waiting) {
    go(move || {
        waiting.started.fetch_add(1, Ordering::Relaxed);
        assert_eq!(waiting.rx.recv(), Ok(1));
        waiting.wg.done();
    });
}

/// What one that waits has.
pub struct Waiting {
    pub started: Arc<AtomicU64>,
    pub rx: Receiver<u64>,
    pub wg: WaitGroup,
}

/// Many that wait on one channel.
pub struct Crowd {
    n: u64,
    tx: Sender<u64>,
    wg: WaitGroup,
    /// How long it took to start them, ...
    pub spawned: Duration,
    /// ... and until all had begun.
    pub begun: Duration,
}

impl Crowd {
    /// `start` starts one of them.
    pub fn new(n: u64, start: impl Fn(Waiting)) -> Self {
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
        Self { n, tx, wg, spawned, begun: begin.elapsed() }
    }

    /// Wakes them all. How long until all have ended.
    pub fn wake(self) -> Duration {
        let begin = Instant::now();
        for _ in 0..self.n {
            self.tx.send(1).unwrap();
        }
        self.wg.wait();
        begin.elapsed()
    }
}

/// `start` starts one that waits.
pub fn blocked(n: u64, start: impl Fn(Waiting)) {
    let memory = Memory::now();
    let crowd = Crowd::new(n, start);
    gosched::time::sleep(Duration::from_millis(300));
    memory.report(n);
    report_per("blocked_spawn", crowd.spawned, n);
    report_per("blocked_wake", crowd.wake(), n);
}
