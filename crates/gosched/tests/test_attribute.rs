//! `#[gosched::test]`: tests that run inside a runtime of their own, and what makes them fail.
//!
//! Those that fail are ignored, and run by another test in a process of its own.
#![allow(non_snake_case)]

mod common;

use common::{Child, stderr};
use gosched::{chan, go, go_async, num_goroutine, time};
use std::future::pending;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[gosched::test]
fn a_plain_test_runs_in_a_goroutine() {
    assert_ne!(gosched::current().id(), 0);
    assert_eq!(num_goroutine(), 1);
    assert_eq!(go(|| 7).join().unwrap(), 7);
}

#[gosched::test(workers = 1)]
async fn an_async_test_awaits() {
    let (tx, rx) = chan::bounded(0);
    go(move || tx.send(7).unwrap());
    assert_eq!(rx.recv_async().await, Ok(7));
}

#[gosched::test(timeout = 100 * SECOND, name = "another", leak_check = true)]
fn a_test_may_return_a_result() -> Result<(), chan::RecvError> {
    let (tx, rx) = chan::bounded(1);
    tx.send(7).unwrap();
    assert_eq!(rx.recv()?, 7);
    let name = gosched::debug::goroutines().into_iter().find(|info| info.id == gosched::current().id());
    assert_eq!(name.unwrap().runtime.as_deref(), Some("another"));
    Ok(())
}

#[gosched::test]
async fn an_async_test_may_return_an_error_that_is_not_Send() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!("7".parse::<u8>()?, 7);
    let me =
        gosched::debug::goroutines().into_iter().find(|info| info.id == gosched::current().id()).unwrap();
    assert_eq!(me.runtime.as_deref(), Some("an_async_test_may_return_an_error_that_is_not_Send"));
    Ok(())
}

#[gosched::test]
#[should_panic(expected = "as it should")]
fn a_test_may_be_expected_to_panic() {
    panic!("as it should");
}

#[gosched::test]
#[should_panic(expected = "found unexpected goroutines")]
fn a_goroutine_that_is_left_makes_a_test_fail() {
    go_async(pending::<()>());
}

#[gosched::test(leak_check = false)]
fn goroutines_may_be_left_if_the_test_says_so() {
    go_async(pending::<()>());
}

#[gosched::test]
fn goroutines_that_are_about_to_end_are_not_left() {
    go(|| time::sleep(Duration::from_millis(5)));
}

#[gosched::test(timeout = 2 * SECOND)]
#[ignore = "it fails, as another test expects"]
fn takes_too_long() {
    let (_tx, rx) = chan::bounded::<u8>(0);
    let _ = rx.recv();
}

#[gosched::test]
#[ignore = "it fails, as another test expects"]
fn returns_an_error() -> Result<(), String> {
    go_async(pending::<()>());
    Err("what went wrong".into())
}

#[test]
fn L02_a_test_that_takes_too_long_fails_and_tells_what_all_goroutines_do() {
    let output = Child::new("takes_too_long").output();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(output.status.code(), Some(101), "{out}\n{err}");
    assert!(out.contains("0 passed; 1 failed"), "{out}");
    assert!(err.contains("test timed out after 2s\n\ngoroutine "), "{err}");
    assert!(err.contains(" \"main\" [chan receive]:\n") && err.contains("tests/test_attribute.rs:"), "{err}");
}

#[test]
fn L03_a_test_that_fails_anyway_is_not_checked_for_leaks() {
    let output = Child::new("returns_an_error").output();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(output.status.code(), Some(101), "{out}\n{err}");
    assert!(out.contains("0 passed; 1 failed"), "{out}");
    assert!(format!("{out}{err}").contains("Error: \"what went wrong\""), "{out}\n{err}");
    assert!(!format!("{out}{err}").contains("unexpected goroutines"), "{out}\n{err}");
}
