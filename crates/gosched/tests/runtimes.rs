//! Runtimes: side by side, one after the other, found by their handles.
#![allow(non_snake_case)]

mod common;

use common::{Child, bounded, is_child, modes, panic_text, proc_status, text};
use gosched::runtime::Handle;
use gosched::{Runtime, chan, current, go, go_async, num_goroutine, wait, yield_now};
use std::panic::{catch_unwind, resume_unwind};
use std::thread;

#[test]
fn two_runtimes_talk_over_a_channel() {
    for (first, second) in modes().into_iter().zip(modes().into_iter().rev()) {
        bounded(move || {
            let (ask, asked) = chan::bounded(0);
            let (answer, answered) = chan::bounded(0);
            let server = second.runtime.handle().go(move || {
                for n in asked {
                    answer.send((n * 2, current().id())).unwrap();
                }
            });
            first.runtime.run(|| {
                for n in 0..200 {
                    ask.send(n).unwrap();
                    let (twice, id) = answered.recv().unwrap();
                    assert_eq!(twice, n * 2);
                    assert_ne!(id, current().id());
                }
            });
            drop(ask);
            server.join().unwrap();
        });
    }
}

#[test]
fn a_handle_may_be_used_on_both_sides_of_a_panic() {
    for mode in modes() {
        let runtime = mode.runtime;
        let handle = runtime.handle();
        // They compile without `AssertUnwindSafe`, and leave the runtime as it was.
        let on_it = catch_unwind(|| runtime.run(|| resume_unwind(Box::new("main's"))));
        assert_eq!(text(&*on_it.unwrap_err()), "main's");
        let while_used = catch_unwind(|| {
            let _here = handle.enter();
            handle.go(|| ()).join().unwrap();
            resume_unwind(Box::new("the thread's"))
        });
        assert_eq!(text(&*while_used.unwrap_err()), "the thread's");
        assert!(Handle::try_current().is_none());
        drop(runtime);
        let refused = catch_unwind(|| handle.go(|| ()));
        assert!(text(&*refused.unwrap_err()).contains("has been shut down"));
    }
}

#[test]
fn thousands_of_short_runtimes_leave_no_threads_and_no_memory() {
    if !is_child() {
        let test = "thousands_of_short_runtimes_leave_no_threads_and_no_memory";
        return drop(Child::new(test).passes());
    }
    let once = |i: usize| {
        assert_eq!(gosched::run(|| go(move || i).join().unwrap()), i);
    };
    (0..200).for_each(once);
    let (threads, rss) = (proc_status("Threads:"), proc_status("VmRSS:"));
    (0..3000).for_each(once);
    let (threads_after, rss_after) = (proc_status("Threads:"), proc_status("VmRSS:"));
    assert!(threads_after <= threads + 8, "{threads} threads before, {threads_after} after");
    assert!(rss_after <= rss + 8 * 1024, "{rss} KiB before, {rss_after} KiB after");
}

#[test]
fn runtimes_with_parked_goroutines_left_behind_cost_what_those_cost() {
    if !is_child() {
        return drop(Child::new("runtimes_with_parked_goroutines_left_behind_cost_what_those_cost").passes());
    }
    // Each leaves a goroutine on a stack, whose home thread stays, and serves the next runtime.
    let (_never, rx) = chan::bounded::<()>(0);
    let once = || {
        let rx = rx.clone();
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime.run(move || {
            drop(go(move || rx.recv()));
            yield_now();
        });
    };
    (0..20).for_each(|_| once());
    let threads = proc_status("Threads:");
    (0..500).for_each(|_| once());
    // Where a goroutine is a thread, each of those left behind keeps its own.
    let kept = if common::goroutines_are_threads() { 500 } else { 0 };
    let after = proc_status("Threads:");
    assert!(after <= threads + kept + 4, "{threads} threads before, {after}");
}

#[test]
fn many_runtimes_at_once() {
    bounded(|| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                thread::spawn(move || {
                    for i in 0..50 {
                        assert_eq!(gosched::run(|| go(move || t + i).join().unwrap()), t + i);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn handles_enter_and_tell_where_one_is() {
    for mode in modes() {
        bounded(move || {
            assert!(Handle::try_current().is_none());
            assert!(panic_text(Handle::current).contains("entered no runtime"));
            let other = Runtime::builder().workers(1).build().unwrap();
            let (handle, inner) = (mode.runtime.handle(), other.handle());
            {
                let outer = handle.enter();
                let _inner = inner.enter();
                assert_eq!(num_goroutine(), 0);
                // Out of order: the innermost stays.
                drop(outer);
                let (tx, rx) = chan::bounded::<()>(0);
                let waits = go(move || rx.recv());
                assert_eq!(format!("{inner:?}"), "Handle { goroutines: 1 }");
                assert_eq!(format!("{handle:?}"), "Handle { goroutines: 0 }");
                drop(tx);
                let _ = waits.join().unwrap();
                // Inside a goroutine its own runtime comes first.
                let entered = inner.clone();
                let seen = handle.go(move || {
                    let _entered = entered.enter();
                    (num_goroutine(), go(|| format!("{:?}", Handle::current())).join().unwrap())
                });
                let (count, seen) = seen.join().unwrap();
                assert!(count >= 1);
                assert!(seen.starts_with("Handle { goroutines: 2"), "{seen}");
            }
            assert!(Handle::try_current().is_none());
        });
    }
}

#[test]
fn goroutines_of_plain_threads_go_to_the_default_runtime() {
    bounded(|| {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                thread::spawn(move || {
                    (go(move || i).join().unwrap(), wait(go_async(async move { i })).unwrap())
                })
            })
            .collect();
        for (i, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), (i, i));
        }
        // In the default runtime one is in a runtime.
        assert!(go(|| num_goroutine() >= 1 && Handle::try_current().is_some()).join().unwrap());
        // It exists by now, so it cannot be configured any more.
        let error = Runtime::builder().workers(1).build_global().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn build_global_configures_the_default_runtime() {
    if !is_child() {
        return drop(Child::new("build_global_configures_the_default_runtime").passes());
    }
    Runtime::builder().workers(1).name("mine").build_global().unwrap();
    let name = go(|| std::fs::read_to_string("/proc/thread-self/comm").unwrap()).join().unwrap();
    // A goroutine that is a thread has a name of its own, of which the system keeps 15 bytes.
    assert_eq!(name.trim(), if common::goroutines_are_threads() { "gosched-gorouti" } else { "mine-0" });
}

#[test]
fn run_inside_a_goroutine_panics_and_says_what_to_use() {
    for mode in modes() {
        bounded(move || {
            let inner = Runtime::builder().workers(1).build().unwrap();
            let said = mode.runtime.run(move || {
                let in_stackless = go_async(async { panic_text(|| gosched::run(|| ())) });
                [
                    panic_text(|| gosched::run(|| ())),
                    panic_text(|| inner.run(|| ())),
                    gosched::no_suspend(|| panic_text(|| gosched::run(|| ()))),
                    in_stackless.join().unwrap(),
                ]
            });
            for said in said {
                assert!(
                    said.contains("was called inside a goroutine") && said.contains("gosched::go"),
                    "{said}"
                );
            }
            // On a thread of `blocking` one is outside.
            let other = Runtime::builder().workers(1).build().unwrap();
            assert_eq!(other.run(|| gosched::blocking(|| gosched::run(|| 5))), 5);
        });
    }
}
