//! The bar on the terminal, and numbers as people read them.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The bar, if somebody is looking.
pub(crate) struct Progress {
    shown: bool,
    drawn: bool,
    /// How many URLs there are, where that is known.
    total: Option<u64>,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self { shown: io::stderr().is_terminal(), drawn: false, total, started: Instant::now() }
    }

    /// Draws it, over what was drawn before.
    pub(crate) fn draw(&mut self, done: u64, failed: u64) {
        if self.shown {
            self.drawn = true;
            // Whether a bar can be drawn is not worth an error.
            let _ =
                write!(io::stderr(), "\r\x1b[2K{}", line(done, failed, self.total, self.started.elapsed()));
        }
    }

    /// Takes it away, so that lines can be printed.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The bar's text, shorter than 80 columns.
fn line(done: u64, failed: u64, total: Option<u64>, elapsed: Duration) -> String {
    const WIDTH: u64 = 16;
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let numbers = format!("{done} URLs, {failed} failed, {rate:.0}/s");
    let Some(total) = total.filter(|total| *total > 0) else { return numbers };
    let done = done.min(total);
    let full = (done * WIDTH / total) as usize;
    let bar = format!("{}{}", "=".repeat(full), " ".repeat(WIDTH as usize - full));
    let left = (total - done) as f64 / rate.max(0.001);
    format!("[{bar}] {:3}% {numbers}, {left:.0} s left", done * 100 / total)
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
