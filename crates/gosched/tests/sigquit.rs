//! A program that is told to quit says what its goroutines do: row U14 of the features.
#![allow(non_snake_case)]

mod common;

use common::{Child, HOUR, bounded, eventually, is_child, stderr};
use gosched::{Runtime, WaitReason, debug, go, time};
use std::os::unix::process::ExitStatusExt as _;
use std::thread;

/// Sends the signal to this process, and waits for what comes of it.
fn quit() -> ! {
    // SAFETY: no requirements.
    unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
    loop {
        thread::park();
    }
}

#[test]
fn U14_SIGQUIT_prints_all_goroutines_and_exits_with_2() {
    if is_child() {
        // Twice is once.
        debug::on_sigquit().unwrap();
        debug::on_sigquit().unwrap();
        bounded(|| {
            Runtime::builder().workers(1).build().unwrap().run(|| {
                let sleeper = go(|| time::sleep(HOUR));
                let waits =
                    |info: &debug::GoroutineInfo| info.state.to_string() == WaitReason::Sleep.to_string();
                eventually("it sleeps", || {
                    debug::goroutines().iter().any(|info| info.id == sleeper.id() && waits(info))
                });
                // The only worker is stuck: it comes all the same.
                quit()
            })
        })
    }
    let output = Child::new("U14_SIGQUIT_prints_all_goroutines_and_exits_with_2").output();
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.starts_with("SIGQUIT: quit\n\ngoroutine "), "{err}");
    assert!(err.contains(" \"main\" [running]:\n"), "{err}");
    assert!(err.contains(" [sleep]:\n") && err.contains("tests/sigquit.rs:"), "{err}");
}

#[test]
fn U14_without_being_asked_for_SIGQUIT_does_what_it_does() {
    if is_child() {
        // SAFETY: no requirement; a core file would only fill the disk.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        quit();
    }
    let output = Child::new("U14_without_being_asked_for_SIGQUIT_does_what_it_does").output();
    assert_eq!(output.status.signal(), Some(libc::SIGQUIT), "{}", stderr(&output));
}
