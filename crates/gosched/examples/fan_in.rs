//! Fan-in: several sources, one channel, one reader.
//!
//! ```text
//! cargo run --example fan_in
//! ```

use gosched::chan::{self, Receiver};
use gosched::go;
use std::collections::BTreeMap;

/// A station that reports `count` measurements and ends.
fn station(name: &'static str, count: u32) -> Receiver<(&'static str, u32)> {
    let (tx, rx) = chan::bounded(0);
    go(move || {
        for measurement in 1..=count {
            if tx.send((name, measurement)).is_err() {
                return;
            }
        }
    });
    rx
}

/// All messages of all sources, in the order in which they come. It ends when the last source has.
fn merge<T: Send + 'static>(sources: Vec<Receiver<T>>) -> Receiver<T> {
    let (tx, rx) = chan::bounded(0);
    for source in sources {
        let tx = tx.clone();
        go(move || source.iter().try_for_each(|message| tx.send(message)).is_ok());
    }
    // The last clone closes the channel: no counting, no extra goroutine that waits, as in Go.
    rx
}

#[gosched::main]
fn main() {
    let stations = vec![station("Oslo", 3), station("Lima", 5), station("Perth", 2)];
    let mut sums = BTreeMap::new();
    for (name, measurement) in merge(stations) {
        let (count, sum) = sums.entry(name).or_insert((0, 0));
        *count += 1;
        *sum += measurement;
    }
    for (name, (count, sum)) in sums {
        println!("{name}: {count} measurements, sum {sum}");
    }
}
