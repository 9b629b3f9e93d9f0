//! How it went: what is counted, and how that is shown, to people and to programs.

use crate::fetcher::{Answer, Page};
use crate::progress::Bytes;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

/// So many of those that failed are named.
const NAMED: usize = 10;
const PERCENTILES: [usize; 4] = [50, 90, 99, 100];

#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) done: u64,
    /// Those without an answer, or with one that tells of an error.
    pub(crate) failed: u64,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<&'static str, u64>,
    bytes: u64,
    retries: u64,
    /// Of answers: from when the request was sent (or a connection looked for) to the body's end. In microseconds.
    latencies: Vec<u32>,
    /// The first of those that failed, and why.
    named: Vec<(String, String)>,
}

/// How the whole has ended.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    Complete,
    Interrupted,
    TimeIsUp,
}

impl Summary {
    pub(crate) fn add(&mut self, page: &Page) {
        self.done += 1;
        self.retries += u64::from(page.retries);
        let why = match &page.result {
            Ok(Answer { status, bytes }) => {
                *self.statuses.entry(*status).or_default() += 1;
                self.bytes += bytes;
                self.latencies.push(page.took.as_micros().try_into().unwrap_or(u32::MAX));
                (*status >= 400).then(|| format!("status {status}"))
            }
            Err(failure) => {
                *self.errors.entry(failure.kind).or_default() += 1;
                Some(failure.text.clone())
            }
        };
        if let Some(why) = why {
            self.failed += 1;
            if self.named.len() < NAMED {
                self.named.push((page.url.clone(), why));
            }
        }
    }

    /// The lines for people.
    pub(crate) fn text(&mut self, end: End, unfinished: u64, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let mut text = String::new();
        let mut line = |what: &str, value: fmt::Arguments<'_>| {
            writeln!(text, "{what:10}{value}").expect("there is room for it");
        };
        line("ended", format_args!("{} after {seconds:.2} s", end.name()));
        let rate = self.done as f64 / seconds;
        line("URLs", format_args!("{} done, {} failed, {rate:.0} per second", self.done, self.failed));
        if unfinished > 0 {
            line("left", format_args!("{unfinished}"));
        }
        line("statuses", format_args!("{}", Counts(&self.statuses)));
        line("errors", format_args!("{}", Counts(&self.errors)));
        let latencies = self.percentiles().map(|(percent, micros)| match percent {
            100 => format!("slowest {:.1} ms", f64::from(micros) / 1000.0),
            _ => format!("p{percent} {:.1} ms", f64::from(micros) / 1000.0),
        });
        let latencies: Vec<_> = latencies.collect();
        let latencies = if latencies.is_empty() { "none".to_owned() } else { latencies.join(", ") };
        line("latencies", format_args!("{latencies}"));
        let per_second = Bytes((self.bytes as f64 / seconds) as u64);
        line("bytes", format_args!("{}, {per_second} per second", Bytes(self.bytes)));
        line("retries", format_args!("{}", self.retries));
        text
    }

    /// The same for programs: one line.
    pub(crate) fn json(&mut self, end: End, unfinished: u64, elapsed: Duration) -> String {
        let latencies: Vec<_> = self
            .percentiles()
            .map(|(percent, micros)| format!("\"p{percent}\":{}", f64::from(micros) / 1000.0))
            .collect();
        let named: Vec<_> = self
            .named
            .iter()
            .map(|(url, why)| format!("{{\"url\":{},\"error\":{}}}", Quoted(url), Quoted(why)))
            .collect();
        format!(
            "{{\"ended\":{},\"seconds\":{:.3},\"done\":{},\"failed\":{},\"unfinished\":{unfinished},\
             \"statuses\":{},\"errors\":{},\"latencies_ms\":{{{}}},\"bytes\":{},\"retries\":{},\
             \"first_failures\":[{}]}}\n",
            Quoted(end.name()),
            elapsed.as_secs_f64(),
            self.done,
            self.failed,
            Object(&self.statuses),
            Object(&self.errors),
            latencies.join(","),
            self.bytes,
            self.retries,
            named.join(","),
        )
    }

    /// Those that failed, for people; empty if none has.
    pub(crate) fn failures(&self) -> String {
        if self.failed == 0 {
            return String::new();
        }
        let mut text = format!("fetch: {} could not be fetched:\n", self.failed);
        for (url, why) in &self.named {
            text += &format!("  {url}: {why}\n");
        }
        let more = self.failed - self.named.len() as u64;
        if more > 0 {
            text += &format!("  and {more} more\n");
        }
        text
    }

    fn percentiles(&mut self) -> impl Iterator<Item = (usize, u32)> {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        PERCENTILES.into_iter().filter_map(move |percent| {
            // The smallest that is not exceeded by so many of a hundred.
            let at = (count * percent).div_ceil(100).checked_sub(1)?;
            Some((percent, self.latencies[at]))
        })
    }
}

impl End {
    fn name(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Interrupted => "interrupted",
            End::TimeIsUp => "time is up",
        }
    }
}

/// A line for a URL.
pub(crate) fn line(page: &Page, json: bool) -> String {
    let ms = page.took.as_secs_f64() * 1000.0;
    match (&page.result, json) {
        (Ok(Answer { status, bytes }), false) => {
            format!("{status} {ms:.1} ms {} {}\n", Bytes(*bytes), page.url)
        }
        (Err(failure), false) => format!("--- {}: {}\n", page.url, failure.text),
        (Ok(Answer { status, bytes }), true) => format!(
            "{{\"url\":{},\"status\":{status},\"ms\":{ms:.3},\"bytes\":{bytes},\"retries\":{}}}\n",
            Quoted(&page.url),
            page.retries
        ),
        (Err(failure), true) => format!(
            "{{\"url\":{},\"error\":{},\"kind\":{},\"retries\":{}}}\n",
            Quoted(&page.url),
            Quoted(&failure.text),
            Quoted(failure.kind),
            page.retries
        ),
    }
}

/// `200: 7, 404: 1`, or `none`.
struct Counts<'a, K>(&'a BTreeMap<K, u64>);

impl<K: fmt::Display> fmt::Display for Counts<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (n, (what, count)) in self.0.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{what}: {count}")?;
        }
        Ok(())
    }
}

/// `{"200":7,"404":1}`
struct Object<'a, K>(&'a BTreeMap<K, u64>);

impl<K: fmt::Display> fmt::Display for Object<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (n, (what, count)) in self.0.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, "{comma}\"{what}\":{count}")?;
        }
        f.write_char('}')
    }
}

/// A string as JSON has it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
