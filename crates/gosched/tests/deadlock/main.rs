//! Deadlocks: rows D01 to D08 and U12 of the features, and what must not be taken for one.
//!
//! Each program runs in a process of its own: this binary again, without the test harness, whose threads would be somebody
//! else's. So this file is also a small harness for itself.
#![allow(non_snake_case)]

mod circles;
#[path = "../common/mod.rs"]
mod common;
mod data;
mod fatal;
mod quiet;
mod warned;

use common::Child;
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::process::{ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A test, by its name; the program that its children run, if it has any.
type Test = (&'static str, fn(&str), fn());

/// How many tests run at once: most of them wait for a child that sleeps.
const PARALLEL: usize = 4;

const PROGRAM: &str = "GOSCHED_TEST_PROGRAM";

/// The child process that runs the program of a test.
fn program(test: &str) -> Child {
    Child::new(test).env(PROGRAM, test)
}

/// Runs it, and returns its exit code and what it wrote to standard error.
fn result(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), common::stderr(output))
}

/// What a dump says of which goroutine, with ids in the order of their appearance, lines of the source as `N`, and of its
/// calls the innermost.
fn masked(text: &str) -> String {
    let mut ids = HashMap::new();
    let mut known = |id: &str| {
        let next = ids.len() + 1;
        let number: &usize = ids.entry(id.to_owned()).or_insert(next);
        number.to_string()
    };
    let mut masked = Vec::new();
    let mut is_place = false;
    // Of a goroutine with a stack its innermost call is where it waits.
    let mut is_innermost = false;
    for line in text.lines() {
        let is_head = |line: &str| line.starts_with("goroutine ") && line.ends_with("]:");
        if is_place {
            let place = line.trim_start().rsplit_once(':').map_or(line, |(file, _)| file);
            masked.push(format!("\t{}:N", place.rsplit('/').next().unwrap_or(place)));
            is_place = false;
        } else if is_head(line) {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            masked.push(format!("goroutine {} {}", known(words[1]), words[2]));
            is_innermost = true;
        } else if let Some((by, id)) = line.rsplit_once(" in goroutine ")
            && line.starts_with("created by ")
        {
            masked.push(format!("{by} in goroutine {}", known(id)));
            is_place = true;
        } else if line == "waits at" || line.starts_with("main of ") || line.starts_with("created by ") {
            masked.push(line.to_owned());
            is_place = true;
        } else if line.ends_with("(...)") {
            if std::mem::take(&mut is_innermost) {
                masked.push("waits at".to_owned());
                is_place = true;
            }
        } else if !line.starts_with('\t') && !line.contains("::") && !line.ends_with(')') {
            masked.push(line.to_owned());
        }
    }
    masked.join("\n") + "\n"
}

fn tests() -> Vec<Test> {
    [fatal::TESTS, quiet::TESTS, warned::TESTS, data::TESTS, circles::TESTS].concat()
}

fn main() -> ExitCode {
    let tests = tests();
    if let Ok(program) = std::env::var(PROGRAM) {
        let (_, _, run) = tests.iter().find(|(name, ..)| *name == program).expect("a program of that name");
        run();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| {
        let fits =
            |filter: &&String| if exact { name == filter.as_str() } else { name.contains(filter.as_str()) };
        filters.is_empty() || filters.iter().any(fits)
    };
    let wanted: Vec<&Test> = tests.iter().filter(|(name, ..)| is_wanted(name)).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        wanted.iter().for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", wanted.len());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some((name, test, _)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let passed = catch_unwind(|| test(name)).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let (verdict, passed) = (if failed.is_empty() { "ok" } else { "FAILED" }, wanted.len() - failed.len());
    println!("\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored\n", failed.len());
    failed.iter().for_each(|name| println!("failed: {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
