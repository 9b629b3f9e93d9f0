//! The bar on the terminal, and numbers as people read them.
//!
//! It is a dozen lines, drawn by the goroutine that also prints the digests, so that the two never
//! mix; a crate for progress bars would bring a thread and a lock of its own for that.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gosched::{go, yield_now};

use super::pipeline::Status;
use super::walk::{Found, Walk};

/// How much there is to do, once it is known: 0 until then.
#[derive(Default)]
struct Total {
    bytes: AtomicU64,
}

/// The bar, if somebody is looking.
pub(crate) struct Progress {
    status: Arc<Status>,
    /// None when standard error is no terminal.
    total: Option<Arc<Total>>,
    started: Instant,
    drawn: bool,
}

impl Progress {
    /// A bar for the work under `root`. If it will be seen, a goroutine of its own adds up how
    /// much that is; the files are not waiting for it.
    pub(crate) fn start(root: PathBuf, skipped: &'static [&'static str], status: Arc<Status>) -> Progress {
        let total = io::stderr().is_terminal().then(Arc::<Total>::default);
        if let Some(total) = total.clone() {
            let status = status.clone();
            go(move || survey(Walk::new(&root, skipped), &total, &status));
        }
        Progress { status, total, started: Instant::now(), drawn: false }
    }

    /// Draws it, over what was drawn before.
    pub(crate) fn draw(&mut self, files: u64) {
        let Some(total) = &self.total else { return };
        let read = self.status.read.load(Relaxed);
        let line = line(read, total.bytes.load(Relaxed), files, self.started.elapsed());
        self.drawn = true;
        // Whether a bar can be drawn is not worth an error.
        let _ = write!(io::stderr(), "\r\x1b[2K{line}");
    }

    /// Takes it away, so that lines can be printed.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

/// The bar's text, shorter than 80 columns.
fn line(read: u64, total: u64, files: u64, elapsed: Duration) -> String {
    const WIDTH: u64 = 16;
    let rate = read as f64 / elapsed.as_secs_f64().max(1e-9);
    let numbers = format!("{files} files, {}, {}/s", Bytes(read), Bytes(rate as u64));
    if total == 0 {
        return numbers;
    }
    // Files that grew meanwhile do not make it longer than it is.
    let read = read.min(total);
    let full = (u128::from(read) * u128::from(WIDTH) / u128::from(total)) as usize;
    let left = (total - read) as f64 / rate.max(1.0);
    let bar = format!("{}{}", "=".repeat(full), " ".repeat(WIDTH as usize - full));
    format!("[{bar}] {:3}% {numbers}, {left:.0} s left", u128::from(read) * 100 / u128::from(total))
}

/// Adds up the sizes of all files.
fn survey(walk: Walk, total: &Total, status: &Status) {
    let mut bytes = 0;
    for (index, found) in walk.enumerate() {
        if let Found::File(path) = found {
            bytes += path.symlink_metadata().map_or(0, |metadata| metadata.len());
        }
        if index % 256 == 0 {
            if status.stopped.load(Relaxed) {
                return;
            }
            yield_now();
        }
    }
    total.bytes.store(bytes, Relaxed);
}

/// A number of bytes: `1.5 MB`.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 999.5 {
                let digits = usize::from(unit != "B" && value < 99.95);
                return write!(f, "{value:.digits$} {unit}");
            }
            value /= 1000.0;
        }
        write!(f, "{value:.1} TB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_and_never_runs_over() {
        let second = Duration::from_secs(1);
        assert_eq!(line(5_000_000, 0, 7, second), "7 files, 5.0 MB, 5.0 MB/s");
        let half = line(5_000_000, 10_000_000, 7, second);
        assert_eq!(half, "[========        ]  50% 7 files, 5.0 MB, 5.0 MB/s, 1 s left");
        let over = line(20_000_000, 10_000_000, 7, second);
        assert_eq!(over, "[================] 100% 7 files, 20.0 MB, 20.0 MB/s, 0 s left");
        let day = line(49_999_999_999_999, 99_999_999_999_999, 99_999_999, 86_400 * second);
        assert!(day.len() < 80, "{day}");
        line(u64::MAX, u64::MAX, u64::MAX, Duration::ZERO);
    }

    #[test]
    fn sizes_are_rounded() {
        let shown = |bytes| Bytes(bytes).to_string();
        assert_eq!([shown(0), shown(999), shown(1_000)], ["0 B", "999 B", "1.0 kB"]);
        assert_eq!(
            [shown(99_960), shown(1_234_567), shown(5_000_000_000_000)],
            ["100 kB", "1.2 MB", "5.0 TB"]
        );
        assert_eq!(shown(999_600), "1.0 MB");
    }
}
