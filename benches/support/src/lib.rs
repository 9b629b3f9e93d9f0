//! What the measuring programs share: their arguments, the lines they print, figures of /proc.
//!
//! A program is called `PROGRAM [SYSTEM] ROW [--workers N] [--mode M] [--name value]... [N]` and prints lines
//! `metric value unit`.

pub mod work;

use std::time::Duration;

/// The command line of a program.
#[derive(Debug, Clone)]
pub struct Args {
    /// The system, where the program has several ([`Args::of_peer`]); else empty.
    pub system: String,
    /// The row to run.
    pub row: String,
    /// How many threads the runtime has.
    pub workers: usize,
    /// Which form of the runtime: gosched's `pinned` or `migrate`, tokio's `multi` or `current`; empty if not said.
    pub mode: String,
    /// How often; the row's own number if not said, see [`Args::count`].
    pub n: Option<u64>,
    options: Vec<(String, String)>,
}

impl Args {
    /// The command line of a program that is one system: `ROW ...`.
    pub fn parse() -> Self {
        Self::from_words(false, std::env::args().skip(1)).unwrap_or_else(|complaint| fail(&complaint))
    }

    /// The command line of a program that is several systems: `SYSTEM ROW ...`.
    pub fn of_peer() -> Self {
        Self::from_words(true, std::env::args().skip(1)).unwrap_or_else(|complaint| fail(&complaint))
    }

    fn from_words(has_system: bool, mut rest: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut words, mut options) = (Vec::new(), Vec::new());
        while let Some(word) = rest.next() {
            match word.strip_prefix("--") {
                Some(name) => {
                    let value = rest.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    options.push((name.to_owned(), value));
                }
                None => words.push(word),
            }
        }
        let mut words = words.into_iter();
        let system = if has_system { words.next().ok_or("which system?")? } else { String::new() };
        let row = words.next().ok_or("which row?")?;
        let number = |text: String| text.parse().map_err(|_| format!("{text} is not a number"));
        let n = words.next().map(number).transpose()?;
        if let Some(word) = words.next() {
            return Err(format!("{word} is one word too many"));
        }
        let mut args = Self { system, row, workers: 2, mode: String::new(), n, options };
        if let Some(text) = args.option("workers") {
            args.workers = text.parse().map_err(|_| format!("--workers {text} is not a number"))?;
        }
        args.mode = args.option("mode").unwrap_or_default().to_owned();
        Ok(args)
    }

    /// How often: what the command line says, else the row's own number.
    pub fn count(&self, own: u64) -> u64 {
        self.n.unwrap_or(own)
    }

    /// The value of `--name`; ends the program with a complaint if it is not there.
    pub fn required(&self, name: &str) -> &str {
        self.option(name).unwrap_or_else(|| fail(&format!("--{name} is missing")))
    }

    /// The value of `--name`.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Ends the program with a complaint about how it was called.
pub fn fail(complaint: &str) -> ! {
    eprintln!("{complaint}\nusage: PROGRAM [SYSTEM] ROW [--workers N] [--mode M] [--name value]... [N]");
    std::process::exit(2);
}

/// Prints one result.
pub fn report(metric: &str, value: f64, unit: &str) {
    println!("{metric} {value:.4} {unit}");
}

/// Prints a time divided by a count, in nanoseconds.
pub fn report_per(metric: &str, time: Duration, n: u64) {
    report(metric, time.as_nanos() as f64 / n as f64, "ns");
}

/// Prints a number that all systems must agree on: the runner compares what ends in `_check`.
pub fn report_check(metric: &str, output: &[u8]) {
    // FNV-1a, of which a float holds so many bits.
    let sum = output.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    report(metric, (sum >> 16) as f64, "sum");
}

/// Prints that a server is ready, for whoever loads it.
pub fn report_ready(port: u16) {
    println!("READY {port}");
}

/// The middle one (of an even number the mean of the two in the middle).
///
/// # Panics
///
/// If there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The value that `share` (0 to 1) of the others do not exceed.
///
/// # Panics
///
/// If there are none.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1]
}

/// A field of /proc/self/status that is a size, such as `VmHWM:`, in bytes.
///
/// # Panics
///
/// If there is no such field.
pub fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = text.lines().find(|line| line.starts_with(field)).expect("the field");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") * 1024.0
}

/// Prints the most memory this process has had.
pub fn report_peak(metric: &str) {
    report(metric, status("VmHWM:") / f64::from(1 << 20), "MiB");
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
#[derive(Debug)]
pub struct Memory {
    rss: f64,
    pte: f64,
}

impl Memory {
    /// What this process has now.
    pub fn now() -> Self {
        Self { rss: status("VmRSS:"), pte: status("VmPTE:") }
    }

    /// Prints what came on top, for each task: `blocked_rss` and `blocked_pte`.
    pub fn report(&self, n: u64) {
        let now = Self::now();
        report("blocked_rss", (now.rss - self.rss) / n as f64, "B");
        report("blocked_pte", (now.pte - self.pte) / n as f64, "B");
    }
}

/// The durations of the sleepers' rows: 1 to 100 ms, at random, the same in every language.
#[derive(Debug)]
pub struct Naps(u64);

impl Naps {
    /// Those of sleeper number `i`.
    pub fn new(i: u64) -> Self {
        Self((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl Iterator for Naps {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(Duration::from_micros(1000 + self.0 % 99_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(has_system: bool, line: &str) -> Result<Args, String> {
        Args::from_words(has_system, line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_is_words_and_options_in_any_order() {
        let args = args(true, "tokio --workers 3 pingpong --mode current --tree small 1000").unwrap();
        assert_eq!((args.system.as_str(), args.row.as_str(), args.workers), ("tokio", "pingpong", 3));
        assert_eq!(
            (args.mode.as_str(), args.count(7), args.option("tree")),
            ("current", 1000, Some("small"))
        );
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let args = args(false, "pingpong").unwrap();
        assert_eq!(
            (args.row.as_str(), args.workers, args.mode.as_str(), args.count(7)),
            ("pingpong", 2, "", 7)
        );
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for line in ["", "pingpong --workers", "pingpong --workers two", "pingpong many", "pingpong 1 2"] {
            assert!(args(false, line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.99), 99.0);
        assert_eq!(percentile(&hundred, 1.0), 100.0);
        assert_eq!(percentile(&[5.0], 0.5), 5.0);
    }

    #[test]
    fn naps_are_the_same_as_in_go() {
        assert!(Naps::new(0).take(1000).all(|nap| (1000..100_000).contains(&nap.as_micros())));
        let first: Vec<u128> = Naps::new(0).take(3).map(|nap| nap.as_micros()).collect();
        assert_eq!(first, [77_989, 3_574, 94_030], "see rows/sleepers/go.go");
    }
}
