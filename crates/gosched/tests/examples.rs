//! The examples as their users meet them: built, run, and their output read.

mod common;

use common::build_example;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs an example, which must succeed and say nothing on standard error, and returns what it prints.
#[track_caller]
fn output(name: &str) -> Vec<String> {
    let mut child = Command::new(build_example(name))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("it runs");
    let (tx, rx) = mpsc::channel();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = thread::spawn(move || {
        let texts = (std::io::read_to_string(out).unwrap(), std::io::read_to_string(err).unwrap());
        let _ = tx.send(());
        texts
    });
    if rx.recv_timeout(Duration::from_secs(60)).is_err() {
        let _ = child.kill();
        panic!("the example {name} hangs");
    }
    let (out, err) = reader.join().unwrap();
    assert!(child.wait().unwrap().success() && err.is_empty(), "{name}:\n{out}\n{err}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn context_cancel() {
    let expected = [
        "table: context deadline exceeded",
        "service: context deadline exceeded",
        "computation: context deadline exceeded",
        "cause: the user went away",
        "tidied up",
    ];
    assert_eq!(output("context_cancel"), expected);
}

#[test]
fn errgroup() {
    let expected = [
        "downloads: Err(\"mirror 3 refuses\")",
        "told to the others: mirror 3 refuses",
        "lengths: Ok([2, 4, 11])",
        "lengths: Err(\"an empty word\")",
    ];
    assert_eq!(output("errgroup"), expected);
}

#[test]
fn select_timeout() {
    let lines = output("select_timeout");
    assert_eq!(lines.len(), 6);
    for line in &lines[..3] {
        // A machine that is busy enough may make even the quick server late.
        assert!(
            line.starts_with("a quick server, ")
                && (line.ends_with(": pong") || line.ends_with(": no answer"))
        );
    }
    assert!(
        lines[3..].iter().all(|line| line.starts_with("a slow server, ") && line.ends_with(": no answer"))
    );
}

#[test]
fn fan_in() {
    let expected =
        ["Lima: 5 measurements, sum 15", "Oslo: 3 measurements, sum 6", "Perth: 2 measurements, sum 3"];
    assert_eq!(output("fan_in"), expected);
}

#[test]
fn fan_out() {
    assert_eq!(output("fan_out"), ["10000 numbers, the longest way is that of 6171: 261 steps"]);
}

#[test]
fn counter() {
    assert_eq!(output("counter"), ["mutex: 10000", "atomic: 10000", "channel: 10000"]);
}

#[test]
fn leak_fixed() {
    assert_eq!(output("leak_fixed"), ["5 answers", "0 goroutines have leaked"]);
}

#[test]
fn single_flight() {
    // On a busy machine a visitor may come so late that the page is made once more, but not for each.
    let made: Vec<u32> = output("single_flight")
        .iter()
        .map(|line| line.split(' ').nth_back(3).unwrap().parse().unwrap())
        .collect();
    assert!(matches!(made[..], [first, second] if first < 5 && second - first < 5), "{made:?}");
}

#[test]
fn echo() {
    let lines = output("echo");
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "100 clients, 5000 round trips, 118500 bytes each way: all came back");
    assert!(lines[1].contains("round trips per second"), "{lines:?}");
}

#[test]
fn chat() {
    let expected = [
        "Ann hears: * Ann has come",
        "Bob hears: * Bob has come",
        "Ann hears: * Bob has come",
        "Ann hears: Ann: hello, Bob",
        "Bob hears: Ann: hello, Bob",
        "Ann hears: * Eve has come",
        "Bob hears: * Eve has come",
        "Eve hears: * Eve has come",
        "Ann hears: Bob: hello, all",
        "Bob hears: Bob: hello, all",
        "Eve hears: Bob: hello, all",
        "Bob hears: * Ann has left",
        "Eve hears: * Ann has left",
    ];
    assert_eq!(output("chat"), expected);
}
