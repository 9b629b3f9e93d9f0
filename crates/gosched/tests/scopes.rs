//! `scope`: goroutines that borrow.
#![allow(non_snake_case)]

mod common;

use common::values::Counted;
use common::{bounded, everywhere, panic_text, text};
use gosched::{go, scope, yield_now};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn scope_lends_and_waits() {
    everywhere(|| {
        let mut parts = vec![0; 100];
        let total = AtomicUsize::new(0);
        let returned = scope(|s| {
            for (i, part) in parts.iter_mut().enumerate() {
                let total = &total;
                s.go(move || {
                    yield_now();
                    *part = i;
                    total.fetch_add(i, Ordering::Relaxed);
                });
            }
            s.go(|| 5).join().unwrap()
        });
        assert_eq!((returned, total.into_inner()), (5, 4950));
        assert_eq!(parts.iter().sum::<usize>(), 4950);
    });
}

#[test]
fn scope_on_a_plain_thread_and_nested() {
    bounded(|| {
        let mut n = 0;
        scope(|s| {
            s.go(|| scope(|inner| inner.go(|| n += 1).join().unwrap()));
        });
        assert_eq!(n, 1);
    });
    everywhere(|| {
        let count = AtomicUsize::new(0);
        scope(|outer| {
            for _ in 0..10 {
                outer.go(|| {
                    scope(|inner| {
                        for _ in 0..10 {
                            inner.go(|| count.fetch_add(1, Ordering::Relaxed));
                        }
                    });
                    // A child may start siblings.
                    outer.go(|| count.fetch_add(1, Ordering::Relaxed));
                });
            }
        });
        assert_eq!(count.into_inner(), 110);
    });
}

#[test]
fn scope_raises_its_own_panic_after_the_children_have_ended() {
    everywhere(|| {
        let ended = AtomicBool::new(false);
        let said = panic_text(|| {
            scope(|s| {
                s.go(|| {
                    gosched::time::sleep(Duration::from_millis(2));
                    ended.store(true, Ordering::SeqCst);
                    resume_unwind(Box::new("of the child"));
                });
                resume_unwind(Box::new("of the body"));
            })
        });
        assert_eq!(said, "of the body");
        assert!(ended.into_inner());
    });
}

#[test]
fn scope_raises_the_first_unjoined_panic_and_not_a_joined_one() {
    everywhere(|| {
        let said = panic_text(|| {
            scope(|s| {
                let joined = s.go(|| resume_unwind(Box::new("joined")));
                assert_eq!(text(&*joined.join().unwrap_err()), "joined");
                let first = s.go(|| resume_unwind(Box::new("early")));
                s.go(move || {
                    common::eventually("the first child has ended", || first.is_finished());
                    resume_unwind(Box::new("late"));
                });
            })
        });
        assert_eq!(said, "early");
        scope(|s| assert!(s.go(|| resume_unwind(Box::new("joined"))).join().is_err()));
    });
}

#[test]
fn scope_loses_no_panic_with_a_handle_that_is_dropped_late_or_forgotten() {
    everywhere(|| {
        for forget in [false, true] {
            let said = panic_text(|| {
                scope(|s| {
                    let handle = s.go(|| resume_unwind(Box::new("seen")));
                    common::eventually("the child has ended", || handle.is_finished());
                    if forget {
                        std::mem::forget(handle);
                    }
                })
            });
            assert_eq!(said, "seen");
        }
        // A later child that joins well is not taken for an earlier one that panicked.
        let said = panic_text(|| {
            scope(|s| {
                for _ in 0..20 {
                    s.go(|| resume_unwind(Box::new("seen")));
                    gosched::time::sleep(Duration::from_micros(50));
                    assert_eq!(s.go(|| 1).join().unwrap(), 1);
                }
            })
        });
        assert_eq!(said, "seen");
    });
}

#[test]
fn scope_drops_unjoined_results_before_it_returns() {
    everywhere(|| {
        let live = AtomicUsize::new(0);
        for late in [false, true] {
            scope(|s| {
                let handles: Vec<_> = (0..20).map(|_| s.go(|| Counted::new(&live))).collect();
                if late {
                    gosched::time::sleep(Duration::from_millis(1));
                }
                drop(handles);
            });
            assert_eq!(live.load(Ordering::SeqCst), 0);
        }
        // A forgotten handle keeps its child's value, but not the scope.
        scope(|s| std::mem::forget(s.go(|| Box::new(1))));
    });
}

#[test]
fn scope_survives_results_whose_destructors_panic_or_block() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            gosched::time::sleep(Duration::from_micros(100));
            resume_unwind(Box::new("boom"));
        }
    }
    everywhere(|| {
        assert_eq!(
            panic_text(|| scope(|s| {
                s.go(|| Bomb);
            })),
            "boom"
        );
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}
