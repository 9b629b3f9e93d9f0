//! The examples of pipelines, as their users meet them.

mod common;

use common::build_example;
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Runs an example, which is built when it is asked for first, and returns its exit code and output.
fn run(name: &'static str, arguments: &[&str], input: &str) -> (i32, String) {
    static BUILT: Mutex<Option<HashMap<&str, PathBuf>>> = Mutex::new(None);
    let program = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        built.get_or_insert_default().entry(name).or_insert_with(|| build_example(name)).clone()
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it runs");
    // One that does not read has closed the pipe.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().expect("an exit code"), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn worker_pool_counts_the_primes_in_order() {
    let (code, out) = run("worker_pool", &["1000"], "");
    let starts: Vec<u32> =
        out.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!((code, &starts[..10]), (0, &[0, 100, 200, 300, 400, 500, 600, 700, 800, 900][..]), "{out}");
    assert!(out.ends_with("168 primes below 1000\n"), "{out}");
    assert_eq!(run("worker_pool", &["many"], "").0, 2);
}

#[test]
fn rate_limit_lets_requests_through_at_the_rate() {
    let (code, out) = run("rate_limit", &["200"], "");
    let times: Vec<u64> = out
        .lines()
        .filter_map(|line| line.split_once(" ms  "))
        .map(|(time, _)| time.trim().parse().unwrap())
        .collect();
    assert!(code == 0 && (8..=12).contains(&times.len()), "{out}");
    // A burst of three, the others 5 ms apart.
    assert!(*times.iter().max().unwrap() >= 5 * (times.len() as u64 - 3), "{out}");
    let given_up = 12 - times.len();
    assert!(out.ends_with(&format!("{} requests passed, {given_up} were given up\n", times.len())), "{out}");
    assert_eq!(out.matches("would exceed context deadline").count(), given_up);
    assert_eq!(run("rate_limit", &["0"], "").0, 2);
}

#[test]
fn pipeline_stops_when_enough_is_found() {
    let text = "a communicative gopher\nconcurrently channels everything\n".repeat(1000);
    let (code, out) = run("pipeline", &["10"], &text);
    let words = "communicative\nconcurrently\neverything\ncommunicative\nconcurrently\n";
    assert_eq!((code, out), (0, format!("{words}1 goroutine is left\n")));
    assert_eq!(run("pipeline", &["x"], "").0, 2);
}
