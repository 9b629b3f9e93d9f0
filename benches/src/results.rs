//! The results: what is in docs/bench/results.json.

use crate::machine::Machine;
use crate::measure::{Outcome, is_noisy};
use crate::process::Run;
use crate::row::{Better, Judged, Row};
use crate::stats::{median, ratio, rounded, spread};
use crate::system;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// All rows that were ever measured, each with the session it was measured in last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// By their beginning.
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) rows: BTreeMap<String, Measured>,
}

/// What all rows that were measured at once have in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) machine: Machine,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) commit: String,
    pub(crate) rounds: u32,
    pub(crate) workers: u16,
    pub(crate) quick: bool,
}

/// A row, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) session: String,
    pub(crate) title: String,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// gosched's system that is judged.
    pub(crate) ours: Option<String>,
    /// The best other.
    pub(crate) best: Option<String>,
    /// How many times better ours is than the best other.
    pub(crate) ratio: Option<f64>,
    /// What the ratio should be.
    pub(crate) factor: Option<f64>,
    /// Instructions for each operation, of gosched pinned with one worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instructions: Option<f64>,
    pub(crate) systems: BTreeMap<String, Figures>,
    /// Systems that have no figures, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) skipped: BTreeMap<String, String>,
}

/// A system's figures in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Processors used.
    pub(crate) cores: f64,
    /// Voluntary context switches.
    pub(crate) voluntary: f64,
    pub(crate) noisy: bool,
    /// The medians of the other lines.
    pub(crate) others: BTreeMap<String, f64>,
    pub(crate) runs: Vec<Run>,
}

impl Figures {
    /// The figures of a metric, if all runs have it in this unit.
    fn of(runs: &[Run], metric: &str, unit: &str) -> Result<Figures, String> {
        let mut values = Vec::new();
        for run in runs {
            let figure = run.figure(metric)?;
            if figure.unit != unit {
                return Err(format!("its line `{metric}` is in {}, the row in {unit}", figure.unit));
            }
            values.push(figure.value);
        }
        let (first, of_all) = (&runs[0], |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>());
        let other = |name: &String| {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.values.get(name).copied()).collect();
            (name.clone(), rounded(median(&values)))
        };
        let shown = |name: &&String| *name != metric && !name.ends_with("_check");
        let (min, max) = spread(&values);
        let shorter = |run: &Run| Run {
            values: run.values.iter().map(|(name, value)| (name.clone(), rounded(*value))).collect(),
            units: BTreeMap::new(),
            wall: rounded(run.wall),
            cpu: rounded(run.cpu),
            noise: rounded(run.noise),
            ..*run
        };
        Ok(Figures {
            median: rounded(median(&values)),
            min: rounded(min),
            max: rounded(max),
            cores: rounded(median(&of_all(|run| run.cpu / run.wall.max(1e-9)))),
            voluntary: rounded(median(&of_all(|run| run.voluntary as f64))),
            noisy: unit != "B" && runs.iter().any(is_noisy),
            others: first.values.keys().filter(shown).map(other).collect(),
            runs: runs.iter().map(shorter).collect(),
        })
    }
}

impl Measured {
    /// What became of a row.
    pub(crate) fn new(
        row: &Row,
        session: &str,
        outcome: &Outcome,
        skipped: &BTreeMap<String, String>,
    ) -> Measured {
        let mut systems = BTreeMap::new();
        let mut failed = BTreeMap::new();
        for (system, runs) in outcome {
            let figures = runs.as_ref().map_err(String::clone);
            match figures.and_then(|runs| Figures::of(runs, &row.metric, &row.unit)) {
                Ok(figures) => drop(systems.insert(system.clone(), figures)),
                Err(error) => drop(failed.insert(system.clone(), error)),
            }
        }
        disagreements(outcome, &mut systems, &mut failed);
        let (ours, best) = (judged(row, &systems), best_other(row.better, systems.iter()));
        let of = |name: &Option<String>| name.as_ref().map(|name| systems[name].median);
        let ratio = of(&ours).zip(of(&best)).map(|(ours, theirs)| rounded(ratio(row.better, ours, theirs)));
        let others = row.systems.len() > 1 || row.from.is_some();
        Measured {
            session: session.to_owned(),
            title: row.title.clone(),
            metric: row.metric.clone(),
            unit: row.unit.clone(),
            better: row.better,
            ours,
            best,
            ratio,
            factor: row.factor.or((row.bar.is_none() && others).then_some(1.0)),
            instructions: None,
            systems,
            failed,
            skipped: skipped.clone(),
        }
    }

    pub(crate) fn is_noisy(&self) -> bool {
        let of = |name: &Option<String>| name.as_ref().and_then(|name| self.systems.get(name));
        [of(&self.ours), of(&self.best)].into_iter().flatten().any(|figures| figures.noisy)
    }
}

/// Systems whose lines `..._check` differ from gosched's have done something else: they have no figures.
fn disagreements(
    outcome: &Outcome,
    systems: &mut BTreeMap<String, Figures>,
    failed: &mut BTreeMap<String, String>,
) {
    let checks = |system: &str| -> BTreeMap<String, u64> {
        let runs = outcome.get(system).and_then(|runs| runs.as_ref().ok());
        let values = runs.into_iter().flatten().flat_map(|run| &run.values);
        values
            .filter(|(name, _)| name.ends_with("_check"))
            .map(|(name, value)| (name.clone(), value.to_bits()))
            .collect()
    };
    let Some(ours) = systems.keys().find(|name| system::is_ours(name)).map(|name| checks(name)) else {
        return;
    };
    systems.retain(|name, _| {
        let agrees = checks(name) == ours;
        if !agrees {
            failed.insert(name.clone(), "its results are not those of gosched".to_owned());
        }
        agrees
    });
}

/// gosched's system that counts.
fn judged(row: &Row, systems: &BTreeMap<String, Figures>) -> Option<String> {
    let ours = systems.iter().filter(|(name, _)| system::is_ours(name));
    match row.mode {
        Judged::Better => best(row.better, ours),
        // Migrating only where it was asked for alone.
        Judged::Pinned => ours.map(|(name, _)| name).max_by_key(|name| name.ends_with("pinned")).cloned(),
    }
}

fn best_other<'a>(
    better: Better,
    systems: impl Iterator<Item = (&'a String, &'a Figures)>,
) -> Option<String> {
    best(better, systems.filter(|(name, _)| !system::is_ours(name)))
}

fn best<'a>(better: Better, systems: impl Iterator<Item = (&'a String, &'a Figures)>) -> Option<String> {
    let order = |a: &(&String, &Figures), b: &(&String, &Figures)| match better {
        Better::Less => a.1.median.total_cmp(&b.1.median),
        Better::More => b.1.median.total_cmp(&a.1.median),
    };
    systems.min_by(order).map(|(name, _)| name.clone())
}

/// The ratio of a row over those systems only that `counts` lets count, and the best of these.
pub(crate) fn ratio_among(row: &Measured, counts: impl Fn(&str) -> bool) -> Option<(f64, String)> {
    let best = best_other(row.better, row.systems.iter().filter(|(name, _)| counts(name)))?;
    let ours = &row.systems.get(row.ours.as_ref()?)?;
    Some((ratio(row.better, ours.median, row.systems[&best].median), best))
}

impl Results {
    /// What the file says; nothing if there is none.
    pub(crate) fn read(path: &Path) -> Result<Results, String> {
        match fs::read_to_string(path) {
            Ok(text) => {
                Results::parse(&text).map_err(|error| format!("cannot read {}: {error}", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Results::default()),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Results, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Takes a row in the place of what was there.
    pub(crate) fn put(&mut self, name: &str, row: Measured, session: &Session) {
        self.sessions.insert(row.session.clone(), session.clone());
        self.rows.insert(name.to_owned(), row);
        self.sessions.retain(|session, _| self.rows.values().any(|row| row.session == *session));
    }

    /// Writes the file, or leaves the old one.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let mut text = String::new();
        write_value(&mut text, &value, 0);
        text.push('\n');
        replace(path, &text)
    }
}

/// Writes a file beside the old one and puts it in its place, so that a full disk costs nothing.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), String> {
    let beside = path.with_extension("new");
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(directory)
        .and_then(|()| fs::write(&beside, text))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        format!("cannot write {}: {error}", path.display())
    })
}

/// As indented JSON, but what fits is on one line: a run is one, and a difference between two files readable.
fn write_value(out: &mut String, value: &serde_json::Value, depth: usize) {
    use serde_json::Value;
    const FITS: usize = 160;
    let short = value.to_string();
    let items: Vec<(Option<&String>, &Value)> = match value {
        Value::Object(map) if short.len() > FITS || depth < 2 => {
            map.iter().map(|(key, value)| (Some(key), value)).collect()
        }
        Value::Array(list) if short.len() > FITS => list.iter().map(|value| (None, value)).collect(),
        _ => return out.push_str(&short),
    };
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (place, (key, value)) in items.iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n(' ', depth + 1));
        if let Some(key) = key {
            out.push_str(&Value::from(key.as_str()).to_string());
            out.push_str(": ");
        }
        write_value(out, value, depth + 1);
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth));
    out.push(close);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Systems with the values of their runs.
    pub(crate) type Values<'a> = &'a [(&'a str, &'a [f64])];

    pub(crate) fn row(rest: &str) -> Row {
        let text =
            "title='T'\nwhat='W'\nfair='F'\nmetric='m'\nunit='ns'\nn=1\nsystems=['gosched','go','tokio']\n";
        Row::parse("r", &format!("{text}{rest}")).unwrap()
    }

    pub(crate) fn runs(values: &[f64]) -> Result<Vec<Run>, String> {
        let one = |value: &f64| {
            let mut run = Run { wall: 1.0, cpu: 2.0, voluntary: 10, ..Run::default() };
            run.add("m", *value, "ns");
            run.add("other", value * 2.0, "ms");
            run
        };
        Ok(values.iter().map(one).collect())
    }

    pub(crate) fn outcome(systems: Values<'_>) -> Outcome {
        systems.iter().map(|(name, values)| ((*name).to_owned(), runs(values))).collect()
    }

    pub(crate) fn measured(rest: &str, systems: Values<'_>) -> Measured {
        Measured::new(&row(rest), "s", &outcome(systems), &BTreeMap::new())
    }

    #[test]
    fn a_row_is_the_medians_and_the_ratio_to_the_best_other() {
        let row = measured(
            "better='less'\nfactor=1.9",
            &[
                ("gosched-pinned", &[90.0, 100.0, 300.0]),
                ("gosched-migrate", &[50.0]),
                ("go", &[260.0, 250.0, 240.0]),
                ("tokio", &[900.0]),
            ],
        );
        let ours = &row.systems["gosched-pinned"];
        assert_eq!(
            (ours.median, ours.min, ours.max, ours.cores, ours.others["other"]),
            (100.0, 90.0, 300.0, 2.0, 200.0)
        );
        assert_eq!(
            (row.ours.as_deref(), row.best.as_deref(), row.ratio),
            (Some("gosched-pinned"), Some("go"), Some(2.5))
        );
        assert_eq!(row.factor, Some(1.9));
    }

    #[test]
    fn where_more_is_better_the_best_other_is_the_largest() {
        let row =
            measured("better='more'", &[("gosched-pinned", &[100.0]), ("go", &[250.0]), ("tokio", &[50.0])]);
        assert_eq!((row.best.as_deref(), row.ratio, row.factor), (Some("go"), Some(0.4), Some(1.0)));
    }

    #[test]
    fn a_row_may_be_judged_by_the_better_mode() {
        let systems: Values<'_> =
            &[("gosched-pinned", &[100.0]), ("gosched-migrate", &[50.0]), ("go", &[100.0])];
        assert_eq!(measured("better='less'\nmode='better'", systems).ratio, Some(2.0));
        assert_eq!(measured("better='less'", systems).ratio, Some(1.0));
    }

    #[test]
    fn what_failed_does_not_count() {
        let mut outcome = outcome(&[("gosched-pinned", &[100.0]), ("tokio", &[300.0])]);
        outcome.insert("go".into(), Err("exit code 2".into()));
        let row = Measured::new(&row("better='less'"), "s", &outcome, &BTreeMap::new());
        assert_eq!((row.best.as_deref(), row.failed["go"].as_str()), (Some("tokio"), "exit code 2"));
    }

    #[test]
    fn another_unit_or_another_result_is_a_failure() {
        let mut outcome = outcome(&[("gosched-pinned", &[100.0]), ("go", &[200.0]), ("tokio", &[300.0])]);
        let mut add = |system: &str, check: f64, unit: &str| {
            let runs = outcome.get_mut(system).unwrap().as_mut().unwrap();
            runs[0].add("sum_check", check, "sum");
            runs[0].add("m", 1.0, unit);
        };
        add("gosched-pinned", 7.0, "ns");
        add("go", 8.0, "ns");
        add("tokio", 7.0, "ms");
        let row = Measured::new(&row("better='less'"), "s", &outcome, &BTreeMap::new());
        assert!(row.failed["go"].contains("not those of gosched"), "{row:?}");
        assert!(row.failed["tokio"].contains("in ms"), "{row:?}");
        assert!(row.systems.contains_key("gosched-pinned") && row.ratio.is_none());
    }

    #[test]
    fn a_part_of_the_rows_replaces_these_rows_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/results.json");
        let mut results = Results::read(&path).unwrap();
        assert_eq!(results, Results::default());
        let row = measured("better='less'", &[("gosched-pinned", &[100.0]), ("go", &[250.0])]);
        let at = |session: &str| Measured { session: session.into(), ..row.clone() };
        let session = Session { workers: 2, commit: "abc".into(), ..Session::default() };
        results.put("a", at("monday"), &session);
        results.put("b", at("monday"), &session);
        results.write(&path).unwrap();
        let mut results = Results::read(&path).unwrap();
        results.put("b", at("tuesday"), &session);
        assert_eq!(results.rows["a"].session, "monday");
        assert_eq!(results.sessions.keys().collect::<Vec<_>>(), ["monday", "tuesday"]);
        results.put("a", at("tuesday"), &session);
        assert_eq!(
            results.sessions.keys().collect::<Vec<_>>(),
            ["tuesday"],
            "a session without rows is gone"
        );
        results.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        assert_eq!(read, results);
    }

    #[test]
    fn a_file_that_cannot_be_written_or_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.json");
        fs::write(&path, "{").unwrap();
        assert!(Results::read(&path).unwrap_err().contains("results.json"));
        let below = path.join("results.json");
        assert!(Results::default().write(&below).unwrap_err().contains("cannot write"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{", "the old file is as it was");
    }
}
