//! What a runtime's shutdown leaves.

use crate::dump::GoroutineInfo;
use std::fmt;

/// The goroutines that had not ended when their runtime was [shut down](super::Runtime::shutdown): as they were then, with
/// where they were started and what they waited for.
///
/// Its text has a line that counts them, and then what a dump says of each that was not dropped.
///
/// ```
/// use gosched::runtime::Unfinished;
/// use std::time::Duration;
///
/// let runtime = gosched::Runtime::new()?;
/// runtime.run(|| gosched::go(|| 6 * 7).join().unwrap());
/// let left: Unfinished = runtime.shutdown(Duration::from_secs(1));
/// assert!(left.is_empty(), "{left}");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; when `main` returns, the process ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unfinished {
    /// Those that were running when the time was up, and still are. They are abandoned as soon as they block or yield;
    /// one that ends before ends as it would have.
    pub running: Vec<GoroutineInfo>,
    /// Those that were parked on their stacks, or waited there for their turn. They never go on.
    pub abandoned: Vec<GoroutineInfo>,
    /// How many were dropped, with all they held: closures that had not started, and futures between two polls.
    pub dropped: usize,
}

impl Unfinished {
    /// Whether all goroutines had ended.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.abandoned.is_empty() && self.dropped == 0
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, abandoned, dropped) = (self.running.len(), self.abandoned.len(), self.dropped);
        write!(f, "{running} goroutines still running, {abandoned} abandoned, {dropped} dropped")?;
        for info in self.running.iter().chain(&self.abandoned) {
            write!(f, "\n\n{}", info.to_string().trim_end())?;
        }
        Ok(())
    }
}
