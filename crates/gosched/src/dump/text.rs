//! Goroutines as Go prints them.
//!
//! ```text
//! goroutine 18 "fetcher" [chan receive, 3 minutes] {request: 17}:
//! my_program::fetch::next(...)
//! <TAB>/home/me/my_program/src/fetch.rs:31 +0x8c
//! my_program::fetch::run(...)
//! <TAB>/home/me/my_program/src/fetch.rs:12 +0x2f
//! created by go in goroutine 1
//! <TAB>src/main.rs:12
//!
//! goroutine 19 [sleep]:
//! waits at
//! <TAB>src/poll.rs:7
//! created by go_async in goroutine 1
//! <TAB>src/main.rs:13
//! ```
//!
//! Of a goroutine on a stack of its own the calls are shown; nobody knows their arguments. Of a future it is only known
//! where the library was called. What started a goroutine is known by its place, not by its function.

use super::group::{All, GoroutineGroup, all};
use super::info::GoroutineInfo;
use super::stack::Stack;
use crate::task::current::current_task;
use crate::task::reason::GoroutineState;
use crate::unwind::{Backtrace, Frame};
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
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

/// The calls on a stack, unless they are all the library's and it is known where it was called: by an async main, say.
fn shown(stack: Option<&Stack>, waits_at: Option<&'static Location<'static>>) -> Option<Arc<Backtrace>> {
    let backtrace = stack?.backtrace();
    (!backtrace.library_only || waits_at.is_none()).then_some(backtrace)
}

/// Where it waits, unless the innermost call that is shown says in which line of the program that is.
fn untold(waits_at: Option<&'static Location<'static>>, shown: Option<&Backtrace>) -> Option<Place> {
    let told =
        shown.and_then(|backtrace| backtrace.frames().next()).is_some_and(|frame| frame.line.is_some());
    waits_at.filter(|_| !told).map(Place)
}

/// A function as far as it is known.
struct Function<'a>(&'a Frame);

impl fmt::Display for Function<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.function {
            Some(function) => f.write_str(function),
            None => write!(f, "{:#x}", self.0.address),
        }
    }
}

/// File and line of a call, as far as they are known.
struct Line<'a>(&'a Frame);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.file, self.0.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}"),
            (Some(file), None) => write!(f, "{file}"),
            (None, _) => f.write_str("?"),
        }
    }
}

/// The two lines of a call, each with its end. As in Go, one that was inlined has no offset.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(...)\n\t{}", Function(self), Line(self))?;
        match self.offset {
            Some(offset) => writeln!(f, " +{offset:#x}"),
            None => writeln!(f),
        }
    }
}

/// The lines of a dump, each with its end.
impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines(self, f, "", |f, frame| write!(f, "{frame}"))
    }
}

/// All calls in some form, and what was left out; `before` stands at the begin of those lines.
fn lines(
    backtrace: &Backtrace,
    f: &mut fmt::Formatter<'_>,
    before: &str,
    call: impl Fn(&mut fmt::Formatter<'_>, &Frame) -> fmt::Result,
) -> fmt::Result {
    let Backtrace { innermost, elided, outermost, cut, .. } = backtrace;
    innermost.iter().try_for_each(|frame| call(f, frame))?;
    if *elided > 0 {
        writeln!(f, "{before}...{elided} frames elided...")?;
    }
    outermost.iter().try_for_each(|frame| call(f, frame))?;
    if *cut { writeln!(f, "{before}...additional frames elided...") } else { Ok(()) }
}

/// The lines of a dump, each with its end.
impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backtrace().fmt(f)
    }
}

/// The calls as Go's goroutine profile has them: address, function and offset, place.
struct Profile<'a>(&'a Backtrace);

impl fmt::Display for Profile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines(self.0, f, "#\t", |f, frame| {
            let offset = frame.offset.map(|offset| format!("+{offset:#x}")).unwrap_or_default();
            writeln!(f, "#\t{:#x}\t{}{offset}\t{}", frame.address, Function(frame), Line(frame))
        })
    }
}

/// What a dump says of the goroutine, in Go's form. Of one on a stack it looks up the names of the calls. Several lines, each with its end.
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
        let backtrace = shown(self.stack.as_ref(), self.waits_at);
        match &backtrace {
            Some(backtrace) => write!(f, "{backtrace}")?,
            // Go's words.
            None if self.state == GoroutineState::Running => {
                writeln!(f, "\tgoroutine running on other thread; stack unavailable")?;
            }
            None => {}
        }
        if let Some(place) = untold(self.waits_at, backtrace.as_deref()) {
            writeln!(f, "waits at\n\t{place}")?;
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
        let backtrace = shown(self.stack.as_ref(), self.waits_at);
        if let Some(backtrace) = &backtrace {
            write!(f, "{}", Profile(backtrace))?;
        }
        if let Some(place) = untold(self.waits_at, backtrace.as_deref()) {
            writeln!(f, "#\twaits at\t{place}")?;
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
