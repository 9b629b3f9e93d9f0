//! What cannot be seen from outside: who holds whom, and what is given back.

use super::core::Core;
use super::{Context, ContextError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn core(ctx: &Context) -> &Arc<Core> {
    ctx.core().expect("a context that can be cancelled")
}

fn weak(ctx: &Context) -> Weak<Core> {
    Arc::downgrade(core(ctx))
}

#[test]
fn X17_a_cancelled_child_leaves_its_parent_at_once() {
    let parent = Context::background().with_cancel();
    let children: Vec<_> = (0..100).map(|_| parent.with_cancel()).collect();
    let timed = parent.with_timeout(HOUR);
    assert_eq!(core(&parent).len(), 101);
    for (at, child) in children.iter().enumerate() {
        child.cancel();
        assert_eq!(core(&parent).len(), 100 - at);
    }
    timed.cancel();
    assert_eq!(core(&parent).len(), 0);
}

#[test]
fn X17_a_function_leaves_its_context_when_it_is_stopped_or_run() {
    let ctx = Context::background().with_cancel();
    let stop = ctx.after_func(|| {});
    ctx.after_func(|| {});
    assert_eq!(core(&ctx).len(), 2);
    assert!(stop.stop());
    assert_eq!(core(&ctx).len(), 1);
    ctx.cancel();
    assert_eq!(core(&ctx).len(), 0);
}

#[test]
fn X17_a_detached_child_that_nobody_uses_any_more_leaves_its_parent() {
    let parent = Context::background().with_cancel();
    let child = parent.with_timeout(HOUR).detach();
    let grandchild = child.with_cancel().detach().with_value(1).with_cancel().detach();
    let all = [weak(&child), weak(&grandchild)];
    drop(child);
    assert_eq!(core(&parent).len(), 1, "the grandchild needs it");
    drop(grandchild);
    assert_eq!(core(&parent).len(), 0);
    assert!(all.iter().all(|core| core.strong_count() == 0), "and nothing else holds them, no timer either");
}

#[test]
fn X17_functions_keep_what_can_still_run_them() {
    let parent = Context::background().with_cancel();
    let child = parent.with_cancel().detach();
    let grandchild = child.with_cancel().detach();
    let stop = grandchild.after_func(|| {});
    let child_core = weak(&child);
    drop((child, grandchild));
    assert_eq!(core(&parent).len(), 1, "cancelling the parent must run the function");
    assert!(stop.stop());
    assert_eq!((core(&parent).len(), child_core.strong_count()), (0, 0), "nobody is needed any more");
}

#[test]
fn a_function_that_nobody_can_run_any_more_is_dropped() {
    let witness = Arc::new(());
    let root = Context::background().with_cancel().detach();
    let leaf = (0..3).fold(root, |ctx, _| ctx.with_cancel().detach());
    let held = witness.clone();
    let stop = leaf.after_func(move || drop(held));
    assert_eq!(Arc::strong_count(&witness), 2);
    drop(leaf);
    assert_eq!(Arc::strong_count(&witness), 1);
    assert!(!stop.stop(), "there is nothing left to prevent");
}

#[test]
fn X22_cancelling_takes_the_timer_off() {
    let parent = Context::background().with_cancel();
    let (own, by_parent) = (parent.with_timeout(HOUR), parent.with_timeout(HOUR));
    assert!(core(&own).has_timer() && core(&by_parent).has_timer());
    own.cancel();
    assert!(!core(&own).has_timer());
    parent.cancel();
    assert!(!core(&by_parent).has_timer());
    assert_eq!(by_parent.err(), Some(ContextError::Canceled));
    // The timer's waker held the core: what is gone with the handles was not in the timers any more.
    let cores = [weak(&own), weak(&by_parent)];
    drop((own, by_parent));
    assert!(cores.iter().all(|core| core.strong_count() == 0));
}

#[test]
fn X05_a_parents_earlier_deadline_makes_a_timer_needless() {
    let parent = Context::background().with_timeout(HOUR);
    let later = parent.with_timeout(2 * HOUR);
    assert!(core(&parent).has_timer() && !core(&later).has_timer());
    assert_eq!(later.deadline(), parent.deadline());
}

#[test]
fn a_timer_that_has_fired_holds_nothing() {
    let ctx = Context::background().with_timeout(Duration::from_millis(1));
    assert!(ctx.done().recv().is_err());
    let core = weak(&ctx);
    drop(ctx);
    // The timer thread may still be on its way out of the wake.
    for _ in 0..10_000 {
        if core.strong_count() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the core of an expired context is still held");
}

#[test]
fn entries_are_found_by_their_keys_only() {
    let ctx = Context::background().with_cancel();
    let ran = Arc::new(AtomicUsize::new(0));
    let add = || {
        let ran = ran.clone();
        ctx.after_func(move || {
            ran.fetch_add(1, Ordering::Relaxed);
        })
    };
    let first = add();
    assert!(first.stop());
    // In the first one's place.
    let (second, third) = (add(), add());
    assert!(!first.stop());
    assert_eq!(core(&ctx).len(), 2);
    assert!(third.stop() && second.stop() && !third.stop());
    assert_eq!((core(&ctx).len(), ran.load(Ordering::Relaxed)), (0, 0));
}
