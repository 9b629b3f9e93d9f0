//! `group::scope`: goroutines that may fail and borrow (FEATURES E01 to E08, as far as they apply).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::values::Failed;
use common::{everywhere, panic_text};
use gosched::context::background;
use gosched::group;
use gosched::time::sleep_async;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn E01_scoped_groups_borrow_and_return_what_the_function_does() {
    everywhere(|| {
        let words = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
        let mut lengths = [0; 3];
        let result: Result<&str, Failed> = group::scope(|g| {
            for (word, length) in words.iter().zip(&mut lengths) {
                g.go(move || {
                    *length = word.len();
                    Ok(())
                });
            }
            "the function's"
        });
        assert_eq!((result, lengths), (Ok("the function's"), [3, 3, 5]));
    });
}

#[test]
fn E06_scoped_groups_return_the_first_error_after_all_have_ended() {
    everywhere(|| {
        let ended = AtomicUsize::new(0);
        let result = group::scope(|g| {
            g.set_limit(2);
            for n in 0..10 {
                let ended = &ended;
                g.go(move || {
                    ended.fetch_add(1, Ordering::Relaxed);
                    if n == 4 { Err(Failed(n)) } else { Ok(()) }
                });
            }
        });
        assert_eq!((result, ended.into_inner()), (Err(Failed(4)), 10));
    });
}

#[test]
fn E03_scoped_groups_start_others_from_inside() {
    everywhere(|| {
        let count = AtomicUsize::new(0);
        let result: Result<(), Failed> = group::scope(|g| {
            let (inner, count) = (g.clone(), &count);
            g.go(move || {
                for _ in 0..5 {
                    inner.go(|| {
                        count.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    });
                }
                Ok(())
            });
        });
        assert_eq!((result, count.into_inner()), (Ok(()), 5));
    });
}

#[test]
fn E02_scoped_groups_with_a_context_tell_the_others() {
    everywhere(|| {
        let ctx = background().with_cancel();
        let result = group::scope_with_context(&ctx, |g| {
            for n in 0..3 {
                let ctx = &ctx;
                g.go(move || ctx.wait(sleep_async(Duration::from_secs(3600))).map_err(|_| Failed(n)));
            }
            g.go(|| Err(Failed(9)));
        });
        assert_eq!(
            (result, ctx.cause().unwrap().to_string()),
            (Err(Failed(9)), "part 9 has failed".to_owned())
        );
        let ctx = background().with_cancel();
        assert_eq!(group::scope_with_context(&ctx, |g| g.go(|| Ok::<(), Failed>(()))), Ok(()));
        assert!(ctx.err().is_some(), "the scope has ended");
    });
}

#[test]
fn E07_scoped_groups_raise_panics_after_all_have_ended() {
    everywhere(|| {
        let ended = AtomicBool::new(false);
        let ctx = background().with_cancel();
        let waits = |failing: fn() -> Result<(), Failed>| {
            group::scope_with_context(&ctx, |g| {
                g.go(|| {
                    let _ = ctx.wait(pending::<()>());
                    ended.store(true, Ordering::Relaxed);
                    Ok(())
                });
                g.go(failing);
            })
        };
        assert_eq!(panic_text(|| waits(|| std::panic::panic_any("a goroutine"))), "a goroutine");
        assert!(ended.load(Ordering::Relaxed));
        // A panic of the function itself: the goroutines must be told, or it would wait for ever.
        let ctx = background().with_cancel();
        let text = panic_text(|| {
            group::scope_with_context(&ctx, |g| {
                g.go(|| ctx.wait(pending::<()>()).map_err(|_| Failed(1)));
                std::panic::panic_any("the function")
            })
        });
        assert_eq!(text, "the function");
        assert!(ctx.err().is_some());
    });
}
