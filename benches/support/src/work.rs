//! What the programs of a row do alike in every Rust system.

use crate::{Args, fail, percentile, report};
use std::time::{Duration, Instant};

/// Which number of Fibonacci is computed by forks.
pub const FIB: u64 = 20;

/// What it is.
pub const FIB_RESULT: u64 = 6765;

/// How many forks that takes: one for each addition.
pub const FIB_FORKS: u64 = 10_945;

/// How the leaves below a node of skynet's tree are shared out among ten children, as evenly as can be; who would
/// have none is not there.
pub fn shares(leaves: u64) -> impl Iterator<Item = u64> {
    (0..10).map(move |child| (leaves + child) / 10).filter(|share| *share > 0)
}

/// A message of 1024 bytes.
#[derive(Debug, Clone)]
pub struct Kilobyte([u64; 128]);

impl Kilobyte {
    /// A message with `i` in its first and its last word.
    pub fn new(i: u64) -> Self {
        let mut words = [0; 128];
        (words[0], words[127]) = (i, i);
        Self(words)
    }

    /// The first word and the last.
    pub fn sum(&self) -> u64 {
        self.0[0] + self.0[127]
    }
}

/// What the rows of one channel differ in, in `--producers`, `--consumers` and `--capacity`: 4, 1 and 128 if
/// not said.
#[derive(Debug, Clone, Copy)]
pub struct Through {
    /// How many send.
    pub producers: u64,
    /// How many receive.
    pub consumers: u64,
    /// The channel's capacity; `None` if it is unbounded.
    pub capacity: Option<usize>,
}

impl Through {
    /// What the command line says.
    pub fn of(args: &Args) -> Self {
        let number = |name: &str, own| match args.option(name) {
            Some(text) => text.parse().unwrap_or_else(|_| fail(&format!("--{name} {text} is not a number"))),
            None => own,
        };
        let capacity = match args.option("capacity") {
            Some("unbounded") => None,
            _ => Some(number("capacity", 128) as usize),
        };
        Self { producers: number("producers", 4), consumers: number("consumers", 1), capacity }
    }
}

/// How late ticks are seen that come on a grid. A tick that was dropped, because nobody took the one before,
/// counts as seen when the next one is: otherwise who looks seldom would see few late ticks.
#[derive(Debug)]
pub struct Delays {
    period: Duration,
    next: Instant,
    seen: Vec<f64>,
}

impl Delays {
    /// The grid begins one period from now. Make it before the ticker.
    pub fn of_every(period: Duration) -> Self {
        Self { period, next: Instant::now() + period, seen: Vec::new() }
    }

    /// A tick was seen.
    pub fn tick(&mut self) {
        let now = Instant::now();
        while self.next <= now {
            self.seen.push((now - self.next).as_nanos() as f64 / 1e6);
            self.next += self.period;
        }
    }

    /// How many ticks were due by the last one seen.
    pub fn due(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Prints `<metric>_p50`, `<metric>_p99` and `<metric>_max`.
    pub fn report(&self, metric: &str) {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            report(&format!("{metric}_{name}"), percentile(&self.seen, share), "ms");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fibonacci() {
        fn fib(n: u64) -> (u64, u64) {
            if n < 2 {
                return (n, 0);
            }
            let ((a, forks), (b, more)) = (fib(n - 1), fib(n - 2));
            (a + b, forks + more + 1)
        }
        assert_eq!(fib(FIB), (FIB_RESULT, FIB_FORKS));
    }

    #[test]
    fn shares_are_even_and_complete() {
        assert_eq!(shares(1000).collect::<Vec<_>>(), [100; 10]);
        assert_eq!(shares(23).collect::<Vec<_>>(), [2, 2, 2, 2, 2, 2, 2, 3, 3, 3]);
        assert_eq!(shares(2).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn a_dropped_tick_counts_when_the_next_is_seen() {
        let mut delays = Delays::of_every(Duration::from_millis(1));
        while delays.next + 3 * delays.period > Instant::now() {
            std::thread::yield_now();
        }
        delays.tick();
        assert!(delays.due() >= 4 && delays.seen[0] >= 3.0, "{delays:?}");
        let due = delays.due();
        delays.next = Instant::now() + Duration::from_secs(10);
        delays.tick();
        assert_eq!(delays.due(), due, "what comes before the next tick is due is none");
    }
}
