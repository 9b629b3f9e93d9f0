//! All of it: choose, build, measure, print, keep.

use crate::args::Args;
use crate::check;
use crate::machine::{self, Machine};
use crate::measure::{self, Outcome};
use crate::process::{self, Run};
use crate::programs::Programs;
use crate::results::{Measured, Results, Session, replace};
use crate::row::{self, Load, Row};
use crate::system::{self, System};
use crate::{callgrind, chart, hello, root, server, table, tree};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Does what the arguments say; whether nothing failed and the check, if it was asked for, holds.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    let all = row::all(&root().join("benches/rows"))?;
    let rows = row::chosen(&all, &args.rows)?;
    if args.list {
        say(&table::list(&rows));
        return Ok(true);
    }
    known_systems(&all, &args.systems)?;
    // Those that have runs: the chosen, and those whose lines the chosen are.
    let is_base = |base: &Row| rows.iter().any(|row| row.from.as_ref().unwrap_or(&row.name) == &base.name);
    let bases: Vec<&Row> = all.iter().filter(|row| row.from.is_none() && is_base(row)).collect();
    let systems: Vec<System> =
        bases.iter().flat_map(|row| system::of(row, args.mode, &args.systems)).collect();
    let committed = if args.check { Some(committed()?) } else { None };

    let suite = Suite::new(args, &systems, bases.iter().any(|row| row.hello))?;
    let path = suite.path();
    let mut results = Results::read(&path)?;
    let (mut bars, mut verdicts, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for base in bases {
        let (outcome, skipped) = suite.measure(base);
        for row in rows.iter().filter(|row| row.from.as_ref().unwrap_or(&row.name) == &base.name) {
            let mut measured = Measured::new(row, &suite.begin, &outcome, &skipped);
            measured.instructions = suite.instructions(row, &results);
            say(&table::row(&row.name, &measured));
            bars.extend(table::bars(row, &measured));
            failed.extend(measured.failed.keys().map(|system| format!("{} {system}", row.name)));
            if let Some(committed) = &committed {
                verdicts.push(check::row(&row.name, &measured, &suite.session, committed));
            }
            results.put(&row.name, measured, &suite.session);
        }
        say("\n");
        // After each, so that what was measured is kept whatever comes.
        results.write(&path)?;
    }
    say(&format!("{}\n", table::bars_text(&bars)));
    draw(&results, &path)?;
    say("12x: gosched is so many times better; ~: the ranges overlap; !: the machine was noisy.\n");
    say(&format!("results in {}, charts beside them\n", path.display()));
    for what in &failed {
        say(&format!("FAILED: {what}\n"));
    }
    let (text, holds) = check::summary(&verdicts);
    if args.check {
        say(&text);
    }
    Ok(failed.is_empty() && holds)
}

/// Prints. Whoever reads may have seen enough and gone, which is no reason to stop measuring.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Refuses names that no row has.
fn known_systems(rows: &[Row], wanted: &[String]) -> Result<(), String> {
    let known = || rows.iter().flat_map(|row| row.systems.iter().map(String::as_str));
    match wanted.iter().find(|name| !known().any(|system| system == *name)) {
        Some(name) => {
            let mut all: Vec<_> = known().collect();
            all.sort_unstable();
            all.dedup();
            let near = row::nearest(name, all.iter().copied());
            Err(format!("there is no system {name}{near} (there are {})", all.join(", ")))
        }
        None => Ok(()),
    }
}

const RESULTS: &str = "docs/bench/results.json";

/// The results of the last commit, or those of the checkout where there is no git.
fn committed() -> Result<Results, String> {
    let cannot = |error| format!("cannot read the committed {RESULTS}: {error}");
    if let Some(text) = machine::committed(root(), RESULTS) {
        return Results::parse(&text).map_err(cannot);
    }
    let path = root().join(RESULTS);
    if path.exists() {
        eprintln!("note: {RESULTS} is in no commit; compared is with the file that is there");
        return Results::read(&path);
    }
    Err(format!("there is no {RESULTS} to compare with: run the suite without --check first"))
}

/// The charts, beside the results.
fn draw(results: &Results, path: &Path) -> Result<(), String> {
    replace(&path.with_file_name("ratios.svg"), &chart::ratios(results)?)?;
    replace(&path.with_file_name("systems.svg"), &chart::systems(results)?)
}

/// Says on a terminal what is going on, in a line that the next one replaces.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// What all rows need.
struct Suite<'a> {
    args: &'a Args,
    programs: Programs,
    session: Session,
    begin: String,
    timeout: Duration,
    descriptors: u64,
    has_wrk: bool,
    has_callgrind: bool,
}

impl Suite<'_> {
    fn new<'a>(args: &'a Args, systems: &[System], hello: bool) -> Result<Suite<'a>, String> {
        let root = root();
        let programs = Programs::build(root, systems, hello, args.go.as_deref())?;
        if let Some(why) = &programs.no_go {
            eprintln!("note: without Go its figures are missing: {why}");
        }
        let bench = root.join("target/bench");
        fs::create_dir_all(&bench).map_err(|error| format!("cannot make {}: {error}", bench.display()))?;
        let has_callgrind = !args.no_callgrind && callgrind::is_there();
        if !has_callgrind && !args.no_callgrind {
            eprintln!("note: without valgrind no instructions are counted");
        }
        let session = Session {
            machine: Machine::this(),
            versions: machine::versions(root, programs.go_command.as_deref()),
            commit: machine::commit(root),
            rounds: if args.quick { 1 } else { args.rounds },
            workers: args.workers,
            quick: args.quick,
        };
        Ok(Suite {
            args,
            programs,
            session,
            begin: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            timeout: Duration::from_secs(args.timeout),
            descriptors: process::raise_descriptors(),
            // It has no option that ends with 0.
            has_wrk: Command::new("wrk").arg("--version").output().is_ok(),
            has_callgrind,
        })
    }

    /// Where the results go: into the project if they are whole.
    fn path(&self) -> PathBuf {
        let to_keep = self.args.is_whole() && !self.args.check;
        root().join(if to_keep { RESULTS } else { "target/bench/results.json" })
    }

    /// Runs a row in rounds: what that gave, and which systems were skipped why.
    fn measure(&self, row: &Row) -> (Outcome, BTreeMap<String, String>) {
        let mut skipped = BTreeMap::new();
        let mut systems = Vec::new();
        for system in system::of(row, self.args.mode, &self.args.systems) {
            match self.obstacle(row, &system) {
                Some(why) => drop(skipped.insert(system.name, why)),
                None => systems.push(system.name),
            }
        }
        let quick = self.args.quick;
        let mut rest: Vec<OsString> = row.args.iter().map(Into::into).collect();
        if let Some(tree) = row.tree {
            match tree::make(&root().join("target/bench/trees"), tree, row.files(quick)) {
                Ok(path) => rest.extend(["--dir".into(), path.into()]),
                Err(error) => {
                    let failed = systems.into_iter().map(|system| (system, Err(error.clone())));
                    return (failed.collect(), skipped);
                }
            }
        }
        if !quick {
            measure::warm(row.warm);
        }
        // Idle connections cost the same each time, and take long.
        let is_idle = matches!(row.server, Some(Load::Idle { .. }));
        let rounds = if is_idle { self.session.rounds.min(3) } else { self.session.rounds };
        let outcome = measure::rounds(&systems, rounds, |name| {
            let system = System::parse(name);
            progress(&format!("{} {name}", row.name));
            let once = || self.once(row, &system, &rest);
            let run = if quick { once() } else { measure::round(&row.metric, &row.unit, once) };
            progress("");
            run
        });
        (outcome, skipped)
    }

    fn once(&self, row: &Row, system: &System, rest: &[OsString]) -> Result<Run, String> {
        if row.hello {
            return hello::run(&self.programs.hello(system)?, self.timeout);
        }
        let mut rest = rest.to_vec();
        let program = |rest| self.programs.program(system, row.program_of(system), self.args.workers, rest);
        match row.server {
            Some(load) => server::run(&program(rest)?, load, self.args.quick, self.timeout),
            None => {
                rest.push(row.count_of(system, self.args.quick).to_string().into());
                process::run(&program(rest)?, self.timeout)
            }
        }
    }

    /// Why a system cannot run a row here.
    fn obstacle(&self, row: &Row, system: &System) -> Option<String> {
        if let (true, Some(why)) = (system.base == "go", &self.programs.no_go) {
            return Some(format!("no Go: {why}"));
        }
        match row.server {
            Some(Load::Wrk { .. }) if !self.has_wrk => Some("wrk is not installed".to_owned()),
            Some(Load::Wrk { connections, .. } | Load::Idle { connections, .. })
                if u64::from(connections) + 500 > self.descriptors =>
            {
                Some(format!("only {} descriptors (ulimit -Hn)", self.descriptors))
            }
            _ => None,
        }
    }

    /// Instructions for each operation; the last known ones where they are not counted now.
    fn instructions(&self, row: &Row, results: &Results) -> Option<f64> {
        let known = results.rows.get(&row.name).and_then(|row| row.instructions);
        if !self.has_callgrind || row.callgrind.is_none() {
            return known.filter(|_| row.callgrind.is_some());
        }
        progress(&format!("{} under callgrind", row.name));
        let out = root().join("target/bench/callgrind.out");
        let counted = callgrind::instructions(&self.programs, row, &out, self.timeout);
        progress("");
        counted.unwrap_or_else(|error| {
            eprintln!("note: {}: no instructions: {error}", row.name);
            None
        })
    }
}
