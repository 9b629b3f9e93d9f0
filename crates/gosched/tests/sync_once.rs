//! `sync::{Once, OnceCell, LazyLock, once_func, once_value}` (FEATURES Y01, Y21, Y22).
#![cfg(not(loom))]
#![allow(non_snake_case)]

use gosched::sync::{LazyLock, Once, OnceCell, WaitGroup, once_func, once_value};
use std::convert::Infallible;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::thread;

mod common;
use common::{block_on, bounded, eventually, everywhere, panic_text, poll_once, text};

// ---- Once -----------------------------------------------------------------------------------------------

#[test]
fn Y01_all_of_them_are_const() {
    static ONCE: Once = Once::new();
    static CELL: OnceCell<u32> = OnceCell::new();
    static LAZY: LazyLock<u32> = LazyLock::new(|| 3);
    ONCE.call_once(|| assert_eq!(*CELL.get_or_init(|| *LAZY - 1), 2));
    assert!(ONCE.is_completed());
    assert_eq!((CELL.get(), LazyLock::get(&LAZY)), (Some(&2), Some(&3)));
}

#[test]
fn Y21_exactly_one_call_and_all_callers_wait_until_it_has_finished() {
    everywhere(|| {
        let once = Arc::new(Once::new());
        let (runs, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let call = {
            let (once, runs, finished) = (once.clone(), runs.clone(), finished.clone());
            move || {
                once.call_once(|| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    // Long enough for others to come, and it blocks the goroutine meanwhile.
                    gosched::time::sleep(std::time::Duration::from_millis(2));
                    finished.store(true, Ordering::Relaxed);
                });
                assert!(finished.load(Ordering::Relaxed), "it returned too early");
            }
        };
        let wg = WaitGroup::new();
        for _ in 0..10 {
            wg.go(call.clone());
        }
        let task = gosched::go_async({
            let (once, runs, finished) = (once.clone(), runs.clone(), finished.clone());
            async move {
                once.call_once_async(|| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    finished.store(true, Ordering::Relaxed);
                })
                .await;
                assert!(finished.load(Ordering::Relaxed));
            }
        });
        let plain = thread::spawn(call);
        wg.wait();
        task.join().unwrap();
        gosched::blocking(move || plain.join().unwrap());
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn Y21_a_panic_counts_as_done() {
    let once = Once::new();
    let message = panic_text(|| once.call_once(|| panic!("first")));
    assert_eq!(message, "first");
    assert!(once.is_completed());
    once.call_once(|| panic!("it ran again"));
    block_on(once.call_once_async(|| panic!("it ran again")));
    let once = Once::new();
    assert_eq!(panic_text(|| block_on(once.call_once_async(|| panic!("first")))), "first");
    once.call_once(|| panic!("it ran again"));
}

#[test]
fn Y21_a_panic_lets_the_waiters_go() {
    everywhere(|| {
        let once = Arc::new(Once::new());
        let (tx, rx) = gosched::chan::bounded::<()>(0);
        let first = gosched::go({
            let once = once.clone();
            move || {
                once.call_once(|| {
                    let _ = rx.recv();
                    panic!("on purpose");
                });
            }
        });
        eventually("it runs", || format!("{once:?}").contains("InProgress"));
        let wg = WaitGroup::new();
        for _ in 0..5 {
            let once = once.clone();
            wg.go(move || once.call_once(|| unreachable!("a panic counts as done")));
        }
        gosched::yield_now();
        drop(tx);
        assert_eq!(text(&*first.join().unwrap_err()), "on purpose");
        wg.wait();
    });
}

#[test]
fn Y21_goexit_counts_as_done() {
    everywhere(|| {
        let once = Arc::new(Once::new());
        let other = once.clone();
        let child = gosched::go(move || other.call_once(|| gosched::goexit()));
        assert!(child.join().is_err());
        once.call_once(|| unreachable!("it ran again"));
    });
}

#[test]
fn Y21_a_call_inside_the_call_waits_for_itself() {
    let once = Once::new();
    once.call_once(|| {
        let mut inner = pin!(once.call_once_async(|| unreachable!("it ran again")));
        assert!(poll_once(inner.as_mut()).is_pending());
    });
    assert!(once.is_completed());
}

#[test]
fn a_once_tells_its_state() {
    let once = Once::default();
    assert_eq!(format!("{once:?}"), "Once { state: New }");
    once.call_once(|| assert_eq!(format!("{once:?}"), "Once { state: InProgress }"));
    assert_eq!(format!("{once:?}"), "Once { state: Done }");
}

#[test]
fn a_call_that_is_not_polled_runs_nothing() {
    let once = Once::new();
    drop(once.call_once_async(|| unreachable!("nobody polled it")));
    assert!(!once.is_completed());
    let mut call = pin!(once.call_once_async(|| ()));
    assert!(poll_once(call.as_mut()).is_ready());
    assert!(panic_text(|| poll_once(call.as_mut())).contains("polled after it was ready"));
}

// ---- OnceCell -------------------------------------------------------------------------------------------

#[test]
fn a_cell_is_set_once_and_gives_back_what_comes_late() {
    let mut cell = OnceCell::new();
    assert_eq!(cell.get(), None);
    assert_eq!(cell.get_mut(), None);
    assert_eq!(format!("{cell:?}"), "OnceCell(<uninit>)");
    assert_eq!(cell.set("a".to_owned()), Ok(()));
    assert_eq!(cell.set("b".to_owned()), Err("b".to_owned()));
    assert_eq!(cell.get_or_init(|| unreachable!("it is set")), "a");
    cell.get_mut().unwrap().push('!');
    assert_eq!(cell, OnceCell::from("a!".to_owned()));
    assert_eq!(cell.clone().into_inner().as_deref(), Some("a!"));
    assert_eq!(cell.take().as_deref(), Some("a!"));
    assert_eq!(cell.get(), None);
    assert_eq!(cell.take(), None);
    assert_eq!(cell.set("c".to_owned()), Ok(()), "a cell that was emptied may be set again");
    assert_eq!(format!("{cell:?}"), "OnceCell(\"c\")");
}

#[test]
fn a_cell_drops_its_value_once() {
    let value = Arc::new(());
    let cell = OnceCell::from(value.clone());
    assert_eq!(Arc::strong_count(&value), 2);
    drop(cell);
    let mut cell = OnceCell::new();
    cell.set(value.clone()).unwrap();
    drop(cell.take());
    assert_eq!(Arc::strong_count(&value), 1);
    drop(cell);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn an_initialisation_that_fails_or_panics_leaves_the_cell_empty() {
    let cell = OnceCell::new();
    assert_eq!(cell.get_or_try_init(|| Err::<u32, _>("no")), Err("no"));
    assert_eq!(panic_text(|| cell.get_or_init(|| panic!("never"))), "never");
    assert_eq!(block_on(cell.get_or_try_init_async(|| ready(Err::<u32, _>("no")))), Err("no"));
    assert_eq!(panic_text(|| block_on(cell.get_or_init_async(|| async { panic!("async") }))), "async");
    let no_future = || -> std::future::Ready<u32> { panic!("no future") };
    assert_eq!(panic_text(|| block_on(cell.get_or_init_async(no_future))), "no future");
    assert_eq!(cell.get(), None);
    assert_eq!(*cell.get_or_init(|| 5), 5);
    assert_eq!(cell.get_or_try_init(|| Err::<u32, _>("no")), Ok(&5));
    assert_eq!(block_on(cell.get_or_init_async(|| ready(6))), &5);
}

#[test]
fn one_initialises_and_all_get_its_value() {
    everywhere(|| {
        let cell = Arc::new(OnceCell::new());
        let runs = Arc::new(AtomicUsize::new(0));
        let get = {
            let (cell, runs) = (cell.clone(), runs.clone());
            move || {
                *cell.get_or_init(|| {
                    gosched::time::sleep(std::time::Duration::from_millis(1));
                    runs.fetch_add(1, Ordering::Relaxed)
                })
            }
        };
        let children: Vec<_> = (0..8).map(|_| gosched::go(get.clone())).collect();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (cell, runs) = (cell.clone(), runs.clone());
                gosched::go_async(async move {
                    *cell.get_or_init_async(|| async { runs.fetch_add(1, Ordering::Relaxed) }).await
                })
            })
            .collect();
        let plain = thread::spawn(get);
        for child in children.into_iter().chain(tasks) {
            assert_eq!(child.join().unwrap(), 0);
        }
        assert_eq!(gosched::blocking(move || plain.join().unwrap()), 0);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_dropped_initialisation_lets_a_waiter_take_over() {
    let cell = OnceCell::new();
    let mut first = Box::pin(cell.get_or_init_async(pending::<u32>));
    assert!(poll_once(first.as_mut()).is_pending());
    let mut second = Box::pin(cell.get_or_init_async(pending));
    let mut third = pin!(cell.get_or_init_async(|| ready(3)));
    assert!(poll_once(second.as_mut()).is_pending());
    assert!(poll_once(third.as_mut()).is_pending());
    drop(first);
    assert!(poll_once(second.as_mut()).is_pending(), "now its own runs");
    assert!(poll_once(third.as_mut()).is_pending());
    drop(second);
    assert_eq!(poll_once(third.as_mut()), Poll::Ready(&3));
    assert!(panic_text(|| poll_once(third.as_mut())).contains("polled after it was ready"));
}

#[test]
fn a_dropped_initialisation_drops_its_future_before_the_next_begins() {
    struct Mark(Arc<AtomicBool>);
    impl Drop for Mark {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (cell, gone) = (OnceCell::new(), Arc::new(AtomicBool::new(false)));
    let mark = Mark(gone.clone());
    let mut first = Box::pin(cell.get_or_init_async(|| async move {
        let _mark = mark;
        pending::<u32>().await
    }));
    assert!(poll_once(first.as_mut()).is_pending());
    thread::scope(|s| {
        let waiter = s.spawn(|| *cell.get_or_init(|| u32::from(gone.load(Ordering::Relaxed))));
        drop(first);
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

#[test]
fn initialisations_dropped_failed_and_panicking_by_the_thousand() {
    bounded(|| {
        for round in 0..200 {
            let cell = Arc::new(OnceCell::new());
            let (wins, given) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let threads: Vec<_> = (0..4)
                .map(|k: usize| {
                    let (cell, wins, given) = (cell.clone(), wins.clone(), given.clone());
                    thread::spawn(move || {
                        for i in 0..10 {
                            match (i + k + round) % 5 {
                                0 => {
                                    let init = cell.get_or_init_async(|| async {
                                        gosched::yield_now();
                                        pending::<Arc<AtomicUsize>>().await
                                    });
                                    let mut init = pin!(init);
                                    for _ in 0..i % 3 {
                                        if poll_once(init.as_mut()).is_ready() {
                                            break;
                                        }
                                        thread::yield_now();
                                    }
                                }
                                1 => _ = cell.get_or_try_init(|| Err::<_, ()>(())),
                                2 => _ = catch_unwind(AssertUnwindSafe(|| _ = cell.get_or_init(resume))),
                                3 => _ = block_on(cell.get_or_try_init_async(|| ready(Err::<_, ()>(())))),
                                _ if i < 8 => {}
                                _ => {
                                    cell.get_or_init(|| {
                                        wins.fetch_add(1, Ordering::Relaxed);
                                        given.clone()
                                    });
                                }
                            }
                        }
                        // In the end everybody insists.
                        cell.get_or_init(|| {
                            wins.fetch_add(1, Ordering::Relaxed);
                            given.clone()
                        });
                    })
                })
                .collect();
            for t in threads {
                t.join().unwrap();
            }
            assert_eq!(wins.load(Ordering::Relaxed), 1);
            assert!(Arc::ptr_eq(cell.get().unwrap(), &given));
            drop(cell);
            assert_eq!(Arc::strong_count(&given), 1);
        }
    });
}

/// A panic without the hook's output.
fn resume() -> Arc<AtomicUsize> {
    std::panic::resume_unwind(Box::new("on purpose"))
}

// ---- LazyLock, once_func, once_value ---------------------------------------------------------------------

#[test]
fn Y22_the_function_runs_once_for_goroutines_threads_and_tasks() {
    everywhere(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        let lazy = Arc::new(LazyLock::new(move || {
            gosched::time::sleep(std::time::Duration::from_millis(1));
            counter.fetch_add(1, Ordering::Relaxed) + 40
        }));
        let children: Vec<_> = (0..8)
            .map(|k| {
                let lazy = lazy.clone();
                match k % 2 {
                    0 => gosched::go(move || **lazy),
                    _ => gosched::go_async(async move { *LazyLock::force_async(&lazy).await }),
                }
            })
            .collect();
        for child in children {
            assert_eq!(child.join().unwrap(), 40);
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn Y22_every_later_call_panics_again_with_the_same_value() {
    let count = Arc::new(AtomicUsize::new(0));
    let runs = count.clone();
    let f = once_func(move || {
        runs.fetch_add(1, Ordering::Relaxed);
        panic!("x");
    });
    let payloads: Vec<_> = (0..3).map(|_| catch_unwind(AssertUnwindSafe(&f)).unwrap_err()).collect();
    assert!(payloads.iter().all(|p| p.downcast_ref::<&str>() == Some(&"x")));
    assert_eq!(count.load(Ordering::Relaxed), 1);

    let value = once_value(|| -> u8 { panic!("code {}", std::hint::black_box(7)) });
    let payloads: Vec<_> = (0..3).map(|_| catch_unwind(AssertUnwindSafe(&value)).unwrap_err()).collect();
    assert!(payloads.iter().all(|p| p.downcast_ref::<String>().is_some_and(|text| text == "code 7")));
}

#[test]
fn Y22_a_payload_that_is_no_text_reaches_the_first_caller() {
    let f = once_func(|| std::panic::panic_any(42u8));
    let first = catch_unwind(AssertUnwindSafe(&f)).unwrap_err();
    assert_eq!(first.downcast_ref::<u8>(), Some(&42));
    assert!(panic_text(&f).contains("no text"));
}

#[test]
fn Y22_a_lazy_lock_follows_the_same_rule() {
    let lazy: LazyLock<u8> = LazyLock::new(|| panic!("no value"));
    assert_eq!(panic_text(|| *lazy), "no value");
    assert_eq!(panic_text(|| *LazyLock::force(&lazy)), "no value");
    assert_eq!(panic_text(|| *block_on(LazyLock::force_async(&lazy))), "no value");
    assert_eq!(LazyLock::get(&lazy), None);
    assert_eq!(format!("{lazy:?}"), "LazyLock(<panicked>)");
}

#[test]
fn Y22_the_function_and_its_captures_are_released_after_the_call() {
    fn held(panics: bool) -> (impl Fn() -> u8 + Clone + Send + Sync, Weak<()>) {
        let capture = Arc::new(());
        let weak = Arc::downgrade(&capture);
        let f = once_value(move || {
            assert_eq!(Arc::strong_count(&capture), 1);
            if panics { std::panic::resume_unwind(Box::new("on purpose")) } else { 1 }
        });
        (f, weak)
    }
    let (f, weak) = held(false);
    assert!(weak.upgrade().is_some());
    assert_eq!(f(), 1);
    assert!(weak.upgrade().is_none(), "the captures are still there");
    assert_eq!(f.clone()(), 1);
    let (f, weak) = held(true);
    assert!(catch_unwind(AssertUnwindSafe(&f)).is_err());
    assert!(weak.upgrade().is_none(), "the captures are still there after a panic");
    // One that is never called is dropped with the last clone.
    let (f, weak) = held(false);
    drop(f.clone());
    assert!(weak.upgrade().is_some());
    drop(f);
    assert!(weak.upgrade().is_none());
}

#[test]
fn Y22_goexit_is_not_called_twice() {
    everywhere(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        let f = once_func(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            gosched::goexit();
        });
        let first = gosched::go(f.clone());
        assert!(first.join().unwrap_err().is::<gosched::goroutine::Goexit>());
        assert!(panic_text(&f).contains("goexit"));
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn Y22_those_that_wait_for_a_call_that_panics_panic_too() {
    everywhere(|| {
        let (tx, rx) = gosched::chan::bounded::<Infallible>(0);
        let started = Arc::new(AtomicBool::new(false));
        let begun = started.clone();
        let f = once_func(move || {
            begun.store(true, Ordering::Relaxed);
            let _ = rx.recv();
            panic!("for all");
        });
        let first = gosched::go(f.clone());
        eventually("it runs", || started.load(Ordering::Relaxed));
        let others: Vec<_> = (0..5).map(|_| gosched::go(f.clone())).collect();
        gosched::yield_now();
        drop(tx);
        for child in others.into_iter().chain([first]) {
            assert_eq!(text(&*child.join().unwrap_err()), "for all");
        }
    });
}

#[test]
fn a_lazy_lock_shows_what_it_has() {
    let lazy: LazyLock<Vec<u8>> = LazyLock::default();
    assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
    assert_eq!(LazyLock::get(&lazy), None);
    assert!(lazy.is_empty());
    assert_eq!(format!("{lazy:?}"), "LazyLock([])");
    let mut force = pin!(LazyLock::force_async(&lazy));
    assert!(poll_once(force.as_mut()).is_ready());
    assert!(panic_text(|| poll_once(force.as_mut()).is_ready()).contains("polled after it was ready"));
}
