//! Programs in which all goroutines sleep and nobody can know whether something will wake them: one warning.

use super::{Test, masked, program, result};
use gosched::chan::bounded;
use gosched::{go, wait};
use std::future::poll_fn;
use std::task::Poll;
use std::thread;
use std::time::Duration;

pub(super) const TESTS: &[Test] = &[
    ("D03_another_thread_stays_for_long", is_warned_of_a_thread, other_thread),
    ("D03_a_future_of_another_library_stays_for_long", is_warned_of_a_future, other_future),
];

/// Longer than it takes until there is a warning.
const LONG: Duration = Duration::from_millis(1600);

fn warning(of: &str) -> String {
    format!(
        "gosched: all goroutines have been asleep for 1s; only {of} could still wake one. If that will not happen this is a \
         deadlock, and gosched::debug::ignore_thread() makes it known. (This is said once.)\n\n"
    )
}

fn is_warned_of_a_thread(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!(code, Some(0), "{err}");
    let rest = err.strip_prefix(&warning("1 other thread")).unwrap_or_else(|| panic!("{err}"));
    let dump = "goroutine 1 \"main\" [chan receive]:\nwaits at\n\twarned.rs:N\nmain of a runtime, created at\n\twarned.rs:N\n\n\
                goroutine 2 [chan send]:\nwaits at\n\twarned.rs:N\ncreated by go in goroutine 1\n\twarned.rs:N\n";
    assert_eq!(masked(rest), dump, "\n{err}");
}

fn is_warned_of_a_future(test: &str) {
    let (code, err) = result(&program(test).output());
    assert_eq!(code, Some(0), "{err}");
    assert!(err.starts_with(&warning("1 other thread, or 1 future of other libraries")), "{err}");
    assert_eq!(err.matches("gosched:").count(), 2, "the other one is the advice: {err}");
}

#[gosched::main]
fn other_thread() {
    let (tx, rx) = bounded::<u8>(0);
    let (full, nobody) = bounded(0);
    let sends = go(move || full.send(()));
    let thread = thread::spawn(move || {
        for n in 0..3 {
            thread::sleep(LONG);
            tx.send(n).unwrap();
        }
    });
    for n in 0..3 {
        assert_eq!(rx.recv(), Ok(n));
    }
    thread.join().unwrap();
    drop(nobody);
    assert!(sends.join().unwrap().is_err());
}

#[gosched::main]
fn other_future() {
    let mut polled = false;
    wait(poll_fn(move |cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        let waker = cx.waker().clone();
        thread::spawn(move || {
            thread::sleep(LONG);
            waker.wake();
        });
        Poll::Pending
    }));
}
