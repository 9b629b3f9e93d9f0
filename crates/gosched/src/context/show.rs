//! How contexts look in messages: the way from the root, as Go prints it.

use super::{Context, Kind, Repr, Value, now};
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// As `context.Background.WithCancel.WithDeadline(2026-03-01T12:00:00.250Z [4.75s])`.
///
/// A deadline is shown as the time of day it will be, in UTC, and how long it is until then. A value is shown by its
/// type, and if it is a text, with that.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Collected, not recursive: chains may be long.
        let mut steps = Vec::new();
        let mut here = self;
        let root = loop {
            match &here.0 {
                Repr::Background => break "context.Background",
                Repr::Todo => break "context.TODO",
                Repr::Node(node) => {
                    steps.push(&node.kind);
                    here = &node.parent;
                }
            }
        };
        f.write_str(root)?;
        steps.iter().rev().try_for_each(|kind| match kind {
            Kind::Cancel => f.write_str(".WithCancel"),
            Kind::Deadline(at) => show_deadline(f, *at),
            Kind::Value(value) => show_value(f, value),
            Kind::WithoutCancel => f.write_str(".WithoutCancel"),
        })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn show_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    let any = &*value.value;
    match (any.downcast_ref::<&'static str>(), any.downcast_ref::<String>()) {
        (Some(text), _) => write!(f, ".WithValue({}, {text})", value.type_name),
        (_, Some(text)) => write!(f, ".WithValue({}, {text})", value.type_name),
        _ => write!(f, ".WithValue({})", value.type_name),
    }
}

fn show_deadline(f: &mut fmt::Formatter<'_>, at: Instant) -> fmt::Result {
    let (now, today) = (now(), SystemTime::now());
    let (left, over) = (at.saturating_duration_since(now), now.saturating_duration_since(at));
    let wall = if over.is_zero() { today.checked_add(left) } else { today.checked_sub(over) };
    let since = wall.and_then(|wall| wall.duration_since(UNIX_EPOCH).ok());
    f.write_str(".WithDeadline(")?;
    match since {
        Some(since) => show_date(f, since)?,
        None => f.write_str("?")?,
    }
    let sign = if over.is_zero() { "" } else { "-" };
    write!(f, " [{sign}{:?}])", left.max(over))
}

/// A point in time, given since 1970, as RFC 3339 has it.
fn show_date(f: &mut fmt::Formatter<'_>, since: Duration) -> fmt::Result {
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since 1970 (H. Hinnant's `civil_from_days`): years begin in March, so
/// that the leap day is the last one, and 400 of them have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let january_counted = u64::from(month >= 10);
    let year = era * 400 + year + january_counted;
    (year, if month < 10 { month + 3 } else { month - 9 }, day - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(59), (1970, 3, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_453), (2025, 12, 31));
        assert_eq!(civil(20_454), (2026, 1, 1));
    }
}
