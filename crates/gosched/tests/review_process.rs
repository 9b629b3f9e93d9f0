//! What a review of the core found and what takes a process of its own to show: crashes, overflows, and programs
//! that the operating system gives too little.
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, is_child, limit_address_space, modes, panic_text, proc_status, stderr};
use gosched::goroutine::ShutDown;
use gosched::{JoinHandle, Runtime, chan, go, go_async, goroutine_local, num_goroutine, time};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A value whose destructor panics, quietly.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        resume_unwind(Box::new("of a goroutine-local value"));
    }
}

goroutine_local! {
    static PANICS: Panics = Panics;
}

/// Drops a runtime whose goroutines have such values and wait for the channel; returns their handles.
fn shut_down_with_panicking_locals(runtime: Runtime, rx: &chan::Receiver<u32>) -> Vec<JoinHandle<()>> {
    let started = Arc::new(AtomicUsize::new(0));
    let handles = runtime.run(|| {
        let start = |i| {
            let (rx, started) = (rx.clone(), started.clone());
            let starts = move || {
                started.fetch_add(1, Ordering::SeqCst);
            };
            match i % 4 {
                // On a stack: abandoned, with its values.
                0 => go(move || {
                    PANICS.with(|_| starts());
                    let _ = rx.recv();
                }),
                1 => go_async(async move {
                    starts();
                    let _ = rx.recv_async().await;
                }),
                2 => go_async(async move {
                    PANICS.with(|_| starts());
                    let _ = rx.recv_async().await;
                }),
                _ => go_async(async move {
                    PANICS.with(|_| starts());
                    pending::<()>().await;
                }),
            }
        };
        let handles: Vec<_> = (0..20).map(start).collect();
        common::eventually("all have started", || started.load(Ordering::SeqCst) == 20);
        time::sleep(Duration::from_millis(2));
        handles
    });
    let dropped = catch_unwind(AssertUnwindSafe(move || drop(runtime)));
    assert!(dropped.is_ok(), "the shutdown panics");
    handles
}

#[test]
fn G06_panicking_locals_do_not_stop_a_shutdown_halfway() {
    if !is_child() {
        return drop(Child::new("G06_panicking_locals_do_not_stop_a_shutdown_halfway").passes());
    }
    for _ in 0..5 {
        for mode in modes() {
            bounded(move || {
                let (tx, rx) = chan::bounded(1);
                let handles = shut_down_with_panicking_locals(mode.runtime, &rx);
                // What was freed is somebody else's now.
                let others: Vec<Vec<u8>> = (0..4000).map(|i| vec![0x41; 64 + (i * 8) % 2000]).collect();
                for handle in &handles {
                    assert!(handle.is_finished(), "{}", mode.name);
                }
                // Those on stacks still wait in the channel, and others do not: neither can be woken.
                (0..20).for_each(|i| {
                    let _ = tx.try_send(i);
                });
                for handle in handles {
                    assert!(handle.join().unwrap_err().is::<ShutDown>(), "{}", mode.name);
                }
                assert!(others.iter().flatten().all(|&byte| byte == 0x41));
            });
        }
    }
}

/// Starts a chain of goroutines, each of which waits for its left neighbour and holds the sender to its right one.
fn chain(runtime: &Runtime) -> (chan::Sender<()>, chan::Receiver<()>) {
    runtime.run(|| {
        let (first, mut left) = chan::bounded::<()>(0);
        for i in 0..100_000 {
            let (tx, right) = chan::bounded::<()>(0);
            let from = std::mem::replace(&mut left, right);
            drop(go_async(async move {
                while from.recv_async().await.is_ok() {
                    let _ = tx.send_async(()).await;
                }
            }));
            if i % 1024 == 0 {
                gosched::yield_now();
            }
        }
        (first, left)
    })
}

#[test]
fn a_shutdown_that_topples_a_chain_of_goroutines_needs_no_deep_stack() {
    if !is_child() {
        return drop(
            Child::new("a_shutdown_that_topples_a_chain_of_goroutines_needs_no_deep_stack").passes(),
        );
    }
    let builders: [fn() -> Runtime; 3] = [
        || Runtime::builder().workers(1).build().unwrap(),
        || Runtime::builder().workers(2).build().unwrap(),
        // SAFETY: nothing here is bound to a thread.
        || unsafe { Runtime::builder().workers(2).migrate() }.build().unwrap(),
    ];
    for (build, wait) in builders.into_iter().flat_map(|build| [(build, true), (build, false)]) {
        bounded(move || {
            let runtime = build();
            let ends = chain(&runtime);
            if wait {
                // All of them wait for their neighbours then; else many have not begun.
                std::thread::sleep(Duration::from_millis(300));
            }
            drop(runtime);
            drop(ends);
        });
    }
}

const MEBIBYTES: &str = "GOSCHED_TEST_MEBIBYTES";
const BUILT_BEFORE: &str = "GOSCHED_TEST_BUILT_BEFORE";

/// Runs something, with the limit set before or after the runtime is built, and says how that went.
fn run_with_little_memory(more: u64, built_before: bool) -> String {
    let builder = Runtime::builder().workers(1);
    let built = built_before.then(|| builder.clone().build());
    if let Some(Ok(runtime)) = &built {
        // A thread that starts maps more than it keeps: that must be over before anybody measures.
        runtime.handle().go_async(async {}).join().unwrap();
    }
    limit_address_space(proc_status("VmSize:") as u64 * 1024 + (more << 20));
    match built.unwrap_or_else(|| builder.build()) {
        Err(error) => format!("no runtime: {error}"),
        Ok(runtime) => match catch_unwind(AssertUnwindSafe(|| runtime.run(|| go(|| 5).join().unwrap()))) {
            Ok(five) => format!("ran: {five}"),
            Err(payload) => format!("no run: {}", common::text(&*payload)),
        },
    }
}

#[test]
#[ignore = "near the limit std itself aborts when a new thread gets no alternate signal stack"]
fn a_runtime_without_memory_for_stacks_says_so_and_does_not_hang() {
    const TEST: &str = "a_runtime_without_memory_for_stacks_says_so_and_does_not_hang";
    let of_environment = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    if is_child() {
        let (more, built_before) = (of_environment(MEBIBYTES), of_environment(BUILT_BEFORE) == 1);
        return bounded(move || println!("\nresult: {}", run_with_little_memory(more, built_before)));
    }
    let run = |more: u64, built_before| {
        let child = Child::new(TEST)
            .env("GOSCHED_OS_THREADS", "0")
            .env(MEBIBYTES, &more.to_string())
            .env(BUILT_BEFORE, built_before);
        let output = child.passes();
        let out = String::from_utf8_lossy(&output.stdout);
        let result = out.lines().find_map(|line| line.strip_prefix("result: "));
        result.expect("the child says how it went").to_owned()
    };
    // The stack of main does not fit: 8 MiB.
    for more in [1, 2, 4, 6] {
        let result = run(more, "1");
        assert!(result.starts_with("no run: cannot start the main goroutine: cannot"), "{more}: {result}");
        assert!(result.contains("goroutine stack"), "{more}: {result}");
    }
    // Whatever it is that does not fit, there is an answer, and each is one of these.
    for more in [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32, 64, 128] {
        let result = run(more, "0");
        let answers = ["no runtime: ", "no run: cannot start the main goroutine: cannot", "ran: 5"];
        assert!(answers.iter().any(|answer| result.starts_with(answer)), "{more}: {result}");
    }
    assert_eq!(run(4096, "0"), "ran: 5");
    assert_eq!(run(4096, "1"), "ran: 5");
}

#[test]
fn G06_panics_are_told_when_the_handle_goes_before_and_after_the_end() {
    if is_child() {
        gosched::run(|| {
            drop(go(|| panic!("before")));
            let handle = go(|| panic!("after"));
            common::eventually("it has ended", || handle.is_finished());
            drop(handle);
            drop(go_async(async { panic!("stackless, before") }));
            let handle = go_async(async { panic!("stackless, after") });
            common::eventually("it has ended", || handle.is_finished());
            drop(handle);
            let said = panic_text(|| {
                let handle = go(|| panic!("joined"));
                let Err(payload) = handle.join();
                resume_unwind(payload)
            });
            assert_eq!(said, "joined");
            common::eventually("only main is left", || num_goroutine() == 1);
        });
        return;
    }
    let output = Child::new("G06_panics_are_told_when_the_handle_goes_before_and_after_the_end").passes();
    let err = stderr(&output);
    for text in ["before", "after", "stackless, before", "stackless, after"] {
        assert_eq!(err.matches(&format!("nobody joined it: {text}\n")).count(), 1, "{text}: {err}");
    }
    assert_eq!(err.matches("nobody joined it").count(), 4, "{err}");
}
