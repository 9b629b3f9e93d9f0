//! `context`: what a context says, and when (FEATURES X01 to X11, X15, X16, X19, X21; X12, the nil
//! parent, cannot be written).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{HOUR, MS, block_on, bounded, cause, eventually, everywhere, is_done};
use gosched::chan::{self, TryRecvError};
use gosched::context::{CancelContext, Context, ContextError, background};
use gosched::{go, go_async, select};
use std::error::Error;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// A context that is done says so in every way, one that is not in none.
fn assert_state(ctx: &Context, error: Option<ContextError>) {
    assert_eq!(ctx.err(), error, "{ctx}");
    assert_eq!(is_done(ctx), error.is_some(), "{ctx}");
    assert_eq!(ctx.cause().is_some(), error.is_some(), "{ctx}");
}

const CANCELED: Option<ContextError> = Some(ContextError::Canceled);
const EXCEEDED: Option<ContextError> = Some(ContextError::DeadlineExceeded);

#[test]
fn X01_everybody_may_ask_at_once_and_gets_the_same_answers() {
    fn is_safe<T: Send + Sync + Clone + std::panic::UnwindSafe + 'static>(_: &T) {}
    let ctx = background().with_timeout(HOUR);
    is_safe::<Context>(&ctx);
    let deadline = ctx.deadline();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..100 {
                    assert!(ctx.done().same_channel(ctx.clone().done()));
                    assert_eq!((ctx.err(), ctx.deadline(), ctx.value::<u8>()), (None, deadline, None));
                }
            });
        }
    });
    ctx.cancel();
    assert!(ctx.done().same_channel(ctx.done()));
    assert_state(&ctx, CANCELED);
}

#[test]
fn X01_done_is_the_same_channel_whoever_asks_first() {
    for _ in 0..200 {
        let ctx = background().with_cancel();
        let asked = thread::scope(|s| {
            let other = s.spawn(|| ctx.done().clone());
            let canceller = s.spawn(|| ctx.cancel());
            let mine = ctx.done().clone();
            canceller.join().unwrap();
            [mine, other.join().unwrap()]
        });
        assert!(asked.iter().all(|done| done.same_channel(ctx.done())));
        assert!(asked.iter().all(|done| done.try_recv() == Err(TryRecvError::Disconnected)));
    }
}

#[test]
fn X02_the_roots_are_never_done_and_hold_nothing() {
    for (root, name) in [(background(), "context.Background"), (Context::todo(), "context.TODO")] {
        assert_state(&root, None);
        assert_eq!(root.deadline(), None);
        assert!(root.value::<u32>().is_none());
        assert!(root.done().same_channel(&chan::never()));
        assert_eq!(root.to_string(), name);
    }
    assert_eq!(Context::default().to_string(), "context.Background");
}

#[test]
fn X03_done_is_closed_by_the_cancel_or_with_the_parent() {
    everywhere(|| {
        let parent = background().with_cancel();
        let (early, late) = (parent.with_cancel(), parent.with_cancel());
        let waiters: Vec<_> = [early.clone(), late.clone()]
            .into_iter()
            .map(|ctx| {
                (
                    go({
                        let ctx = ctx.clone();
                        move || ctx.done().recv().is_err()
                    }),
                    ctx,
                )
            })
            .collect();
        let waiting = go_async({
            let late = late.clone();
            async move { late.done().recv_async().await.is_err() }
        });
        assert_state(&early, None);
        early.cancel();
        assert_state(&early, CANCELED);
        assert_state(&late, None);
        parent.cancel();
        assert_state(&late, CANCELED);
        for (waiter, _) in waiters {
            assert!(waiter.join().unwrap());
        }
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn X03_any_executor_can_wait_for_the_end() {
    bounded(|| {
        let ctx = background().with_cancel();
        let canceller = ctx.clone();
        let other = thread::spawn(move || block_on(canceller.done().recv_async()));
        thread::sleep(MS);
        ctx.cancel();
        assert!(other.join().unwrap().is_err());
    });
}

#[test]
fn X03_cancel_may_be_called_again_and_by_many_at_once() {
    let ctx = background().with_cancel();
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                ctx.cancel();
                assert_state(&ctx, CANCELED);
            });
        }
    });
    ctx.cancel();
    ctx.cancel_cause("too late");
    assert_eq!(cause(&ctx), "context canceled");
}

#[test]
fn X03_the_owner_cancels_when_it_is_dropped_and_not_if_it_was_detached() {
    let seen = {
        let ctx = background().with_cancel();
        let seen = ctx.clone();
        assert_state(&seen, None);
        seen
    };
    assert_state(&seen, CANCELED);
    let parent = background().with_cancel();
    let detached = parent.with_cancel().detach();
    assert_state(&detached, None);
    parent.cancel();
    assert_state(&detached, CANCELED);
    let not_kept = background().with_cancel().clone();
    assert_state(&not_kept, CANCELED);
}

#[derive(Debug, PartialEq)]
struct Gone(u32);

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} has gone", self.0)
    }
}

impl Error for Gone {}

#[test]
fn X04_cancel_cause_records_a_cause_beside_the_error() {
    let ctx = background().with_cancel_cause();
    assert!(ctx.cause().is_none());
    ctx.cancel_cause(Gone(7));
    assert_state(&ctx, CANCELED);
    assert_eq!(ctx.cause().unwrap().downcast_ref(), Some(&Gone(7)));
    let plain = background().with_cancel();
    plain.cancel();
    assert_eq!(plain.cause().unwrap().downcast_ref(), Some(&ContextError::Canceled));
}

#[test]
fn X05_the_earlier_deadline_counts() {
    let now = Instant::now();
    let parent = background().with_deadline(now + HOUR);
    assert_eq!(parent.with_deadline(now + 2 * HOUR).deadline(), Some(now + HOUR));
    assert_eq!(parent.with_deadline(now + HOUR / 2).deadline(), Some(now + HOUR / 2));
    assert_eq!(parent.with_cancel().with_value(1).deadline(), Some(now + HOUR));
    // With a parent that ends earlier it is no more than something to cancel.
    assert!(parent.with_deadline(now + 2 * HOUR).to_string().ends_with("]).WithCancel"));
}

#[test]
fn X05_a_deadline_of_the_past_is_over_on_return() {
    for past in [Instant::now(), Instant::now() - MS] {
        let ctx = background().with_deadline(past);
        assert_state(&ctx, EXCEEDED);
        assert_eq!(ctx.deadline(), Some(past));
        ctx.cancel();
        assert_state(&ctx, EXCEEDED);
    }
}

#[test]
fn X06_a_timeout_of_zero_is_over_at_once_and_an_endless_one_never() {
    assert_state(&background().with_timeout(Duration::ZERO), EXCEEDED);
    let endless = background().with_timeout(Duration::MAX);
    assert_eq!((endless.err(), endless.deadline()), (None, None));
}

#[test]
fn X06_a_timeout_comes_in_time_for_goroutines_threads_and_tasks() {
    everywhere(|| {
        let start = Instant::now();
        let ctx = background().with_timeout(20 * MS);
        let child = ctx.with_value("below").with_cancel();
        let (by_thread, by_task) = (child.clone(), child.clone());
        let thread = thread::spawn(move || by_thread.done().recv().is_err());
        let task = go_async(async move { by_task.done().recv_async().await.is_err() });
        select! {
            recv(child.done()) -> _ => {}
        }
        assert!(start.elapsed() >= 20 * MS);
        assert_state(&ctx, EXCEEDED);
        assert_state(&child, EXCEEDED);
        assert!(thread.join().unwrap() && task.join().unwrap());
    });
}

#[test]
fn X06_a_timeout_also_reaches_who_only_asks_and_keeps_all_workers_busy() {
    bounded(|| {
        let runtime = gosched::Runtime::builder().workers(1).build().unwrap();
        runtime.run(|| {
            let ctx = background().with_timeout(5 * MS);
            while ctx.err().is_none() {
                std::hint::spin_loop();
            }
            assert_state(&ctx, EXCEEDED);
        });
    });
}

#[test]
fn X06_a_timeout_outlives_the_runtime_it_was_made_in() {
    bounded(|| {
        let ctx = gosched::run(|| background().with_timeout(10 * MS));
        assert!(ctx.done().recv().is_err());
        assert_state(&ctx, EXCEEDED);
    });
}

#[test]
fn X07_a_deadlines_cause_is_used_only_if_the_deadline_fires() {
    let fired = background().with_timeout_cause(MS, Gone(1));
    eventually("the deadline fires", || fired.err().is_some());
    assert_state(&fired, EXCEEDED);
    assert_eq!(cause(&fired), "number 1 has gone");
    let past = background().with_deadline_cause(Instant::now(), Gone(2));
    assert_eq!(cause(&past), "number 2 has gone");
    let cancelled = background().with_timeout_cause(HOUR, Gone(3));
    cancelled.cancel();
    assert_state(&cancelled, CANCELED);
    assert_eq!(cause(&cancelled), "context canceled");
    let plain = background().with_timeout(Duration::ZERO);
    assert_eq!(cause(&plain), "context deadline exceeded");
    // A parent's earlier deadline fires with the parent's cause.
    let parent = background().with_timeout_cause(MS, "the parent's");
    let child = parent.with_timeout_cause(HOUR, "the child's");
    eventually("the deadline fires", || child.err().is_some());
    assert_eq!((child.err(), cause(&child)), (EXCEEDED, "the parent's".to_owned()));
}

#[test]
fn X08_the_first_cancellation_on_the_way_up_is_the_cause() {
    let tree = || {
        let parent = background().with_cancel();
        let child = parent.with_cancel();
        (parent, child)
    };
    let (parent, child) = tree();
    assert!(parent.cause().is_none() && child.cause().is_none());
    parent.cancel_cause("parent");
    child.cancel_cause("child");
    assert_eq!((cause(&parent), cause(&child)), ("parent".into(), "parent".into()));
    let (parent, child) = tree();
    child.cancel_cause("child");
    parent.cancel_cause("parent");
    assert_eq!((cause(&parent), cause(&child)), ("parent".into(), "child".into()));
    // Born after the end.
    let late = parent.with_value(1).with_timeout_cause(HOUR, "late");
    assert_state(&late, CANCELED);
    assert_eq!(cause(&late), "parent");
    assert_eq!(cause(&late.with_value(2)), "parent");
}

#[test]
fn X09_values_are_found_by_type_and_the_innermost_wins() {
    #[derive(Debug, PartialEq)]
    struct Id(u32);
    #[derive(Debug, PartialEq)]
    struct Name(&'static str);
    let root = background().with_value(Id(1)).with_value(Name("outer"));
    let inner = root.with_cancel().with_value(Id(2)).with_timeout(HOUR);
    assert_eq!(inner.value(), Some(&Id(2)));
    assert_eq!(inner.value(), Some(&Name("outer")));
    assert_eq!(root.value(), Some(&Id(1)));
    assert!(inner.value::<u32>().is_none() && background().value::<Id>().is_none());
    inner.cancel();
    assert_eq!(inner.value(), Some(&Id(2)), "values outlive the cancellation");
}

#[test]
fn X10_without_cancel_keeps_the_values_only() {
    let parent = background().with_value("kept").with_timeout(HOUR);
    let free = parent.without_cancel();
    parent.cancel();
    assert_state(&free, None);
    assert_eq!((free.deadline(), free.value()), (None, Some(&"kept")));
    assert!(free.done().same_channel(&chan::never()));
    let below = free.with_cancel();
    assert_state(&below, None);
    below.cancel();
    assert_state(&below, CANCELED);
}

#[test]
fn X15_errors_have_Gos_texts_and_do_not_change() {
    let (canceled, exceeded) = (ContextError::Canceled, ContextError::DeadlineExceeded);
    assert_eq!(canceled.to_string(), "context canceled");
    assert_eq!(exceeded.to_string(), "context deadline exceeded");
    assert!(exceeded.is_timeout() && !canceled.is_timeout());
    let _: &dyn Error = &canceled;
    let ctx = background().with_timeout(5 * MS);
    ctx.cancel();
    thread::sleep(10 * MS);
    assert_state(&ctx, CANCELED);
}

#[test]
fn X16_a_child_takes_only_its_own_subtree_along() {
    let parent = background().with_cancel();
    let children: Vec<CancelContext> = (0..3).map(|_| parent.with_cancel()).collect();
    let below = children[1].with_value(1).with_timeout(HOUR);
    children[1].cancel();
    for ctx in [&parent, &children[0], &children[2]] {
        assert_state(ctx, None);
    }
    assert_state(&children[1], CANCELED);
    assert_state(&below, CANCELED);
    assert_state(&background().with_timeout(Duration::ZERO).without_cancel(), None);
}

/// A context with something around it, as frameworks make them.
struct Request {
    ctx: CancelContext,
    path: &'static str,
}

impl std::ops::Deref for Request {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.ctx
    }
}

#[test]
fn X19_what_is_derived_from_a_type_around_a_context_is_linked_to_that() {
    everywhere(|| {
        let goroutines = gosched::num_goroutine();
        let root = background().with_cancel();
        let request = Request { ctx: root.with_value(7_u16).with_cancel(), path: "/index" };
        // By the type's own name or as a reference to a context: the same tree.
        fn below(ctx: &Context) -> CancelContext {
            ctx.with_timeout(HOUR)
        }
        let (one, two) = (request.with_cancel(), below(&request));
        assert_eq!((two.value(), request.path), (Some(&7_u16), "/index"));
        assert_eq!(gosched::num_goroutine(), goroutines, "linked directly");
        // One whose end is its own business is respected: it ends earlier than what is around it, or does not.
        let shielded = Request { ctx: request.without_cancel().with_cancel(), path: "/later" };
        let inner = below(&shielded);
        root.cancel_cause("the server stops");
        for ctx in [&*one, &*two, &*request] {
            assert_state(ctx, CANCELED);
            assert_eq!(cause(ctx), "the server stops");
        }
        assert_state(&inner, None);
        shielded.ctx.cancel();
        assert_state(&inner, CANCELED);
    });
}

#[test]
fn X21_a_context_shows_the_way_from_its_root() {
    struct Opaque;
    let ctx = background().with_cancel();
    assert_eq!(ctx.to_string(), "context.Background.WithCancel");
    assert_eq!(format!("{ctx:?}"), ctx.to_string());
    let free = Context::todo().with_value("text").without_cancel();
    assert_eq!(free.to_string(), "context.TODO.WithValue(&str, text).WithoutCancel");
    assert!(background().with_value(Opaque).to_string().ends_with("::Opaque)"));
    let shown = background().with_timeout(HOUR).to_string();
    let (date, left) =
        shown.strip_prefix("context.Background.WithDeadline(").unwrap().split_once(' ').unwrap();
    assert!(date.starts_with("20") && date.len() == "2026-03-01T12:00:00.250Z".len(), "{date}");
    assert!(left.starts_with("[3599.") && left.ends_with("s])"), "{left}");
    let over = background().with_deadline(Instant::now() - HOUR).to_string();
    assert!(over.contains(" [-3600."), "{over}");
}
