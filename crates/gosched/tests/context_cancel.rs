//! `context`: cancelling, in trees of all shapes and against everybody else (FEATURES X11, X13, X14, X17, X18, X23).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::wakers::Wakes;
use common::{Child, HOUR, MS, bounded, eventually, everywhere, is_child, is_done, stderr};
use gosched::chan::{self};
use gosched::context::{CancelContext, Context, ContextError, background};
use gosched::go;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context as TaskContext, Wake, Waker};
use std::thread;
use std::time::Instant;

#[test]
fn X11_functions_run_in_goroutines_of_their_own_after_the_end() {
    everywhere(|| {
        let ctx = background().with_cancel();
        let (tx, rx) = chan::unbounded();
        for n in 0..3 {
            let (tx, seen) = (tx.clone(), ctx.clone());
            ctx.after_func(move || tx.send((n, gosched::current().id(), seen.err())).unwrap());
        }
        assert!(rx.is_empty());
        ctx.cancel();
        // Already over: now.
        let seen = ctx.clone();
        let late = ctx.after_func(move || tx.send((3, gosched::current().id(), seen.err())).unwrap());
        let mut ran: Vec<_> = rx.iter().collect();
        ran.sort_unstable_by_key(|run| run.0);
        assert_eq!(ran.iter().map(|run| run.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(ran.iter().all(|run| run.2 == Some(ContextError::Canceled)));
        let mut ids: Vec<u64> = ran.iter().map(|run| run.1).chain([gosched::current().id()]).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5, "each has a goroutine of its own");
        assert!(!late.stop());
    });
}

#[test]
fn X11_stop_is_true_if_and_only_if_it_prevented_the_function() {
    let ctx = background().with_cancel();
    let ran = Arc::new(AtomicUsize::new(0));
    let add = |ctx: &Context| {
        let ran = ran.clone();
        ctx.after_func(move || {
            ran.fetch_add(1, Ordering::Relaxed);
        })
    };
    let (stopped, kept) = (add(&ctx), add(&ctx));
    assert!(stopped.stop() && !stopped.stop());
    ctx.cancel();
    assert!(!kept.stop() && !stopped.stop());
    eventually("the other function runs", || ran.load(Ordering::Relaxed) == 1);
    // One that could never run is prevented the first time.
    let never = add(&background());
    assert!(never.stop() && !never.stop());
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn X11_stop_and_cancel_agree_about_each_function() {
    bounded(|| {
        let (ran, stopped) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        const ROUNDS: usize = 300;
        for _ in 0..ROUNDS {
            let ctx = background().with_cancel();
            let stops: Vec<_> = (0..4)
                .map(|_| {
                    let ran = ran.clone();
                    ctx.after_func(move || {
                        ran.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            let start = Barrier::new(2);
            thread::scope(|s| {
                s.spawn(|| {
                    start.wait();
                    ctx.cancel();
                });
                start.wait();
                let prevented = stops.iter().filter(|stop| stop.stop()).count();
                stopped.fetch_add(prevented, Ordering::Relaxed);
            });
        }
        let expected = ROUNDS * 4 - stopped.into_inner();
        eventually("all that were not stopped have run", || ran.load(Ordering::Relaxed) == expected);
    });
}

#[test]
fn X11_cancel_does_not_wait_for_functions() {
    bounded(|| {
        let ctx = background().with_cancel();
        let (tx, rx) = chan::bounded::<()>(0);
        let (started, start) = chan::bounded(0);
        let stop = ctx.after_func(move || {
            started.send(()).unwrap();
            let _ = rx.recv();
        });
        ctx.cancel();
        start.recv().unwrap();
        assert!(!stop.stop(), "nor does stop");
        drop(tx);
    });
}

#[test]
fn X11_functions_of_a_runtime_that_is_gone_run_on_the_default_one() {
    bounded(|| {
        let ctx = background().with_cancel();
        let (tx, rx) = chan::bounded(1);
        gosched::run(|| ctx.after_func(move || tx.send(gosched::current().id()).unwrap()));
        ctx.cancel();
        assert_ne!(rx.recv().unwrap(), 0);
    });
}

#[test]
fn X11_panics_of_functions_go_where_those_of_goroutines_go() {
    if is_child() {
        let ctx = background().with_cancel();
        let (tx, rx) = chan::bounded::<()>(0);
        ctx.after_func(move || {
            let _tx = tx;
            panic!("in the function");
        });
        ctx.cancel();
        assert!(rx.recv().is_err());
        // What is printed comes after the closure is gone.
        gosched::time::sleep(300 * MS);
        return;
    }
    let output = Child::new("X11_panics_of_functions_go_where_those_of_goroutines_go").passes();
    let said = stderr(&output);
    assert!(said.contains("panicked and nobody joined it: in the function"), "{said}");
    assert!(said.contains("tests/context_cancel.rs"), "the place of the registration: {said}");
}

/// A tree with `width` children at each of `depth` levels.
fn grow(parent: &Context, width: usize, depth: usize, out: &mut Vec<CancelContext>) {
    if depth == 0 {
        return;
    }
    for n in 0..width {
        let child = match n % 3 {
            0 => parent.with_cancel(),
            1 => parent.with_value(n).with_timeout(HOUR),
            _ => parent.with_cancel().with_cancel(),
        };
        // The inner owner of the third kind is dropped above: what is below it is done already.
        if n % 3 != 2 {
            grow(&child, width, depth - 1, out);
        }
        out.push(child);
    }
}

#[test]
fn X13_all_descendants_are_done_when_any_cancel_returns() {
    bounded(|| {
        for _ in 0..30 {
            let root = background().with_cancel();
            let middle = root.with_cancel();
            let mut tree = Vec::new();
            grow(&middle, 3, 4, &mut tree);
            // Some have a channel already, others make it later.
            tree.iter().step_by(2).for_each(|ctx| drop(ctx.done().clone()));
            let start = Barrier::new(3);
            thread::scope(|s| {
                for canceller in [&root, &middle, &middle] {
                    s.spawn(|| {
                        start.wait();
                        canceller.cancel();
                        assert!(tree.iter().all(|ctx| ctx.err().is_some() && is_done(ctx)));
                        assert!(tree.iter().all(|ctx| ctx.done().is_empty()));
                    });
                }
            });
        }
    });
}

#[test]
fn X13_the_reason_is_the_same_all_the_way_down() {
    for _ in 0..100 {
        let root = background().with_cancel();
        let child = root.with_cancel();
        let below: Vec<_> = (0..20).map(|_| child.with_cancel()).collect();
        thread::scope(|s| {
            s.spawn(|| root.cancel_cause("root"));
            s.spawn(|| child.cancel_cause("child"));
        });
        let reason = child.cause().unwrap().to_string();
        assert!(below.iter().all(|ctx| ctx.cause().unwrap().to_string() == reason));
    }
}

#[test]
fn X14_who_sees_an_error_finds_done_closed_and_the_other_way_round() {
    bounded(|| {
        for round in 0..500 {
            let parent = background().with_cancel();
            let ctx = parent.with_cancel();
            let start = Barrier::new(3);
            thread::scope(|s| {
                s.spawn(|| {
                    start.wait();
                    if round % 2 == 0 { parent.cancel() } else { ctx.cancel() }
                });
                s.spawn(|| {
                    start.wait();
                    while ctx.err().is_none() {}
                    assert!(is_done(&ctx));
                });
                start.wait();
                assert!(ctx.done().recv().is_err());
                assert!(ctx.err().is_some() && ctx.cause().is_some());
            });
        }
    });
}

#[test]
fn X13_what_came_before_the_cancel_is_seen_after_it() {
    for _ in 0..500 {
        let ctx = background().with_cancel();
        let cell = AtomicUsize::new(0);
        thread::scope(|s| {
            s.spawn(|| {
                while ctx.err().is_none() {
                    std::hint::spin_loop();
                }
                assert_eq!(cell.load(Ordering::Relaxed), 1);
            });
            cell.store(1, Ordering::Relaxed);
            ctx.cancel();
        });
    }
}

#[test]
fn X17_children_that_come_while_the_parent_ends_are_done_too() {
    bounded(|| {
        for _ in 0..100 {
            let parent = background().with_cancel();
            let start = Barrier::new(3);
            let children: Vec<CancelContext> = thread::scope(|s| {
                let makers: Vec<_> = (0..2)
                    .map(|_| {
                        s.spawn(|| {
                            start.wait();
                            (0..50).map(|_| parent.with_cancel()).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                start.wait();
                parent.cancel();
                makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect()
            });
            assert!(children.iter().all(|child| child.err().is_some() && is_done(child)));
        }
    });
}

#[test]
fn X18_children_and_deadlines_cost_no_goroutine() {
    everywhere(|| {
        let before = gosched::num_goroutine();
        let ctx = background().with_cancel();
        let all: Vec<_> = (0..100).map(|_| ctx.with_value(1).with_timeout(HOUR)).collect();
        all.iter().for_each(|child| drop(child.done().clone()));
        let _stop = ctx.after_func(|| {});
        assert_eq!(gosched::num_goroutine(), before);
        assert!(all.iter().all(|child| child.err().is_none()));
        _ = _stop.stop();
    });
}

#[test]
fn X23_who_is_woken_by_the_parent_may_cancel_the_child() {
    everywhere(|| {
        for _ in 0..100 {
            let parent = background().with_cancel();
            let child = parent.with_cancel();
            let seen = parent.clone();
            let other = go(move || {
                assert!(seen.done().recv().is_err());
                child.cancel();
            });
            parent.cancel();
            other.join().unwrap();
        }
    });
}

/// A waker that cancels a context.
struct Cancels(CancelContext);

impl Wake for Cancels {
    fn wake(self: Arc<Self>) {
        self.0.cancel();
        assert!(self.0.err().is_some());
    }
}

#[test]
fn X23_a_waker_may_cancel_anything_from_inside_of_a_cancel() {
    bounded(|| {
        let parent = background().with_cancel();
        let (child, sibling) = (parent.with_cancel(), parent.with_cancel());
        let below = child.with_cancel();
        let waker = Waker::from(Arc::new(Cancels(parent.with_cancel())));
        let again = Waker::from(Arc::new(Cancels(below.with_cancel())));
        let mut one = Box::pin(child.done().recv_async());
        let mut two = Box::pin(parent.done().recv_async());
        assert!(one.as_mut().poll(&mut TaskContext::from_waker(&waker)).is_pending());
        assert!(two.as_mut().poll(&mut TaskContext::from_waker(&again)).is_pending());
        parent.cancel();
        assert!([&parent, &child, &sibling, &below].iter().all(|ctx| is_done(ctx)));
    });
}

struct Panics(AtomicBool);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
        panic!("a waker that panics, on purpose");
    }
}

#[test]
fn X13_a_waker_that_panics_keeps_nobody_from_being_told() {
    bounded(|| {
        let parent = background().with_cancel();
        let children: Vec<_> = (0..10).map(|_| parent.with_cancel()).collect();
        let bad = Arc::new(Panics(AtomicBool::new(false)));
        let waker = Waker::from(bad.clone());
        let mut waits: Vec<_> =
            [&parent, &children[0]].iter().map(|ctx| Box::pin(ctx.done().recv_async())).collect();
        for wait in &mut waits {
            assert!(wait.as_mut().poll(&mut TaskContext::from_waker(&waker)).is_pending());
        }
        // More than are released at once, on one channel, before and behind the one that panics.
        let (counts, ctx) = (Arc::new(Wakes::default()), &children[1]);
        let counting = Waker::from(counts.clone());
        let mut queue: Vec<_> = (0..200).map(|_| Box::pin(ctx.done().recv_async())).collect();
        for (n, wait) in queue.iter_mut().enumerate() {
            let waker = if n % 40 == 3 { &waker } else { &counting };
            assert!(wait.as_mut().poll(&mut TaskContext::from_waker(waker)).is_pending());
        }
        parent.cancel();
        assert!(bad.0.load(Ordering::Relaxed));
        assert!(children.iter().all(|ctx| is_done(ctx)));
        assert_eq!(counts.0.load(Ordering::Relaxed), 195);
    });
}

#[test]
fn a_tree_of_10_000_children_is_cancelled_fast() {
    bounded(|| {
        let parent = background().with_cancel();
        let children: Vec<_> = (0..10_000).map(|_| parent.with_cancel()).collect();
        let waiting: Vec<_> = children.iter().step_by(100).map(|ctx| ctx.done().clone()).collect();
        let start = Instant::now();
        parent.cancel();
        let took = start.elapsed();
        assert!(children.iter().all(|ctx| ctx.err().is_some()));
        assert!(waiting.iter().all(|done| done.recv().is_err()));
        // A few milliseconds without optimisation; the bound is for busy machines.
        assert!(took < 1000 * MS, "{took:?}");
    });
}

const DEEP: usize = 100_000;

fn chain(root: &Context) -> Vec<CancelContext> {
    let mut chain = vec![root.with_cancel()];
    for _ in 1..DEEP {
        let next = chain[chain.len() - 1].with_cancel();
        chain.push(next);
    }
    chain
}

#[test]
fn a_chain_of_100_000_levels_is_cancelled_without_a_deep_stack() {
    bounded(|| {
        let chain = chain(&background());
        let done = chain[DEEP - 1].done().clone();
        chain[0].cancel_cause("from the top");
        assert_eq!(chain[DEEP - 1].cause().unwrap().to_string(), "from the top");
        assert!(done.recv().is_err());
        // From the top and from the bottom.
        let mut chain = chain;
        chain.truncate(DEEP / 2);
        drop(chain);
    });
}

#[test]
fn a_chain_of_100_000_levels_is_dropped_without_a_deep_stack() {
    bounded(|| {
        let root = background().with_cancel();
        let leaf = chain(&root).pop().unwrap().detach();
        assert!(leaf.err().is_some(), "its ancestors were dropped");
        drop(leaf);
        // One that was never cancelled: one reference holds all levels, by nodes ...
        let mut leaf = background().with_cancel().detach();
        for n in 0..DEEP {
            leaf = if n % 2 == 0 { leaf.with_cancel().detach() } else { leaf.with_value(n) };
        }
        assert_eq!(leaf.value(), Some(&(DEEP - 1)));
        // ... and, once they have gone, by what is to be told at the bottom.
        let witness = Arc::new(());
        let held = witness.clone();
        leaf.after_func(move || drop(held));
        assert_eq!(leaf.err(), None);
        drop(leaf);
        assert_eq!(Arc::strong_count(&witness), 1);
    });
}

#[test]
fn a_chain_of_100_000_levels_lets_go_without_a_deep_stack() {
    bounded(|| {
        let root = background().with_cancel();
        let mut leaf = root.with_cancel().detach();
        for _ in 0..DEEP {
            leaf = leaf.with_cancel().detach();
        }
        let stop = leaf.after_func(|| {});
        drop(leaf);
        // The last one that needed any of them.
        assert!(stop.stop());
        root.cancel();
    });
}

#[test]
fn contexts_come_and_go_while_others_cancel() {
    bounded(|| {
        let root = background().with_cancel();
        let ran = Arc::new(AtomicUsize::new(0));
        let expected: usize = thread::scope(|s| {
            let workers: Vec<_> = (0..4)
                .map(|n| {
                    let (root, ran) = (&root, &ran);
                    s.spawn(move || {
                        let mut expected = 0;
                        for i in 0..500 {
                            let ctx = root.with_timeout(if i % 3 == 0 { MS / 20 } else { HOUR });
                            let below = ctx.with_value(i).with_cancel();
                            let ran = ran.clone();
                            let stop = below.after_func(move || {
                                ran.fetch_add(1, Ordering::Relaxed);
                            });
                            match (i + n) % 4 {
                                0 => ctx.cancel(),
                                1 => drop(ctx.detach()),
                                2 => below.cancel(),
                                _ => drop(below),
                            }
                            expected += usize::from(!stop.stop());
                        }
                        expected
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        eventually("all functions have run that were not stopped", || {
            ran.load(Ordering::Relaxed) == expected
        });
        assert_eq!(root.err(), None);
    });
}
