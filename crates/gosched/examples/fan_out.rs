//! Fan-out: one channel of jobs, several workers that take from it, one channel of results.
//!
//! ```text
//! cargo run --example fan_out
//! ```

use gosched::chan::{self, Receiver};
use gosched::go;

const WORKERS: usize = 4;

/// How many steps a number takes to 1, when halved if even, else tripled plus one.
fn collatz(mut n: u64) -> u32 {
    let mut steps = 0;
    while n != 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}

fn jobs(up_to: u64) -> Receiver<u64> {
    let (tx, rx) = chan::bounded(100);
    go(move || (1..=up_to).try_for_each(|n| tx.send(n)).is_ok());
    rx
}

#[gosched::main]
fn main() {
    let jobs = jobs(10_000);
    let (tx, results) = chan::bounded(100);
    for _ in 0..WORKERS {
        // Clones of a receiver share its messages: each job goes to one worker.
        let (jobs, tx) = (jobs.clone(), tx.clone());
        go(move || jobs.iter().try_for_each(|n| tx.send((collatz(n), n))).is_ok());
    }
    drop(tx);
    let results: Vec<(u32, u64)> = results.iter().collect();
    let (steps, n) = results.iter().max().expect("there are results");
    println!("{} numbers, the longest way is that of {n}: {steps} steps", results.len());
}
