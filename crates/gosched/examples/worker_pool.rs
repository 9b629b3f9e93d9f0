//! `worker_pool`: which numbers below a limit are prime, found by a pool of workers that grows with the load.
//!
//! ```text
//! cargo run --release --example worker_pool -- [LIMIT]
//! ```
//!
//! The range is cut into pieces, each a job. Their results come in the order of the pieces, though the pieces of large
//! numbers take longer; what was found is printed as it comes, with what the pool does meanwhile.

use gosched::pipeline::{JobError, WorkerPool};
use std::ops::Range;
use std::process::ExitCode;

const PIECES: u64 = 10;

#[gosched::main]
fn main() -> ExitCode {
    let limit = match std::env::args().nth(1).map(|text| text.parse::<u64>()) {
        None => 100_000,
        Some(Ok(limit)) => limit,
        Some(Err(error)) => {
            eprintln!("worker_pool: not a number to go to: {error}");
            return ExitCode::from(2);
        }
    };
    match count(limit) {
        Ok(primes) => {
            println!("{primes} primes below {limit}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("worker_pool: {error}");
            ExitCode::FAILURE
        }
    }
}

fn count(limit: u64) -> Result<usize, JobError> {
    let pool = WorkerPool::builder().workers_between(1, 4).queue(2).build();
    let jobs = pieces(limit).map(|piece| move || primes(piece));
    let mut sum = 0;
    for (found, piece) in pool.in_order(jobs).zip(pieces(limit)) {
        let found = found?;
        sum += found;
        let stats = pool.stats();
        println!(
            "{:>9} to {:>9}: {found:>6} primes   ({} workers, {} jobs run, {} wait)",
            piece.start, piece.end, stats.workers, stats.running, stats.queued
        );
    }
    Ok(sum)
}

/// The numbers below `limit`, in pieces.
fn pieces(limit: u64) -> impl Iterator<Item = Range<u64>> {
    let size = limit.div_ceil(PIECES).max(1);
    (0..PIECES).map(move |n| (n * size).min(limit)..((n + 1) * size).min(limit))
}

fn primes(range: Range<u64>) -> usize {
    range.filter(|&n| is_prime(n)).count()
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}
