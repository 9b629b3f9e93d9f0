//! What the Rust benchmark programs share: output lines, figures of /proc, arguments.

#![allow(dead_code, reason = "each program uses its part")]

use std::time::Duration;

/// Prints one result.
pub fn out(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.4} {unit}");
}

/// Prints a time divided by a count, in nanoseconds.
pub fn out_per(name: &str, time: Duration, n: u64, unit: &str) {
    out(name, time.as_nanos() as f64 / n as f64, unit);
}

/// A field of /proc/self/status, in bytes.
pub fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = text.lines().find(|line| line.starts_with(field)).expect("the field");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") * 1024.0
}

/// Processor time of this process's threads so far, in seconds. (Of those that live: enough for a runtime
/// at rest, and exact to the nanosecond, where /proc/self/stat counts in steps of 10 ms.)
pub fn cpu() -> f64 {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("/proc/self/task").flatten() {
        // A thread may end between the two looks.
        let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().expect("the time on a processor");
        nanos += first.parse::<u64>().expect("nanoseconds");
    }
    nanos as f64 / 1e9
}

/// Resident memory and page tables before many tasks are blocked.
pub struct Memory {
    rss: f64,
    pte: f64,
}

impl Memory {
    pub fn now() -> Self {
        Self { rss: status("VmRSS:"), pte: status("VmPTE:") }
    }

    /// Prints what came on top, per task.
    pub fn report(&self, n: u64) {
        let now = Self::now();
        out("blocked_rss", (now.rss - self.rss) / n as f64, "B/task");
        out("blocked_pte", (now.pte - self.pte) / n as f64, "B/task");
    }
}

/// `<words...> [--name value]... [n]`
pub struct Args {
    pub words: Vec<String>,
    options: Vec<(String, String)>,
}

impl Args {
    pub fn parse() -> Self {
        let mut args = Self { words: Vec::new(), options: Vec::new() };
        let mut rest = std::env::args().skip(1);
        while let Some(word) = rest.next() {
            match word.strip_prefix("--") {
                Some(name) => {
                    let value = rest.next().unwrap_or_else(|| panic!("--{name} needs a value"));
                    args.options.push((name.to_owned(), value));
                }
                None => args.words.push(word),
            }
        }
        args
    }

    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn workers(&self) -> usize {
        self.option("workers").map_or(2, |value| value.parse().expect("--workers takes a number"))
    }

    /// The number at `index` among the words, or the row's own.
    pub fn n(&self, index: usize, default: u64) -> u64 {
        self.words.get(index).map_or(default, |word| word.parse().expect("n is a number"))
    }
}
