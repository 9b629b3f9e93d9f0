//! `signal_context` (FEATURES X24), in processes of their own: signals are the whole process's.
#![cfg(all(not(loom), unix))]
#![allow(non_snake_case)]

mod common;

use common::{Child, is_child};
use gosched::context::{ContextError, SignalReceived, background, signal_context};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// Sends a signal to this very thread: it has been handled, in one way or the other, when this returns.
fn raise(signal: i32) {
    // SAFETY: no requirement.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

#[test]
fn X24_a_signal_ends_the_context_and_is_its_cause() {
    if !is_child() {
        Child::new("X24_a_signal_ends_the_context_and_is_its_cause").passes();
        return;
    }
    let texts = [(libc::SIGINT, "interrupt signal received"), (libc::SIGTERM, "terminated signal received")];
    for (signal, text) in texts {
        let ctx = signal_context(&background()).unwrap();
        let (child, other) = (ctx.with_value(1).with_cancel(), signal_context(&background()).unwrap());
        assert_eq!(ctx.err(), None);
        raise(signal);
        assert!(child.done().recv().is_err());
        assert_eq!(child.err(), Some(ContextError::Canceled));
        assert_eq!(child.cause().unwrap().to_string(), text);
        assert_eq!(ctx.cause().unwrap().downcast_ref::<SignalReceived>().unwrap().signal(), signal);
        assert!(other.done().recv().is_err(), "everybody who listens is told");
    }
}

#[test]
fn X24_it_works_from_goroutines() {
    if !is_child() {
        Child::new("X24_it_works_from_goroutines").passes();
        return;
    }
    gosched::run(|| {
        let ctx = signal_context(&background()).unwrap();
        let seen = ctx.clone();
        let waiter = gosched::go(move || seen.wait(std::future::pending::<()>()));
        raise(libc::SIGINT);
        assert_eq!(waiter.join().unwrap(), Err(ContextError::Canceled));
    });
}

#[test]
fn X24_the_parent_and_the_owner_end_it_too() {
    if !is_child() {
        Child::new("X24_the_parent_and_the_owner_end_it_too").passes();
        return;
    }
    let parent = background().with_cancel();
    let by_parent = signal_context(&parent).unwrap();
    let by_owner = signal_context(&parent).unwrap();
    by_owner.cancel_cause("enough");
    assert_eq!((by_owner.cause().unwrap().to_string(), by_parent.err()), ("enough".to_owned(), None));
    parent.cancel();
    assert_eq!(by_parent.err(), Some(ContextError::Canceled));
    assert!(by_parent.cause().unwrap().downcast_ref::<SignalReceived>().is_none());
    // Its parent has ended it, its owner has not: a signal still does not end the process.
    raise(libc::SIGTERM);
    drop(by_parent);
}

#[test]
fn X24_a_second_signal_is_held_off_until_the_owner_goes() {
    if !is_child() {
        Child::new("X24_a_second_signal_is_held_off_until_the_owner_goes").passes();
        return;
    }
    let ctx = signal_context(&background()).unwrap();
    for _ in 0..3 {
        raise(libc::SIGINT);
        assert!(ctx.done().recv().is_err());
    }
    let late = signal_context(&background()).unwrap();
    drop(ctx);
    raise(libc::SIGINT);
    assert!(late.done().recv().is_err());
}

/// Runs a child that is expected to die of `signal`.
fn dies_of(test: &str, signal: i32) {
    let output = Child::new(test).output();
    assert_eq!(output.status.signal(), Some(signal), "{output:?}");
}

#[test]
fn X24_after_the_last_owner_a_signal_ends_the_process() {
    if !is_child() {
        return dies_of("X24_after_the_last_owner_a_signal_ends_the_process", libc::SIGINT);
    }
    let ctx = signal_context(&background()).unwrap();
    raise(libc::SIGINT);
    assert!(ctx.done().recv().is_err());
    drop(ctx);
    raise(libc::SIGINT);
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
fn X24_cancelling_stops_listening_like_dropping() {
    if !is_child() {
        return dies_of("X24_cancelling_stops_listening_like_dropping", libc::SIGTERM);
    }
    let ctx = signal_context(&background()).unwrap();
    ctx.cancel();
    raise(libc::SIGTERM);
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
fn X24_a_detached_one_listens_for_ever() {
    if !is_child() {
        Child::new("X24_a_detached_one_listens_for_ever").passes();
        return;
    }
    let ctx = signal_context(&background()).unwrap().detach();
    let stop = ctx.after_func(|| {});
    raise(libc::SIGINT);
    assert!(ctx.done().recv().is_err());
    assert!(!stop.stop());
    drop(ctx);
    raise(libc::SIGTERM);
}
