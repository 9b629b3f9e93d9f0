//! The forgotten receiver: the classic goroutine leak of Go, which ends by itself here.
//!
//! ```text
//! cargo run --example leak_fixed
//! ```
//!
//! Ask three replicas, take the first answer, return. In Go the other two block in their sends for ever, with all they
//! hold, since the channel has no buffer and nobody receives any more:
//!
//! ```go
//! func first() string {
//!     answers := make(chan string)
//!     for _, replica := range replicas {
//!         go func() { answers <- ask(replica) }()
//!     }
//!     return <-answers
//! }
//! ```
//!
//! Here the receiver is dropped when `first` returns, and the sends fail.

use gosched::time::sleep;
use gosched::{chan, go, num_goroutine};
use std::time::Duration;

/// Some replicas are slower than others.
fn ask(replica: u64) -> String {
    sleep(Duration::from_millis(1 + 20 * (replica - 1)));
    format!("answer of replica {replica}")
}

fn first() -> String {
    let (tx, answers) = chan::bounded(0);
    for replica in 1..=3 {
        let tx = tx.clone();
        go(move || {
            if let Err(chan::SendError(unheard)) = tx.send(ask(replica)) {
                // The message comes back: nothing is lost that could not be dealt with.
                drop(unheard);
            }
        });
    }
    answers.recv().expect("a replica answers")
}

#[gosched::main]
fn main() {
    let before = num_goroutine();
    let answers = (0..5).map(|_| first()).filter(|answer| answer.starts_with("answer")).count();
    println!("{answers} answers");
    // The slow ones are still thinking.
    for _ in 0..1000 {
        if num_goroutine() == before {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    println!("{} goroutines have leaked", num_goroutine() - before);
}
