//! A pipeline of plain channels: each stage is a goroutine that receives, works and sends on.
//!
//! ```text
//! cargo run --example pipeline
//! ```
//!
//! The last reader leaves early. In Go that would leave every stage blocked in its send for ever, unless all of them
//! select on a `done` channel. Here a send fails once nobody can receive, and so the stages end, from the last to the
//! first.

use gosched::chan::{self, Receiver};
use gosched::sync::WaitGroup;

/// The natural numbers, without end.
fn numbers(stages: &WaitGroup) -> Receiver<u64> {
    let (tx, rx) = chan::bounded(0);
    stages.go(move || {
        let stopped = (1..).try_for_each(|n| tx.send(n));
        assert!(stopped.is_err(), "it ends only because nobody listens");
    });
    rx
}

fn squares(stages: &WaitGroup, input: Receiver<u64>) -> Receiver<u64> {
    let (tx, rx) = chan::bounded(0);
    stages.go(move || {
        let _ = input.iter().try_for_each(|n| tx.send(n * n));
    });
    rx
}

fn palindromes(stages: &WaitGroup, input: Receiver<u64>) -> Receiver<u64> {
    let (tx, rx) = chan::bounded(0);
    stages.go(move || {
        let is_palindrome = |n: &u64| {
            let digits = n.to_string();
            digits.bytes().eq(digits.bytes().rev())
        };
        let _ = input.iter().filter(is_palindrome).try_for_each(|n| tx.send(n));
    });
    rx
}

#[gosched::main]
fn main() {
    let stages = WaitGroup::new();
    let found = palindromes(&stages, squares(&stages, numbers(&stages)));
    for n in found.iter().take(10) {
        println!("{n}");
    }
    drop(found);
    stages.wait();
    println!("all stages have ended");
}
