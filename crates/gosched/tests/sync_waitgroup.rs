//! `sync::WaitGroup` (FEATURES Y17 to Y20, M10, N01, N02).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{Child, MS, eventually, everywhere, is_child, poll_once};
use gosched::sync::{WaitGroup, WaitGroupFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};

fn panic_of(f: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(match payload.downcast::<&'static str>() {
        Ok(text) => text.to_string(),
        Err(payload) => *payload.downcast::<String>().unwrap(),
    })
}

fn queued(wg: &WaitGroup) -> Pin<Box<WaitGroupFuture<'_>>> {
    let mut wait = Box::pin(wg.wait_async());
    assert!(poll_once(wait.as_mut()).is_pending());
    wait
}

#[test]
fn Y01_default_is_zero() {
    let wg = WaitGroup::default();
    wg.wait();
    assert_eq!(format!("{wg:?}"), "WaitGroup { count: 0, waiting: 0 }");
}

#[test]
fn Y17_a_negative_counter_panics_with_Gos_text() {
    let wg = WaitGroup::new();
    let text = "sync: negative WaitGroup counter";
    assert_eq!(panic_of(|| wg.done()).as_deref(), Some(text));
    wg.add(1);
    wg.done();
    assert_eq!(panic_of(|| wg.done()).as_deref(), Some(text));
    wg.wait();
}

#[test]
fn Y17_an_overflow_panics_and_changes_nothing() {
    let wg = WaitGroup::new();
    wg.add(1);
    for n in [usize::MAX, usize::MAX / 2, usize::MAX / 2 + 1] {
        assert_eq!(panic_of(|| wg.add(n)).as_deref(), Some("sync: WaitGroup counter overflow"));
    }
    wg.done();
    wg.wait();
}

#[test]
fn Y18_the_next_round_may_begin_before_the_last_ones_waiters_have_run() {
    let wg = WaitGroup::new();
    wg.add(1);
    let mut first = queued(&wg);
    wg.done();
    wg.add(1);
    let mut second = queued(&wg);
    assert!(poll_once(first.as_mut()).is_ready(), "its zero has been");
    assert!(poll_once(second.as_mut()).is_pending(), "its zero has not");
    wg.done();
    assert!(poll_once(second.as_mut()).is_ready());
}

#[test]
fn Y19_all_waiters_are_released_at_zero() {
    let wg = WaitGroup::new();
    let done = AtomicBool::new(false);
    wg.add(2);
    thread::scope(|s| {
        for _ in 0..10 {
            s.spawn(|| {
                wg.wait();
                assert!(done.load(Ordering::Relaxed));
            });
        }
        sleep(5 * MS);
        wg.done();
        sleep(5 * MS);
        done.store(true, Ordering::Relaxed);
        wg.done();
    });
    wg.wait();
}

#[test]
fn M10_what_children_did_is_seen_after_wait() {
    for _ in 0..200 {
        let wg = WaitGroup::new();
        let cells: Arc<[AtomicUsize; 4]> = Arc::default();
        for i in 0..4 {
            let cells = cells.clone();
            wg.go(move || cells[i].store(i + 1, Ordering::Relaxed));
        }
        wg.wait();
        for (i, cell) in cells.iter().enumerate() {
            assert_eq!(cell.load(Ordering::Relaxed), i + 1);
        }
    }
}

#[test]
fn Y19_reuse_in_many_rounds_with_several_waiters() {
    let (wg, sum) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
    for round in 1..=300 {
        wg.add(3);
        for _ in 0..3 {
            let (wg, sum) = (wg.clone(), sum.clone());
            thread::spawn(move || {
                sum.fetch_add(1, Ordering::Relaxed);
                wg.done();
            });
        }
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    wg.wait();
                    assert_eq!(sum.load(Ordering::Relaxed), 3 * round);
                });
            }
        });
    }
}

#[test]
fn Y20_go_counts_before_it_starts_and_when_it_ends() {
    let wg = WaitGroup::new();
    let (gate, ran) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..5 {
        let (gate, ran) = (gate.clone(), ran.clone());
        wg.go(move || {
            while !gate.load(Ordering::Acquire) {
                sleep(MS);
            }
            ran.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert_eq!(format!("{wg:?}"), "WaitGroup { count: 5, waiting: 0 }");
    gate.store(true, Ordering::Release);
    wg.wait();
    assert_eq!(ran.load(Ordering::Relaxed), 5);
}

#[test]
fn Y20_a_panic_reaches_the_waiter_after_all_children_have_finished() {
    let wg = WaitGroup::new();
    let slow_done = Arc::new(AtomicBool::new(false));
    wg.go({
        let slow_done = slow_done.clone();
        move || {
            sleep(30 * MS);
            slow_done.store(true, Ordering::Relaxed);
        }
    });
    wg.go(|| std::panic::resume_unwind(Box::new("the child's own payload")));
    assert_eq!(panic_of(|| wg.wait()).as_deref(), Some("the child's own payload"));
    assert!(slow_done.load(Ordering::Relaxed), "the wait did not end early");
    wg.wait();
    wg.go(|| {});
    wg.wait();
}

#[test]
fn Y20_of_several_panics_the_first_is_kept_and_one_waiter_gets_it() {
    let wg = WaitGroup::new();
    wg.go(|| std::panic::resume_unwind(Box::new("first")));
    while !format!("{wg:?}").contains("count: 0") {
        sleep(MS);
    }
    wg.add(1);
    wg.go(|| std::panic::resume_unwind(Box::new("second")));
    let texts: Vec<_> = thread::scope(|s| {
        let waiters: Vec<_> = (0..3).map(|_| s.spawn(|| panic_of(|| wg.wait()))).collect();
        sleep(5 * MS);
        wg.done();
        waiters.into_iter().filter_map(|w| w.join().unwrap()).collect()
    });
    assert_eq!(texts, ["first"]);
}

#[test]
fn Y20_a_panic_reaches_an_async_waiter() {
    let wg = WaitGroup::new();
    wg.go(|| std::panic::resume_unwind(Box::new("to await")));
    assert_eq!(panic_of(|| gosched::wait(wg.wait_async())).as_deref(), Some("to await"));
}

#[test]
fn Y20_a_waiter_that_unwinds_is_not_given_a_second_panic() {
    struct WaitInDrop(WaitGroup);
    impl Drop for WaitInDrop {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    let wg = WaitGroup::new();
    wg.go(|| std::panic::resume_unwind(Box::new("the child's")));
    let text = panic_of(|| {
        let _guard = WaitInDrop(wg.clone());
        std::panic::resume_unwind(Box::new("the waiter's own"));
    });
    assert_eq!(text.as_deref(), Some("the waiter's own"));
    assert_eq!(panic_of(|| wg.wait()).as_deref(), Some("the child's"), "it is still there for the next");
}

#[test]
fn Y20_goexit_counts_down_and_is_no_panic() {
    let wg = WaitGroup::new();
    wg.go(|| gosched::goexit());
    wg.wait();
}

/// What a panic may carry: anything.
#[derive(Debug, PartialEq)]
struct Broken(u32);

#[test]
fn N01_wait_raises_the_first_panic_when_all_children_have_ended() {
    everywhere(|| {
        let (wg, ended) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        let gate = WaitGroup::new();
        gate.add(1);
        for n in 0..10 {
            let (ended, gate) = (ended.clone(), gate.clone());
            wg.go(move || {
                if n == 6 {
                    ended.fetch_add(1, Ordering::SeqCst);
                    std::panic::resume_unwind(Box::new(Broken(n)));
                }
                gate.wait();
                gosched::time::sleep(MS / 10 * n);
                ended.fetch_add(1, Ordering::SeqCst);
                if n % 2 == 0 {
                    std::panic::resume_unwind(Box::new(Broken(n)));
                }
            });
        }
        eventually("the first one has ended", || format!("{wg:?}").starts_with("WaitGroup { count: 9,"));
        gate.done();
        // `WaitAndRecover` is a wait whose panic is caught.
        let payload = catch_unwind(AssertUnwindSafe(|| wg.wait())).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&Broken(6)), "the value itself, not a text of it");
        assert_eq!(ended.load(Ordering::SeqCst), 10);
        // It was handed over, and the group is as new.
        wg.wait();
        wg.go(|| {});
        wg.wait();
    });
}

#[inline(never)]
fn the_culprit() {
    panic!("deep in a child");
}

#[test]
fn N01_the_report_shows_the_stack_of_the_child() {
    if !is_child() {
        let output =
            Child::new("N01_the_report_shows_the_stack_of_the_child").env("RUST_BACKTRACE", "1").passes();
        let said = common::stderr(&output);
        assert!(said.contains("deep in a child") && said.contains("sync_waitgroup.rs:"), "{said}");
        assert!(said.contains("the_culprit"), "the child's frames are not in it: {said}");
        return;
    }
    everywhere(|| {
        let wg = WaitGroup::new();
        wg.go(the_culprit);
        assert_eq!(panic_of(|| wg.wait()).as_deref(), Some("deep in a child"));
    });
}

#[test]
fn N02_a_panic_that_was_caught_is_a_value_and_is_raised_again_as_it_was() {
    everywhere(|| {
        // `Try`: a join, or `catch_unwind` where it happens. An error that was thrown is that error.
        let error = || std::io::Error::new(std::io::ErrorKind::NotFound, "no such gopher");
        let thrown = gosched::go::<_, ()>(move || std::panic::panic_any(error())).join().unwrap_err();
        let address: *const () = (&raw const *thrown).cast();
        // `Repanic`, across two goroutines more: neither copied nor put into a box of another type.
        let outer = gosched::go(move || {
            let wg = WaitGroup::new();
            wg.go(move || std::panic::resume_unwind(thrown));
            wg.wait();
        });
        let again = outer.join().unwrap_err();
        assert_eq!((&raw const *again).cast(), address);
        let error = again.downcast::<std::io::Error>().expect("what was thrown");
        assert_eq!(
            (error.kind(), error.to_string()),
            (std::io::ErrorKind::NotFound, "no such gopher".into())
        );
        // `Catcher`: of those that panic at the same time one is kept, whole.
        let wg = WaitGroup::new();
        (0..8).for_each(|n| wg.go(move || std::panic::resume_unwind(Box::new(Broken(n)))));
        let kept = catch_unwind(AssertUnwindSafe(|| wg.wait())).unwrap_err();
        assert!(kept.downcast::<Broken>().is_ok_and(|broken| broken.0 < 8));
        wg.wait();
    });
}

#[test]
fn a_dropped_wait_leaves_no_trace() {
    let wg = WaitGroup::new();
    wg.add(1);
    let (first, mut second) = (queued(&wg), queued(&wg));
    drop(first);
    assert_eq!(format!("{wg:?}"), "WaitGroup { count: 1, waiting: 1 }");
    wg.done();
    assert!(poll_once(second.as_mut()).is_ready());
    drop(queued_and_dropped(&wg));
    wg.wait();
}

/// All waiters give up, and the group is used on.
fn queued_and_dropped(wg: &WaitGroup) -> WaitGroup {
    wg.add(1);
    drop(queued(wg));
    wg.done();
    wg.add(1);
    wg.done();
    wg.clone()
}
