//! Tests of the overflow report: each lets a child process die and reads what it left.

use super::*;
use crate::fiber::stack::{DEFAULT_SIZE, MAIN_SIZE};
use corosensei::Coroutine;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Marks the process that [`last_words`] starts.
const CHILD: &str = "GOSCHED_TEST_CHILD";

/// The tests for children kill their process: with `--include-ignored` they do nothing.
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs an ignored test of this file in a process of its own, which must die of `signal`; returns what it
/// wrote to standard error.
fn last_words(test: &str, signal: c_int) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("fiber::overflow::tests::{test}"), "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(signal), "{test}: {}\n{text}", output.status);
    text
}

/// Eats the stack it runs on.
fn recurse(depth: usize) -> usize {
    let frame = black_box([depth as u8; 512]);
    if depth == usize::MAX { 0 } else { recurse(black_box(depth + 1)) + usize::from(frame[depth % 512]) }
}

fn overflow_coroutine(size: usize) {
    let stack = stack::acquire(size).unwrap();
    let mut coroutine = Coroutine::with_stack(stack, |_: &corosensei::Yielder<(), ()>, ()| recurse(0));
    coroutine.resume(());
}

fn describe(detail: Detail, sink: &mut dyn FnMut(&[u8])) {
    match detail {
        Detail::Subject => {
            sink(b"goroutine 18 \"");
            sink(b"name\"");
        }
        Detail::Origin => sink(b"src/main.rs:12:5"),
    }
}

const HELP: &str = "help: give it a larger one with goroutine::Builder::stack_size, or box large locals\n";

#[test]
fn an_overflow_is_reported_with_the_goroutine_and_aborts() {
    let text = last_words("child_described", libc::SIGABRT);
    let expected = format!(
        "gosched: goroutine 18 \"name\" overflowed its stack of 256 KiB\ncreated at src/main.rs:12:5\n{HELP}"
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
#[ignore = "run by an_overflow_is_reported_with_the_goroutine_and_aborts"]
fn child_described() {
    if !is_child() {
        return;
    }
    install();
    install();
    set_describer(describe);
    ensure_alt_stack().unwrap();
    overflow_coroutine(DEFAULT_SIZE);
}

#[test]
fn without_a_describer_the_report_has_no_names() {
    let text = last_words("child_nameless", libc::SIGABRT);
    let expected = format!("gosched: a goroutine overflowed its stack of 8 MiB\n{HELP}");
    assert!(text.contains(&expected), "{text}");
}

#[test]
#[ignore = "run by without_a_describer_the_report_has_no_names"]
fn child_nameless() {
    if !is_child() {
        return;
    }
    install();
    ensure_alt_stack().unwrap();
    overflow_coroutine(MAIN_SIZE);
}

#[test]
fn a_description_longer_than_the_buffer_is_complete() {
    let text = last_words("child_long", libc::SIGABRT);
    let expected = format!("gosched: {} overflowed its stack of 16 KiB\n{HELP}", "0123456789".repeat(100));
    assert!(text.contains(&expected), "{text}");
}

#[test]
#[ignore = "run by a_description_longer_than_the_buffer_is_complete"]
fn child_long() {
    if !is_child() {
        return;
    }
    install();
    set_describer(|detail, sink| {
        if detail == Detail::Subject {
            (0..100).for_each(|_| sink(b"0123456789"));
        }
    });
    ensure_alt_stack().unwrap();
    overflow_coroutine(stack::MIN_SIZE);
}

#[test]
fn two_overflows_at_once_make_one_report() {
    let text = last_words("child_two", libc::SIGABRT);
    assert_eq!(text.matches("overflowed its stack").count(), 1, "{text}");
}

#[test]
#[ignore = "run by two_overflows_at_once_make_one_report"]
fn child_two() {
    if !is_child() {
        return;
    }
    install();
    let barrier = std::sync::Barrier::new(2);
    let overflow = || {
        ensure_alt_stack().unwrap();
        barrier.wait();
        overflow_coroutine(DEFAULT_SIZE);
    };
    std::thread::scope(|scope| {
        scope.spawn(overflow);
        scope.spawn(overflow);
    });
}

#[test]
fn other_signals_wait_for_the_report() {
    let text = last_words("child_interrupted", libc::SIGABRT);
    assert!(text.contains("a goroutine overflowed its stack of 256 KiB"), "{text}");
}

/// Room that a handler may well need, on a signal stack of std's size.
extern "C" fn on_other_signal(_: c_int) {
    black_box([0u8; 1024]);
}

#[test]
#[ignore = "run by other_signals_wait_for_the_report"]
fn child_interrupted() {
    if !is_child() {
        return;
    }
    install();
    ensure_alt_stack().unwrap();
    // SAFETY: all zero is a valid action; the handler has the right form, and does nothing.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = on_other_signal as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGURG, &action, ptr::null_mut()), 0);
    }
    let (process, thread) = (std::process::id(), crate::sys::threads::os_id());
    std::thread::spawn(move || {
        loop {
            // SAFETY: sends a signal that does nothing.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGURG) };
        }
    });
    overflow_coroutine(DEFAULT_SIZE);
}

#[test]
fn a_thread_without_a_signal_stack_gets_one() {
    let text = last_words("child_own_signal_stack", libc::SIGABRT);
    assert!(text.contains("a goroutine overflowed its stack of 256 KiB"), "{text}");
}

fn take_signal_stack_away() {
    let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: no handler runs; the thread goes on without a signal stack.
    assert_eq!(unsafe { libc::sigaltstack(&none, ptr::null_mut()) }, 0);
}

#[test]
#[ignore = "run by a_thread_without_a_signal_stack_gets_one"]
fn child_own_signal_stack() {
    if !is_child() {
        return;
    }
    install();
    take_signal_stack_away();
    ensure_alt_stack().unwrap();
    overflow_coroutine(DEFAULT_SIZE);
}

#[test]
fn a_small_signal_stack_is_replaced_and_a_large_one_is_not() {
    let thread = std::thread::spawn(|| {
        assert!(current_alt_stack().unwrap().ss_size < enough(), "std's has room for one handler");
        ensure_alt_stack().unwrap();
        let ours = current_alt_stack().unwrap();
        assert!(ours.ss_size >= enough());
        ensure_alt_stack().unwrap();
        assert_eq!(current_alt_stack().unwrap().ss_sp, ours.ss_sp, "it is large enough");
    });
    thread.join().unwrap();
}

#[test]
fn our_signal_stack_ends_with_its_thread() {
    let (base, len) = std::thread::spawn(|| {
        take_signal_stack_away();
        ensure_alt_stack().unwrap();
        let first = current_alt_stack().unwrap();
        ensure_alt_stack().unwrap();
        assert_eq!(current_alt_stack().unwrap().ss_sp, first.ss_sp, "one is enough");
        assert!(first.ss_size >= 64 << 10);
        // Somebody takes it away behind our back: a new one takes its place, the old one is freed.
        take_signal_stack_away();
        ensure_alt_stack().unwrap();
        let second = current_alt_stack().unwrap();
        assert_eq!(second.ss_flags & libc::SS_DISABLE, 0);
        (second.ss_sp.addr(), second.ss_size)
    })
    .join()
    .unwrap();
    // Another thread's mapping may have taken the place, but hardly with our guard page below it.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ours = format!("{base:x}-{:x} rw", base + len);
    assert!(!maps.lines().any(|line| line.contains(&ours)), "{maps}");
}

#[test]
fn faults_elsewhere_go_to_the_handler_before_us() {
    let text = last_words("child_thread_overflow", libc::SIGABRT);
    assert!(text.contains("has overflowed its stack"), "std's report: {text}");
    assert!(!text.contains("gosched"), "{text}");
    assert!(!last_words("child_null", libc::SIGSEGV).contains("gosched"));
    assert!(!last_words("child_default", libc::SIGSEGV).contains("gosched"));
    assert!(!last_words("child_killed", libc::SIGSEGV).contains("gosched"));
}

#[test]
#[ignore = "run by faults_elsewhere_go_to_the_handler_before_us"]
fn child_thread_overflow() {
    if !is_child() {
        return;
    }
    install();
    std::thread::spawn(|| recurse(0)).join().unwrap();
}

fn fault() {
    // SAFETY: none; this is the fault that the test is about, which ends the process.
    unsafe { black_box(ptr::without_provenance_mut::<u8>(8)).write_volatile(1) };
}

#[test]
#[ignore = "run by faults_elsewhere_go_to_the_handler_before_us"]
fn child_null() {
    if !is_child() {
        return;
    }
    install();
    fault();
}

#[test]
#[ignore = "run by faults_elsewhere_go_to_the_handler_before_us"]
fn child_default() {
    if !is_child() {
        return;
    }
    // SAFETY: the default action needs nothing.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    install();
    fault();
}

#[test]
#[ignore = "run by faults_elsewhere_go_to_the_handler_before_us"]
fn child_killed() {
    if !is_child() {
        return;
    }
    // SAFETY: as above; kill to ourselves.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        install();
        libc::kill(libc::getpid(), libc::SIGSEGV);
    }
    std::thread::sleep(std::time::Duration::from_secs(5));
}

#[test]
fn an_ignored_signal_stays_ignored_but_a_fault_kills() {
    let text = last_words("child_ignored", libc::SIGSEGV);
    assert!(text.contains("survived the kill"), "{text}");
}

#[test]
#[ignore = "run by an_ignored_signal_stays_ignored_but_a_fault_kills"]
fn child_ignored() {
    if !is_child() {
        return;
    }
    // SAFETY: ignoring a signal needs nothing; raise delivers to this thread before it returns.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_IGN);
        install();
        libc::raise(libc::SIGSEGV);
    }
    eprintln!("survived the kill");
    fault();
}
