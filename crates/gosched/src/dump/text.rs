//! Goroutines as Go prints them.
//!
//! ```text
//! goroutine 18 "fetcher" [chan receive, 3 minutes] {request: 17}:
//! waits at
//! <TAB>src/fetch.rs:31
//! created by go in goroutine 1
//! <TAB>src/main.rs:12
//! ```
//!
//! Go's own lines name functions; here they name what was called in the place below. Frames of stacks, where they are
//! known, belong between the first line and the second.

use super::group::{All, GoroutineGroup, all};
use super::info::GoroutineInfo;
use crate::task::current::current_task;
use std::fmt;
use std::io;
use std::panic::Location;
use std::time::Duration;

/// ", 3 minutes", if it is at least one.
struct Minutes(Option<Duration>);

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map_or(0, |waiting| waiting.as_secs() / 60) {
            0 => Ok(()),
            minutes => write!(f, ", {minutes} minutes"),
        }
    }
}

/// A place as Go's tools read it: without the column.
struct Place(&'static Location<'static>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// The statement that started a goroutine.
fn creator(stackful: bool) -> &'static str {
    if stackful { "go" } else { "go_async" }
}

/// What a dump says of the goroutine, in Go's form. Several lines, each with its end.
impl fmt::Display for GoroutineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " [{}{}]", self.state, Minutes(self.waiting))?;
        if !self.labels.is_empty() {
            write!(f, " {}", self.labels)?;
        }
        writeln!(f, ":")?;
        if let Some(at) = self.waits_at {
            writeln!(f, "waits at\n\t{}", Place(at))?;
        }
        let place = Place(self.created_at);
        match (self.is_main, self.parent) {
            (true, _) => writeln!(f, "main of a runtime, created at\n\t{place}"),
            (false, 0) => writeln!(f, "created by {}\n\t{place}", creator(self.stackful)),
            (false, id) => writeln!(f, "created by {} in goroutine {id}\n\t{place}", creator(self.stackful)),
        }
    }
}

/// What a summary says of the group, in the form of Go's goroutine profile. Several lines, each with its end.
impl fmt::Display for GoroutineGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} @ [{}{}]", self.count, self.state, Minutes(self.longest))?;
        if let Some(at) = self.waits_at {
            writeln!(f, "#\twaits at\t{}", Place(at))?;
        }
        writeln!(f, "#\tcreated by {}\t{}", creator(self.stackful), Place(self.created_at))?;
        writeln!(f, "#\tfor example\tgoroutine {}", self.example)
    }
}

/// Writes what all goroutines of the process do: the caller's first, then the main ones, then by their ids. More than `most` are counted
/// by what they do instead.
pub(crate) fn write(out: &mut dyn io::Write, most: usize) -> io::Result<()> {
    match all(most) {
        All::Few(mut list) => {
            // Asked for now: a goroutine that dumps stays what it is, and `out` may block only later.
            let current = current_task().map(|task| task.id.get());
            list.sort_by_key(|info| (Some(info.id) != current, !info.is_main));
            for (at, info) in list.iter().enumerate() {
                let gap = if at == 0 { "" } else { "\n" };
                write!(out, "{gap}{info}")?;
            }
        }
        All::Many(groups) => {
            let total: usize = groups.iter().map(|group| group.count).sum();
            writeln!(out, "goroutine profile: total {total}")?;
            for group in &groups {
                writeln!(out, "{group}")?;
            }
        }
    }
    Ok(())
}
