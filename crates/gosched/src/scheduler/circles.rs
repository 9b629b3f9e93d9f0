//! Tells of goroutines that wait for each other in a circle while others go on: found by the monitor, see
//! [`crate::wait::circles`].

use crate::clock::real_now;
use crate::dump::{GoroutineInfo, goroutines};
use crate::wait::circles::{self, Step, TRACKS, Why};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

/// How long goroutines have waited that may be in a circle; and from the first look to the second.
const OLD: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(100);

/// What makes a circle that one.
type Mark = Vec<(u64, u64)>;

/// The monitor's eye for circles.
pub(super) struct Circles {
    /// The last wait that is known of.
    seen: u64,
    next: Option<Instant>,
    suspects: BTreeSet<Mark>,
    told: BTreeSet<Mark>,
}

impl Circles {
    pub(super) fn new() -> Self {
        Self { seen: 0, next: None, suspects: BTreeSet::new(), told: BTreeSet::new() }
    }

    /// Looks, if it is time to. Returns in what time to look again; `None`: when something has moved.
    pub(super) fn look(&mut self) -> Option<Duration> {
        if !TRACKS {
            return None;
        }
        let last = circles::last_wait();
        if last == self.seen && self.next.is_none() {
            return None;
        }
        let now = real_now();
        // A little later, so that the wait is old enough then.
        let next = *self.next.get_or_insert(now + OLD + AGAIN);
        if now >= next {
            self.next = self.look_closely(now);
        }
        self.next.map(|next| next.saturating_duration_since(now))
    }

    fn look_closely(&mut self, now: Instant) -> Option<Instant> {
        // Before the look: a wait that begins meanwhile is one for the next.
        let last = circles::last_wait();
        let mut suspects = BTreeSet::new();
        for circle in circles::find(OLD) {
            let mark: Mark = circle.iter().map(|step| step.numbers).collect();
            if self.suspects.contains(&mark) && self.told.insert(mark.clone()) {
                tell(&circle);
            }
            if !self.told.contains(&mark) {
                suspects.insert(mark);
            }
        }
        self.suspects = suspects;
        let moved = last != self.seen;
        self.seen = last;
        match (self.suspects.is_empty(), moved) {
            (false, _) => Some(now + AGAIN),
            // What had begun by then is old enough the next time.
            (true, true) => Some(now + OLD + AGAIN),
            (true, false) => None,
        }
    }
}

/// Says who waits for whom.
fn tell(circle: &[Step]) {
    let all = goroutines();
    let name = |id: u64| {
        let known: Option<&GoroutineInfo> = all.iter().find(|info| info.id == id);
        match known.and_then(|info| info.name.as_deref()) {
            Some(name) => format!("goroutine {id} {name:?}"),
            None => format!("goroutine {id}"),
        }
    };
    let mut text = match circle.len() {
        1 => "gosched: deadlock: a goroutine waits for itself, while others go on:\n".to_owned(),
        count => format!("gosched: deadlock: {count} goroutines wait for each other, while others go on:\n"),
    };
    for (step, next) in circle.iter().zip(circle.iter().cycle().skip(1)) {
        let (who, whom) = (name(step.id), name(next.id));
        let _ =
            write!(text, "\n{who} [{}]:\nwaits at\n\t{}:{}\n", step.reason, step.at.file(), step.at.line());
        let _ = match step.why {
            Why::Locked(at) => {
                writeln!(text, "for {whom}, which locked it at\n\t{}:{}", at.file(), at.line())
            }
            Why::Queued(at) => {
                writeln!(text, "for {whom}, which wants to write at\n\t{}:{}", at.file(), at.line())
            }
            Why::Ends => writeln!(text, "for {whom} to end"),
            Why::Counted => writeln!(text, "for {whom}, which the group counts, to end"),
        };
    }
    let _ = io::stderr().write_all(text.as_bytes());
}
