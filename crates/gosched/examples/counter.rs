//! One counter, many goroutines: behind a lock, as an atomic, and in the hands of a single owner.
//!
//! ```text
//! cargo run --example counter
//! ```
//!
//! The fourth way, without any of them, is Go's best known data race. It does not compile here; see the documentation
//! of `gosched::scope`.

use gosched::chan;
use gosched::go;
use gosched::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const GOROUTINES: u64 = 10;
const EACH: u64 = 1000;

fn with_a_mutex() -> u64 {
    let counter = Mutex::new(0);
    gosched::scope(|s| {
        for _ in 0..GOROUTINES {
            s.go(|| (0..EACH).for_each(|_| *counter.lock() += 1));
        }
    });
    counter.into_inner()
}

fn with_an_atomic() -> u64 {
    let counter = AtomicU64::new(0);
    gosched::scope(|s| {
        for _ in 0..GOROUTINES {
            s.go(|| {
                for _ in 0..EACH {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    counter.into_inner()
}

/// "Share memory by communicating": only one goroutine has the counter.
fn with_a_channel() -> u64 {
    let (tx, rx) = chan::bounded(100);
    for _ in 0..GOROUTINES {
        let tx = tx.clone();
        go(move || (0..EACH).for_each(|_| tx.send(1).expect("the owner listens")));
    }
    drop(tx);
    rx.iter().sum()
}

#[gosched::main]
fn main() {
    println!("mutex: {}", with_a_mutex());
    println!("atomic: {}", with_an_atomic());
    println!("channel: {}", with_a_channel());
}
