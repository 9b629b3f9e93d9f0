//! A program that is told to quit says what its goroutines do: row U14 of the features.
#![allow(non_snake_case)]

mod common;

use common::{Child, HOUR, bounded, eventually, is_child, stacks_are_seen, stderr};
use gosched::debug::{self, GoroutineState};
use gosched::{Runtime, WaitReason, go, time};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Sends the signal to this process, and waits for what comes of it.
fn quit() -> ! {
    signal();
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

/// This test again in a process of its own, which must end by the signal with a whole dump and code 2.
#[track_caller]
fn quits_with_a_dump(test: &str) -> String {
    let output = Child::new(test).output();
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    // Others may write in between: the monitor, say.
    let dump = err.find("SIGQUIT: quit\n\n").map(|at| err[at..].to_owned());
    let dump = dump.unwrap_or_else(|| panic!("there is no dump:\n{err}"));
    assert!(dump.contains("\ngoroutine ") && !dump.contains("not waiting for the dump"), "{dump}");
    dump
}

fn signal() {
    // SAFETY: no requirements.
    unsafe { libc::kill(libc::getpid(), libc::SIGQUIT) };
}

/// Nobody waits for this one: it does not come back.
fn hog() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

#[test]
fn U14_main_handles_SIGQUIT_by_itself() {
    #[gosched::main(workers = 1)]
    fn program() {
        quit()
    }
    if is_child() {
        program();
    }
    let dump = quits_with_a_dump("U14_main_handles_SIGQUIT_by_itself");
    assert!(dump.contains(" \"main\" [running]:\n"), "{dump}");
}

#[test]
fn U14_an_async_main_handles_SIGQUIT_too() {
    #[gosched::main(workers = 1, sigquit = 1 + 1 == 2)]
    async fn program() {
        signal();
        time::sleep_async(HOUR).await;
    }
    if is_child() {
        program();
    }
    let dump = quits_with_a_dump("U14_an_async_main_handles_SIGQUIT_too");
    assert!(dump.contains(" \"main\" ["), "{dump}");
}

#[test]
fn U14_main_leaves_SIGQUIT_alone_when_told_to() {
    #[gosched::main(workers = 1, sigquit = false)]
    fn program() {
        quit()
    }
    if is_child() {
        no_core_file();
        program();
    }
    let output = Child::new("U14_main_leaves_SIGQUIT_alone_when_told_to").output();
    assert_eq!(output.status.signal(), Some(libc::SIGQUIT), "{}", stderr(&output));
}

#[test]
fn U14_SIGQUIT_works_when_all_workers_are_stuck() {
    if is_child() {
        debug::on_sigquit().unwrap();
        // As many threads as there may be, all of them stuck.
        let runtime = Runtime::builder().workers(2).max_threads(2).build().unwrap();
        let sleeper = runtime.handle().go(|| time::sleep(HOUR));
        eventually("it sleeps", || {
            debug::goroutines()
                .iter()
                .any(|info| info.id == sleeper.id() && info.state.to_string() == "sleep")
        });
        let hogs = [(); 3].map(|()| runtime.handle().go(|| hog()));
        let running =
            || debug::goroutines().iter().filter(|info| info.state == GoroutineState::Running).count();
        eventually("both workers are stuck", || running() == 2);
        drop(hogs);
        quit()
    }
    let dump = quits_with_a_dump("U14_SIGQUIT_works_when_all_workers_are_stuck");
    let headers = |state: &str| dump.matches(&format!(" [{state}]:\n")).count();
    assert_eq!((headers("running"), headers("runnable"), headers("sleep")), (2, 1, 1), "{dump}");
    assert!(dump.contains("tests/sigquit.rs:"), "{dump}");
}

#[test]
fn U14_SIGQUIT_works_while_locks_are_held() {
    if is_child() {
        debug::on_sigquit().unwrap();
        let runtime = Runtime::builder().workers(2).build().unwrap();
        // One that never lets go of standard error, and others that take and leave what a dump takes: the list of
        // goroutines, their names and labels, the stacks, the names of the calls, the loader's lock.
        let (tell, told) = mpsc::channel();
        let holder = tell.clone();
        runtime.handle().go(move || {
            let _stderr = std::io::stderr().lock();
            holder.send(()).unwrap();
            hog()
        });
        told.recv().unwrap();
        let churn = || loop {
            gosched::goroutine::set_labels([("a", "b")]);
            let child = gosched::goroutine::Builder::new().name("child").spawn(gosched::yield_now).unwrap();
            drop(debug::stacks());
            drop(std::backtrace::Backtrace::force_capture().to_string());
            child.join().unwrap();
        };
        for _ in 0..2 {
            let tell = tell.clone();
            runtime.handle().go(move || {
                tell.send(()).unwrap();
                churn()
            });
            told.recv().unwrap();
        }
        thread::spawn(|| {
            loop {
                drop(debug::stacks());
            }
        });
        quit()
    }
    for _ in 0..3 {
        let dump = quits_with_a_dump("U14_SIGQUIT_works_while_locks_are_held");
        assert!(
            dump.contains(" [running]:\n\tgoroutine running on other thread; stack unavailable\n"),
            "{dump}"
        );
    }
}

#[test]
fn U14_a_second_SIGQUIT_ends_a_process_that_cannot_be_dumped() {
    extern "C" fn hold(_: *mut libc::dl_phdr_info, _: usize, _: *mut libc::c_void) -> libc::c_int {
        signal();
        loop {
            thread::sleep(Duration::from_millis(50));
            signal();
        }
    }
    if is_child() {
        debug::on_sigquit().unwrap();
        Runtime::builder().workers(1).build().unwrap().run(|| {
            // A goroutine whose stack is to be looked at, which takes the loader's lock; and that one is held for ever.
            let sleeper = go(|| time::sleep(HOUR));
            eventually("it sleeps", || {
                debug::goroutines()
                    .iter()
                    .any(|info| info.id == sleeper.id() && info.state.to_string() == "sleep")
            });
            // SAFETY: the callback uses nothing it is given.
            unsafe { libc::dl_iterate_phdr(Some(hold), std::ptr::null_mut()) };
        });
    }
    let output = Child::new("U14_a_second_SIGQUIT_ends_a_process_that_cannot_be_dumped").output();
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    // With a thread for each goroutine there is nothing to look at, and nothing that takes the lock.
    if stacks_are_seen() {
        assert_eq!(err, "SIGQUIT: quit\n\ngosched: not waiting for the dump any longer\n");
    }
}

fn no_core_file() {
    // SAFETY: no requirement; a core file would only fill the disk.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
}

#[test]
fn U14_without_being_asked_for_SIGQUIT_does_what_it_does() {
    if is_child() {
        no_core_file();
        quit();
    }
    let output = Child::new("U14_without_being_asked_for_SIGQUIT_does_what_it_does").output();
    assert_eq!(output.status.signal(), Some(libc::SIGQUIT), "{}", stderr(&output));
}
