//! The rows: what `rows/<row>/row.toml` says.

use crate::system::System;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is measured, of whom, and why that is fair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The directory's name.
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) what: String,
    pub(crate) fair: String,
    /// The line of the program that counts.
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// How many times better than the best other gosched should be; 1 if left out.
    pub(crate) factor: Option<f64>,
    /// What gosched's figure should be at most.
    pub(crate) bar: Option<f64>,
    /// What other lines of gosched's should be at most.
    #[serde(default)]
    pub(crate) bars: BTreeMap<String, f64>,
    /// Which of gosched's modes is judged.
    #[serde(default)]
    pub(crate) mode: Judged,
    /// How much memory to touch before, in MiB: a virtual machine may have to fetch it first.
    #[serde(default)]
    pub(crate) warm: u64,
    /// The row is another line of this row's runs.
    pub(crate) from: Option<String>,
    /// The programs are those of this row; its own if left out.
    pub(crate) program: Option<String>,
    /// The same for a single system, by its name with the variants or without.
    #[serde(default)]
    pub(crate) programs: BTreeMap<String, String>,
    /// Further arguments of the programs.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) systems: Vec<String>,
    /// How often.
    #[serde(default)]
    pub(crate) n: u64,
    /// How often a single system does it, where the others' number would take too long.
    #[serde(default)]
    pub(crate) counts: BTreeMap<String, u64>,
    /// How often with `--quick`.
    pub(crate) quick: Option<u64>,
    /// A tree of files the programs get as `--dir`, of `n` files.
    pub(crate) tree: Option<Tree>,
    /// The programs are servers.
    pub(crate) server: Option<Load>,
    /// The programs are those that say hello, and are measured from outside.
    #[serde(default)]
    pub(crate) hello: bool,
    pub(crate) callgrind: Option<Callgrind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Less,
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Judged {
    #[default]
    Pinned,
    /// The better of pinned and migrating.
    Better,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tree {
    Small,
    Big,
}

/// Who loads a server, and how.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(tag = "load", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Load {
    Wrk {
        connections: u32,
        seconds: u32,
    },
    /// A thread that sends a byte and waits for it.
    Ask {
        requests: u32,
    },
    /// Connections that are used once and kept.
    Idle {
        connections: u32,
        protocol: Protocol,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Http,
    Echo,
}

/// Instructions are those of a run with `2 * n` less those of a run with `n`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Callgrind {
    pub(crate) n: u64,
    /// How many operations each of them is.
    #[serde(default = "one")]
    pub(crate) per: u64,
}

fn one() -> u64 {
    1
}

impl Row {
    pub(crate) fn parse(name: &str, text: &str) -> Result<Row, String> {
        let row: Row = toml::from_str(text).map_err(|error| format!("rows/{name}/row.toml: {error}"))?;
        let row = Row { name: name.to_owned(), ..row };
        match row.faults().first() {
            Some(fault) => Err(format!("rows/{name}/row.toml: {fault}")),
            None => Ok(row),
        }
    }

    /// What is wrong with it, in words.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(what.to_owned());
            }
        };
        for (text, name) in [(&self.title, "title"), (&self.what, "what"), (&self.fair, "fair")] {
            must(!text.trim().is_empty(), &format!("the text `{name}` is empty"));
        }
        must(!self.metric.contains(char::is_whitespace), "`metric` is one word");
        must(!self.unit.contains(char::is_whitespace), "`unit` is one word");
        must(self.factor.is_none_or(|factor| factor > 0.0), "`factor` is above 0");
        if self.from.is_some() {
            let own =
                !self.systems.is_empty() || self.n != 0 || self.server.is_some() || self.program.is_some();
            must(!own, "a row `from` another has its systems, programs and counts");
            return faults;
        }
        must(self.systems.iter().any(|system| system == "gosched"), "`systems` lacks gosched");
        let kinds = [self.n != 0, self.server.is_some(), self.hello];
        must(kinds.into_iter().filter(|is| *is).count() == 1, "either `n` or `[server]` or `hello`");
        for name in self.counts.keys().chain(self.programs.keys()) {
            let known =
                self.systems.iter().any(|system| system == name || System::parse(system).base == *name);
            must(known, &format!("{name} is not among the systems"));
        }
        must(!self.counts.values().any(|n| *n == 0), "a count is above 0");
        must(self.callgrind.is_none_or(|c| c.n > 0 && c.per > 0), "callgrind's numbers are above 0");
        faults
    }

    /// The row of the program that a system runs.
    pub(crate) fn program_of(&self, system: &System) -> &str {
        let own = self.programs.get(&system.name).or_else(|| self.programs.get(&system.base));
        own.or(self.program.as_ref()).unwrap_or(&self.name)
    }

    /// How often a system does it.
    pub(crate) fn count_of(&self, system: &System, quick: bool) -> u64 {
        let own = self.counts.get(&system.name).or_else(|| self.counts.get(&system.base));
        self.count(own.copied().unwrap_or(self.n), quick)
    }

    /// How many files its tree has.
    pub(crate) fn files(&self, quick: bool) -> u64 {
        self.count(self.n, quick)
    }

    fn count(&self, n: u64, quick: bool) -> u64 {
        if quick { self.quick.unwrap_or(n / 20).clamp(1, n.max(1)) } else { n }
    }
}

/// All rows, in the order of their names.
pub(crate) fn all(directory: &Path) -> Result<Vec<Row>, String> {
    let cannot = |error| format!("cannot read {}: {error}", directory.display());
    let mut rows = Vec::new();
    for entry in fs::read_dir(directory).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name =
            entry.file_name().into_string().map_err(|name| format!("{} is no name", name.display()))?;
        let path = entry.path().join("row.toml");
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        rows.push(Row::parse(&name, &text)?);
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    for row in &rows {
        let is_base = |name: &String| rows.iter().any(|base| base.name == *name && base.from.is_none());
        if let Some(from) = row.from.as_ref().filter(|name| !is_base(name)) {
            return Err(format!("rows/{}/row.toml: `from`: {from} is no row with runs of its own", row.name));
        }
    }
    Ok(rows)
}

/// The rows with these names; all if there are none.
pub(crate) fn chosen(rows: &[Row], names: &[String]) -> Result<Vec<Row>, String> {
    for name in names {
        if !rows.iter().any(|row| row.name == *name) {
            let known = rows.iter().map(|row| row.name.as_str());
            return Err(format!("there is no row {name}{} (--list shows them)", nearest(name, known)));
        }
    }
    let is_chosen = |row: &&Row| names.is_empty() || names.contains(&row.name);
    Ok(rows.iter().filter(is_chosen).cloned().collect())
}

/// `; did you mean ...?`, or nothing if nothing is near.
pub(crate) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> String {
    let distance = |name: &&str| strsim::damerau_levenshtein(wanted, name);
    match known.min_by_key(distance) {
        Some(name) if distance(&name) <= wanted.len().max(4) / 2 => format!("; did you mean {name}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title = 'T'\nwhat = 'W'\nfair = 'F'\nmetric = 'm'\nunit = 'ns'\nbetter = 'less'\n";

    fn row(rest: &str) -> Result<Row, String> {
        Row::parse("r", &format!("{TEXT}{rest}"))
    }

    #[test]
    fn a_row_is_read() {
        let rest = "systems = ['gosched', 'go', 'tokio-current']\nn = 1000\nfactor = 1.9\n\
                    [counts]\ntokio = 40\ntokio-current = 9\n\
                    [programs]\ngo = 'other'\n[callgrind]\nn = 5";
        let row = row(rest).unwrap();
        assert_eq!(
            (row.name.as_str(), row.better, row.factor, row.mode),
            ("r", Better::Less, Some(1.9), Judged::Pinned)
        );
        let counts = |name: &str| [false, true].map(|quick| row.count_of(&System::parse(name), quick));
        assert_eq!((counts("go"), counts("tokio"), counts("tokio-current")), ([1000, 50], [40, 2], [9, 1]));
        let program = |name: &str| row.program_of(&System::parse(name));
        assert_eq!((program("go"), program("tokio"), program("gosched-pinned")), ("other", "r", "r"));
        assert_eq!(row.callgrind.map(|c| (c.n, c.per)), Some((5, 1)));
    }

    #[test]
    fn a_quick_count_is_never_none_and_never_more() {
        let row = row("systems = ['gosched', 'go']\nn = 10\nquick = 50\n[counts]\ngo = 1").unwrap();
        assert_eq!((row.files(true), row.count_of(&System::parse("go"), true)), (10, 1));
    }

    #[test]
    fn a_server_is_read() {
        let row = row("systems = ['gosched']\n[server]\nload = 'idle'\nconnections = 9\nprotocol = 'http'")
            .unwrap();
        assert!(matches!(row.server, Some(Load::Idle { connections: 9, protocol: Protocol::Http })));
    }

    #[test]
    fn a_faulty_row_is_refused_with_its_fault() {
        for (rest, fault) in [
            ("n = 1", "lacks gosched"),
            ("systems = ['gosched']", "either `n` or `[server]`"),
            ("systems = ['gosched']\nn = 1\nspeed = 3", "speed"),
            ("systems = ['gosched']\nn = 1\n[counts]\ngo = 3", "go is not among"),
            ("systems = ['gosched']\nn = 1\nfactor = 0", "above 0"),
            ("from = 'other'\nn = 1", "from"),
        ] {
            let error = row(rest).unwrap_err();
            assert!(error.contains(fault) && error.contains("rows/r/row.toml"), "{rest}: {error}");
        }
        let error = Row::parse("r", &TEXT.replace("'W'", "' '")).unwrap_err();
        assert!(error.contains("`what` is empty"), "{error}");
    }

    #[test]
    fn an_unknown_row_gets_a_suggestion() {
        let rows = ["pingpong", "spawn", "spawn_async"]
            .map(|name| Row { name: name.into(), ..row("systems = ['gosched']\nn = 1").unwrap() });
        let error = |name: &str| chosen(&rows, &[name.into()]).unwrap_err();
        assert!(error("pingpng").contains("did you mean pingpong?"));
        assert!(error("swpan").contains("did you mean spawn?"));
        assert!(!error("zzzzzzzzzzzz").contains("did you mean"));
        assert_eq!(chosen(&rows, &[]).unwrap().len(), 3);
        assert_eq!(chosen(&rows, &["spawn".into()]).unwrap()[0].name, "spawn");
    }
}
