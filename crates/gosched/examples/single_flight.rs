//! `single_flight`: eight visitors want the same page at once, and it is made only once.
//!
//! ```text
//! cargo run --release --example single_flight
//! ```
//!
//! The page is made by whoever comes first; those who come meanwhile get a copy of what that one gets. It is no cache:
//! one who comes later makes the page anew.

use gosched::sync::{SingleFlight, WaitGroup};
use gosched::time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A page that takes some time to make.
fn make(made: &AtomicU32) -> String {
    time::sleep(Duration::from_millis(50));
    format!("page, version {}", made.fetch_add(1, Ordering::Relaxed) + 1)
}

#[gosched::main]
fn main() {
    let flight = SingleFlight::new();
    let made = Arc::new(AtomicU32::new(0));
    for morning in ["first", "second"] {
        let visitors = WaitGroup::new();
        for _ in 0..8 {
            let (flight, made) = (flight.clone(), made.clone());
            visitors.go(move || {
                let (page, _shared) = flight.run("index.html", || make(&made));
                assert!(page.starts_with("page"));
            });
        }
        visitors.wait();
        println!(
            "{morning} rush: 8 visitors, the page was made {} times in all",
            made.load(Ordering::Relaxed)
        );
    }
}
