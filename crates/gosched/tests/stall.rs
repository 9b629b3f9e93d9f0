//! Goroutines that others wait behind are told of (FEATURES G29 to G35: what cannot be helped is said).
#![allow(non_snake_case)]

mod common;

use common::own_stack::OwnStack;
use common::{Child, MS, PATIENCE, bounded, goroutines_are_threads, is_child, stderr};
use corosensei::{Coroutine, Yielder};
use gosched::debug::{StallCause, StallReport};
use gosched::runtime::Builder;
use gosched::{Runtime, chan, go, go_async};
use std::hint::black_box;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// After which time a stall is told of here.
const AFTER: Duration = Duration::from_millis(150);
/// So long that whoever stalls is still there when it is asked, also on a busy machine.
const LONG: Duration = Duration::from_millis(1500);
/// How many goroutines wait, all on one worker, unless the machine is so busy that another one stands in.
const COMPANIONS: usize = 8;

fn one_worker() -> Builder {
    Runtime::builder().workers(1).stall_report(Some(AFTER))
}

/// It has one where there are backtraces.
#[track_caller]
fn has_its_stack(report: &StallReport) {
    assert_eq!(report.culprit.stack.is_some(), has_backtraces(), "{report}");
}

/// Whether there are backtraces of what runs.
fn has_backtraces() -> bool {
    cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))
        && !goroutines_are_threads()
}

/// Goroutines on the caller's worker that wait for a message.
struct Companions(chan::Sender<()>);

impl Companions {
    fn start() -> Self {
        let ((tell, told), (tx, rx)) = (chan::unbounded(), chan::unbounded());
        for _ in 0..COMPANIONS {
            let (tell, rx) = (tell.clone(), rx.clone());
            drop(go(move || {
                tell.send(()).unwrap();
                while rx.recv().is_ok() {}
            }));
        }
        (0..COMPANIONS).for_each(|_| told.recv().unwrap());
        Self(tx)
    }

    /// From now on they could run.
    fn wake(&self) {
        (0..COMPANIONS).for_each(|_| self.0.send(()).unwrap());
    }
}

/// A runtime with one worker whose stalls come out of the channel.
fn reporting(builder: Builder) -> (Runtime, mpsc::Receiver<StallReport>) {
    let (tx, rx) = mpsc::channel();
    let tell = move |report: &StallReport| drop(tx.send(report.clone()));
    (builder.on_stall(tell).build().unwrap(), rx)
}

/// Runs `body` behind which goroutines wait, and which is told of so many times; returns what was told.
fn stalled(times: usize, body: impl FnOnce(&Companions) + Send + 'static) -> Vec<StallReport> {
    bounded(move || {
        let (runtime, reports) = reporting(one_worker());
        runtime.run(|| {
            let companions = Companions::start();
            companions.wake();
            body(&companions);
        });
        // The first one takes a while: it reads the program's names.
        let told: Vec<_> =
            (0..times).map(|_| reports.recv_timeout(PATIENCE / 3).expect("it is told")).collect();
        let more = reports.recv_timeout(AFTER);
        assert!(more.is_err(), "once more: {more:?}");
        told
    })
}

#[inline(never)]
fn computes(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        black_box(spins_a_while());
    }
}

#[inline(never)]
fn spins_a_while() -> u64 {
    (0..10_000).fold(0, |sum, i| black_box(sum + i))
}

#[inline(never)]
fn sleeps_on_its_thread(time: Duration) {
    thread::sleep(time);
    black_box(());
}

/// The report without what differs from run to run: numbers, and how long paths are; the calls by themselves.
fn masked(report: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut number = false;
    for c in report.chars() {
        if !c.is_ascii_digit() {
            text.push(c);
        } else if !number {
            text.push('N');
        }
        number = c.is_ascii_digit();
    }
    let text = text.replace("N goroutine waits", "N goroutines wait");
    let (head, rest) = text.split_once("[running]:\n").expect("there is a header");
    let (calls, tail) = rest.split_once("main of a runtime").expect("there is its origin");
    let calls = calls.lines().map(str::to_owned).collect();
    (format!("{head}[running]:\nCALLS\nmain of a runtime{tail}"), calls)
}

const TEXT: &str = "\
gosched: goroutine N \"main\" of runtime \"web\" has not come back to the scheduler for N.N s; N goroutines wait \
behind it, pinned to the same worker
goroutine N \"main\" [running]:
CALLS
main of a runtime, created at
\tcrates/gosched/tests/stall.rs:N
help: do what computes for long or blocks the thread in gosched::blocking, or build the runtime with Builder::migrate, \
where goroutines move to other workers
";

/// In a child: runs `body` and returns what is written to standard error until it ends with `end` for the `n`th time.
fn written(body: impl FnOnce(), end: &str, n: usize) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: descriptors of this process, which nobody else changes meanwhile.
    let old = unsafe { libc::dup(2) };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), 2) }, 2);
    let (tx, rx) = mpsc::channel();
    let end = end.to_owned();
    thread::spawn(move || {
        let (mut text, mut bytes) = (String::new(), [0; 4096]);
        while text.matches(&end).count() < n {
            let count = reader.read(&mut bytes).unwrap();
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        tx.send(text).unwrap();
    });
    body();
    let text = rx.recv_timeout(PATIENCE);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(old, 2) }, 2);
    text.expect("it is said in time")
}

/// In a child: what it says of a stall of `body` while others wait.
fn told_of(test: &str, body: fn()) -> Option<String> {
    if !is_child() {
        Child::new(test).passes();
        return None;
    }
    let run = || {
        one_worker().name("web").build().unwrap().run(|| {
            Companions::start().wake();
            body();
        });
    };
    Some(written(run, "to other workers\n", 1))
}

/// One report, of a stall in `function`.
fn names(text: &str, function: &str) {
    let (rest, calls) = masked(text);
    assert_eq!(rest, TEXT, "{text}");
    if has_backtraces() {
        let at = calls.iter().position(|call| call.ends_with(&format!("{function}(...)")));
        let at = at.unwrap_or_else(|| panic!("{function} is not named:\n{text}"));
        assert!(calls[at + 1].contains("tests/stall.rs:N"), "{text}");
        // The goroutine's own function is the outermost.
        let outermost = &calls[calls.len() - 2];
        assert!(outermost.contains("stall::told_of") && outermost.ends_with("{closure}}(...)"), "{text}");
    } else {
        assert_eq!(calls, ["\tgoroutine running on other thread; stack unavailable"]);
    }
}

#[test]
fn G29_a_goroutine_that_computes_is_told_of_with_the_function_it_is_in() {
    let name = "G29_a_goroutine_that_computes_is_told_of_with_the_function_it_is_in";
    if let Some(text) = told_of(name, || computes(LONG)) {
        names(&text, "::computes");
    }
}

#[test]
fn G34_a_goroutine_that_sleeps_on_its_thread_is_told_of_with_the_call_it_is_in() {
    let name = "G34_a_goroutine_that_sleeps_on_its_thread_is_told_of_with_the_call_it_is_in";
    if let Some(text) = told_of(name, || sleeps_on_its_thread(LONG)) {
        names(&text, "::sleeps_on_its_thread");
        assert!(!has_backtraces() || text.contains("std::thread::"), "{text}");
    }
}

#[test]
fn U20_a_program_that_blocks_the_signal_gets_a_report_without_a_backtrace() {
    let name = "U20_a_program_that_blocks_the_signal_gets_a_report_without_a_backtrace";
    let body = || {
        // SAFETY: a set of signals on this stack, and the mask of this thread.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGURG);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            computes(LONG);
            // What comes late is of no use any more, and harms nobody.
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        }
        computes(AFTER / 2);
    };
    if let Some(text) = told_of(name, body) {
        let (rest, calls) = masked(&text);
        assert_eq!(rest, TEXT, "{text}");
        assert_eq!(calls, ["\tgoroutine running on other thread; stack unavailable"]);
    }
}

static URGENT: AtomicUsize = AtomicUsize::new(0);

#[test]
fn U19_a_programs_own_handler_gets_its_signals_and_none_of_ours() {
    let name = "U19_a_programs_own_handler_gets_its_signals_and_none_of_ours";
    extern "C" fn count(_: libc::c_int) {
        URGENT.fetch_add(1, Ordering::SeqCst);
    }
    let raise = || {
        // SAFETY: no requirements.
        assert_eq!(unsafe { libc::raise(libc::SIGURG) }, 0);
        URGENT.load(Ordering::SeqCst)
    };
    if !is_child() {
        Child::new(name).passes();
        return;
    }
    // SAFETY: the handler has the form that is asked for, and is async-signal-safe.
    unsafe { libc::signal(libc::SIGURG, count as *const () as usize) };
    assert_eq!(raise(), 1);
    for _ in 0..2 {
        let reports = stalled(1, |_| computes(LONG));
        has_its_stack(&reports[0]);
    }
    assert_eq!(raise(), 2, "it got ours, or none of its own");
}

/// Needs a good part of the signal stack that std gives to threads.
extern "C" fn uses_stack(_: libc::c_int) {
    black_box([0u8; 2048]);
}

/// Goes on where the stack is used up to some depth, so that copying it takes a while.
#[inline(never)]
fn deep(depth: usize, f: &dyn Fn()) {
    let frame = black_box([depth as u8; 1024]);
    if depth == 0 {
        f()
    } else {
        deep(depth - 1, f)
    }
    black_box(&frame);
}

#[test]
fn U19_handlers_of_the_program_may_interrupt_ours_and_be_interrupted() {
    let name = "U19_handlers_of_the_program_may_interrupt_ours_and_be_interrupted";
    if !is_child() {
        Child::new(name).passes();
        return;
    }
    // SAFETY: all zero is a valid action; the handler has the right form, and is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = uses_stack as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGPROF, &action, std::ptr::null_mut()), 0);
    }
    let reports = stalled(1, |_| {
        // SAFETY: asks for a number.
        let (process, thread) = (std::process::id(), unsafe { libc::gettid() });
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: the thread is there until `over`.
                    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGPROF) };
                }
            });
            deep(100, &|| computes(LONG));
            over.store(true, Ordering::Relaxed);
        });
    });
    has_its_stack(&reports[0]);
}

#[test]
fn U19_programs_that_do_not_know_the_signal_may_get_it_from_others() {
    stalled(1, |_| computes(LONG));
    // SAFETY: no requirements.
    assert_eq!(unsafe { libc::raise(libc::SIGURG) }, 0);
}

#[test]
fn G34_what_is_interrupted_sleeps_and_reads_on() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let late = thread::spawn(move || {
        thread::sleep(8 * AFTER);
        writer.write_all(b"late").unwrap();
    });
    let reports = stalled(2, move |companions| {
        let begin = Instant::now();
        thread::sleep(LONG);
        assert!(begin.elapsed() >= LONG);
        gosched::yield_now();
        companions.wake();
        // One read: an interruption would be its error.
        let mut bytes = [0; 16];
        assert_eq!(reader.read(&mut bytes).map_err(|error| error.kind()), Ok(4));
        late.join().unwrap();
    });
    // In whatever order: each is told by a thread of its own.
    let in_call = |name: &str| reports.iter().filter(|report| report.to_string().contains(name)).count();
    assert!(
        !has_backtraces() || (in_call("::sleep(...)\n"), in_call("read(...)\n")) == (1, 1),
        "{reports:?}"
    );
}

#[test]
fn G29_a_stall_is_told_once_and_the_next_one_again() {
    let reports = stalled(2, |companions| {
        computes(LONG);
        gosched::yield_now();
        companions.wake();
        computes(LONG);
    });
    for report in &reports {
        assert_eq!((&*report.runtime, report.cause), ("gosched", StallCause::Pinned));
        assert_eq!(report.culprit.name.as_deref(), Some("main"));
        assert!(report.culprit.stackful && report.culprit.id > 0);
        assert!((1..=COMPANIONS).contains(&report.waiting), "{report}");
        assert!(report.stuck_for >= AFTER, "{report}");
        has_its_stack(report);
    }
}

#[test]
fn G29_a_future_whose_poll_does_not_return_is_told_of_too() {
    bounded(|| {
        let (runtime, reports) = reporting(one_worker());
        let id = runtime.run(|| {
            let companions = Companions::start();
            let handle = go_async(async move {
                companions.wake();
                computes(LONG);
            });
            let id = handle.id();
            handle.join().unwrap();
            id
        });
        let report = reports.recv_timeout(PATIENCE / 2).unwrap();
        assert_eq!((report.culprit.id, report.culprit.stackful), (id, false));
        let text = report.to_string();
        assert!(text.contains("created by go_async in goroutine"), "{text}");
        assert!(!has_backtraces() || text.contains("::computes(...)\n"), "{text}");
    });
}

#[test]
fn G29_what_runs_on_a_users_own_stack_is_told_of_by_its_innermost_call() {
    let reports = stalled(1, |_| {
        let body = |_: &Yielder<(), ()>, ()| computes(LONG);
        let mut own = Coroutine::with_stack(OwnStack::new(), body);
        own.resume(());
    });
    if let Some(calls) = &reports[0].culprit.stack {
        assert!(calls.to_string().ends_with("...additional frames elided...\n"), "{calls}");
    }
}

#[test]
fn G35_when_no_thread_is_left_somebody_is_named() {
    bounded(|| {
        let (runtime, reports) = reporting(one_worker().max_threads(2));
        // They wait though nothing is pinned.
        let started = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..5)
            .map(|_| {
                let started = started.clone();
                runtime.handle().go(move || {
                    if started.fetch_add(1, Ordering::SeqCst) < 2 {
                        sleeps_on_its_thread(LONG);
                    }
                })
            })
            .collect();
        let report = reports.recv_timeout(PATIENCE / 2).unwrap();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!((report.cause, report.waiting), (StallCause::OutOfThreads, 3), "{report}");
        let text = report.to_string();
        assert!(
            text.contains("3 goroutines wait for a thread, all of which are stuck like this one"),
            "{text}"
        );
        assert!(text.contains("or raise Builder::max_threads"), "{text}");
        assert!(!has_backtraces() || text.contains("::sleeps_on_its_thread(...)\n"), "{text}");
        assert!(reports.try_recv().is_err(), "once");
    });
}

#[test]
fn G34_who_comes_to_wait_late_while_all_else_sleeps_is_seen() {
    bounded(|| {
        let (runtime, reports) = reporting(one_worker());
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let handle = runtime.handle().go(move || {
            let companions = Companions::start();
            tell.send(companions).unwrap();
            // Nobody waits behind this.
            stopped.recv().unwrap();
        });
        let companions = told.recv().unwrap();
        // The monitor is asleep by then.
        thread::sleep(8 * AFTER);
        assert!(reports.try_recv().is_err(), "nobody waits");
        companions.wake();
        let report = reports.recv_timeout(PATIENCE / 2).unwrap();
        assert_eq!(report.cause, StallCause::Pinned);
        stop.send(()).unwrap();
        handle.join().unwrap();
    });
}

#[test]
fn G29_nobody_is_told_of_where_nobody_waits() {
    bounded(|| {
        // SAFETY: the goroutines of this test hold nothing that is bound to a thread.
        let migrating = unsafe { one_worker().migrate() };
        for (builder, wake) in [(one_worker(), false), (migrating, true)] {
            let (runtime, reports) = reporting(builder);
            runtime.run(|| {
                let companions = Companions::start();
                if wake {
                    companions.wake();
                }
                computes(3 * AFTER);
                gosched::yield_now();
                companions.wake();
                // Its worker is free meanwhile.
                gosched::blocking(|| thread::sleep(3 * AFTER));
                gosched::time::sleep(2 * AFTER);
            });
            assert_eq!(reports.try_iter().map(|report| report.to_string()).collect::<Vec<_>>(), [""; 0]);
        }
    });
}

#[test]
fn G29_a_process_that_was_stopped_has_not_stalled() {
    let name = "G29_a_process_that_was_stopped_has_not_stalled";
    if !is_child() {
        let text = stderr(&Child::new(name).passes());
        assert!(!text.contains("has not come back"), "{text}");
        return;
    }
    let child = std::process::id();
    // Stops us for longer than a stall takes, three times.
    let script =
        format!("for i in 1 2 3; do kill -STOP {child}; sleep 0.6; kill -CONT {child}; sleep 0.3; done");
    let mut stopper = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
    // Of one runtime goroutines wait for a thread all the time, ...
    let crowded = one_worker().stall_report(Some(500 * MS)).max_threads(1).build().unwrap();
    // Some 20 ms each, of processor time: the pause does not end them.
    let compute = || {
        (0..80).for_each(|_| {
            black_box(spins_a_while());
        })
    };
    let computers: Vec<_> = (0..100).map(|_| crowded.handle().go(compute)).collect();
    // ... of the other they wait for each other.
    let on = Arc::new(AtomicBool::new(true));
    one_worker().stall_report(Some(500 * MS)).build().unwrap().run(|| {
        let busy = || {
            let on = on.clone();
            go(move || {
                while on.load(Ordering::SeqCst) {
                    computes(MS);
                    gosched::yield_now();
                }
            })
        };
        let handles = [busy(), busy()];
        let status = gosched::blocking(|| stopper.wait().unwrap());
        assert!(status.success());
        on.store(false, Ordering::SeqCst);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
    computers.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn G29_a_hook_that_panics_is_told_of_and_called_again() {
    let name = "G29_a_hook_that_panics_is_told_of_and_called_again";
    if !is_child() {
        Child::new(name).passes();
        return;
    }
    let builder = one_worker().on_stall(|_| resume_unwind(Box::new("out of tea")));
    let run = || {
        builder.build().unwrap().run(|| {
            let companions = Companions::start();
            for _ in 0..2 {
                companions.wake();
                computes(LONG);
                gosched::yield_now();
            }
        });
    };
    let text = written(run, "to other workers\n", 2);
    let told = text.matches("gosched: the stall hook panicked: out of tea; it was called for:\n").count();
    assert_eq!(told, 2, "{text}");
}

#[test]
fn G29_the_environment_sets_the_time_and_the_program_has_the_last_word() {
    let name = "G29_the_environment_sets_the_time_and_the_program_has_the_last_word";
    if !is_child() {
        for value in ["0", "100", "soon"] {
            Child::new(name).env("GOSCHED_STALL_MS", value).passes();
        }
        return;
    }
    let new = || Runtime::builder().workers(1);
    if std::env::var("GOSCHED_STALL_MS").unwrap() == "soon" {
        let error = new().build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("GOSCHED_STALL_MS is \"soon\""), "{error}");
        assert!(new().stall_report(None).build().is_ok());
        return;
    }
    let stall = |builder: Builder| {
        builder.build().unwrap().run(|| {
            Companions::start().wake();
            computes(500 * MS);
        });
    };
    let is_off = std::env::var("GOSCHED_STALL_MS").unwrap() == "0";
    let (loud, quiet) =
        if is_off { (new().stall_report(Some(100 * MS)), new()) } else { (new(), new().stall_report(None)) };
    let both = || {
        stall(quiet);
        stall(loud.name("loud"));
    };
    let text = written(both, "to other workers\n", 1);
    assert_eq!(text.matches("has not come back to the scheduler").count(), 1, "{text}");
    assert!(text.contains("of runtime \"loud\""), "{text}");
}

#[test]
fn G06_the_destructor_of_a_hook_may_panic() {
    struct Dies;
    impl Drop for Dies {
        fn drop(&mut self) {
            if !thread::panicking() {
                resume_unwind(Box::new("boom"));
            }
        }
    }
    bounded(|| {
        let dies = Dies;
        let hook = move |_: &StallReport| {
            let _ = &dies;
        };
        let runtime = one_worker().on_stall(hook).build().unwrap();
        let handle = runtime.handle();
        assert_eq!(runtime.run(|| go(|| 1).join().unwrap()), 1);
        drop(runtime);
        drop(handle);
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}
