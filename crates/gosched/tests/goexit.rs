//! `goexit` (FEATURES G08 to G10).
#![allow(non_snake_case)]

mod common;

use common::values::flag;
use common::{Child, bounded, everywhere, is_child, panic_text, stderr};
use gosched::goroutine::Goexit;
use gosched::sync::WaitGroup;
use gosched::{go, go_async, goexit, num_goroutine, yield_now};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn G08_goexit_runs_destructors_and_is_no_panic_for_join() {
    everywhere(|| {
        let (local, raised) = flag();
        let ended = go(move || {
            let _local = local;
            yield_now();
            goexit();
        })
        .join()
        .unwrap_err();
        assert_eq!(ended.downcast_ref::<Goexit>(), Some(&Goexit));
        assert!(raised.load(Ordering::SeqCst));
    });
}

#[test]
fn G08_goexit_of_a_stackless_goroutine() {
    everywhere(|| {
        let handle = go_async(async {
            gosched::time::sleep_async(Duration::from_millis(1)).await;
            goexit();
        });
        assert!(handle.join().unwrap_err().is::<Goexit>());
    });
}

#[test]
fn G08_goexit_of_a_child_ends_that_child_only() {
    everywhere(|| {
        // Y20: the wait group counts it as done.
        let wg = WaitGroup::new();
        wg.go(|| goexit());
        wg.wait();
        // A scope is not ended by a child that ends itself: it is not a panic.
        let after = gosched::scope(|s| {
            s.go(|| goexit());
            1
        });
        assert_eq!(after, 1);
        let joined = gosched::scope(|s| s.go(|| goexit()).join());
        assert!(joined.unwrap_err().is::<Goexit>());
    });
}

#[test]
fn G08_goexit_prints_nothing() {
    if is_child() {
        gosched::run(|| {
            drop(go(|| goexit()));
            assert!(go(|| goexit()).join().is_err());
            common::eventually("they have ended", || num_goroutine() == 1);
        });
        return;
    }
    let output = Child::new("G08_goexit_prints_nothing").passes();
    assert_eq!(stderr(&output), "");
}

#[test]
fn G09_goexit_of_main_lets_the_others_end() {
    for mode in common::modes() {
        bounded(move || {
            let done = Arc::new(AtomicUsize::new(0));
            let counted = done.clone();
            let said = panic_text(move || {
                mode.runtime.run(move || {
                    for i in 0..10 {
                        let done = counted.clone();
                        drop(go(move || {
                            gosched::time::sleep(Duration::from_millis(i));
                            done.fetch_add(1, Ordering::SeqCst);
                        }));
                    }
                    goexit();
                })
            });
            assert!(said.contains("no goroutines (main called gosched::goexit)"), "{said}");
            assert_eq!(done.load(Ordering::SeqCst), 10);
        });
    }
}

#[test]
fn G10_a_panic_in_a_destructor_caught_there_does_not_cancel_goexit() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(catch_unwind(|| resume_unwind(Box::new("inner"))).is_err());
        }
    }
    everywhere(|| {
        let ended = go(|| {
            let _panics = Panics;
            goexit();
        })
        .join()
        .unwrap_err();
        assert!(ended.is::<Goexit>());
    });
}
