//! `group`: goroutines that may fail (FEATURES E01 to E08).
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::values::Failed;
use common::{MS, US, block_on, bounded, cause, eventually, everywhere, panic_text};
use gosched::chan;
use gosched::context::{ContextError, background};
use gosched::group::Group;
use gosched::time::sleep;
use gosched::{go_async, goexit};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

#[test]
fn E01_a_plain_group_has_no_limit_and_stops_nobody() {
    everywhere(|| {
        let (group, ran) = (Group::<Failed>::default(), Arc::new(AtomicUsize::new(0)));
        assert_eq!(group.wait(), Ok(()), "nothing to wait for");
        let (release, hold) = chan::bounded::<()>(0);
        for n in 0..20 {
            let (ran, hold) = (ran.clone(), hold.clone());
            group.go(move || {
                let _ = hold.recv();
                ran.fetch_add(1, Ordering::Relaxed);
                if n == 3 { Err(Failed(n)) } else { Ok(()) }
            });
        }
        assert_eq!(format!("{group:?}"), "Group { active: 20, .. }");
        drop(release);
        assert_eq!(group.wait(), Err(Failed(3)));
        assert_eq!(ran.load(Ordering::Relaxed), 20);
    });
}

#[test]
fn E02_the_first_error_cancels_the_context_and_is_its_cause() {
    everywhere(|| {
        let (group, ctx) = Group::with_context(&background());
        for n in 0..4 {
            let ctx = ctx.clone();
            group.go(move || {
                assert_eq!(ctx.wait(pending::<()>()), Err(ContextError::Canceled));
                Err(Failed(n))
            });
        }
        assert_eq!(ctx.err(), None);
        group.go(|| Err(Failed(100)));
        assert_eq!(group.wait(), Err(Failed(100)));
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
        assert_eq!(ctx.cause().unwrap().downcast_ref(), Some(&Failed(100)));
    });
}

#[test]
fn E02_the_first_wait_cancels_the_context_also_after_success() {
    let (group, ctx) = Group::<Failed>::with_context(&background());
    let seen = ctx.clone();
    group.go(move || {
        assert_eq!(seen.err(), None);
        Ok(())
    });
    assert_eq!(group.wait(), Ok(()));
    assert_eq!((ctx.err(), cause(&ctx)), (Some(ContextError::Canceled), "context canceled".to_owned()));
}

#[test]
fn E02_the_context_ends_with_its_parent_and_with_the_group() {
    let parent = background().with_cancel();
    let (group, ctx) = Group::<Failed>::with_context(&parent);
    parent.cancel_cause("from above");
    assert_eq!(cause(&ctx), "from above");
    assert_eq!(group.wait(), Ok(()));
    let (group, ctx) = Group::<Failed>::with_context(&background());
    let (tx, rx) = chan::bounded(1);
    let seen = ctx.clone();
    group.go(move || {
        tx.send(seen.wait(pending::<()>())).unwrap();
        Ok(())
    });
    assert_eq!(ctx.err(), None);
    drop(group);
    assert_eq!(rx.recv(), Ok(Err(ContextError::Canceled)));
}

/// Counts how many run at once, and what the most was.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn within(&self, f: impl FnOnce()) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        f();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn E03_a_limit_is_kept_and_go_waits_for_a_place() {
    everywhere(|| {
        let (group, gauge) = (Group::<Failed>::new(), Arc::new(Gauge::default()));
        group.set_limit(3);
        for _ in 0..60 {
            let gauge = gauge.clone();
            group.go(move || {
                gauge.within(|| sleep(US * 100));
                Ok(())
            });
        }
        assert_eq!(group.wait(), Ok(()));
        let most = gauge.most.load(Ordering::SeqCst);
        assert!(gauge.now.load(Ordering::SeqCst) == 0 && (1..=3).contains(&most), "{most}");
    });
}

#[test]
fn E03_those_who_wait_for_a_place_are_served_in_order() {
    bounded(|| {
        let group = Arc::new(Group::<Failed>::new());
        group.set_limit(1);
        let (release, hold) = chan::bounded::<()>(0);
        let (tx, rx) = chan::unbounded();
        group.go(move || {
            let _ = hold.recv();
            Ok(())
        });
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(group.place_async())).collect();
        for wait in &mut waiting {
            assert!(
                block_on(std::future::poll_fn(|cx| std::task::Poll::Ready(wait.as_mut().poll(cx))))
                    .is_pending()
            );
        }
        assert!(!group.try_go(|| Ok(())), "nobody overtakes");
        drop(release);
        for (n, wait) in waiting.into_iter().enumerate() {
            let tx = tx.clone();
            block_on(wait).go(move || {
                tx.send(n).unwrap();
                Ok(())
            });
        }
        assert_eq!(group.wait(), Ok(()));
        drop(tx);
        assert_eq!(rx.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn E04_try_go_is_false_instead_of_waiting() {
    everywhere(|| {
        let group = Group::<Failed>::new();
        group.set_limit(2);
        let (release, hold) = chan::bounded::<()>(0);
        let start = || {
            let hold = hold.clone();
            group.try_go(move || {
                let _ = hold.recv();
                Ok(())
            })
        };
        assert_eq!([start(), start(), start()], [true, true, false]);
        drop(release);
        assert_eq!(group.wait(), Ok(()));
        assert!(start());
        assert_eq!(group.wait(), Ok(()));
    });
}

#[test]
fn E05_a_limit_of_0_lets_nobody_in_and_none_lets_in_all() {
    let group = Group::<Failed>::new();
    group.set_limit(0);
    assert!(!group.try_go(|| Ok(())));
    let ctx = background().with_timeout(2 * MS);
    assert!(ctx.wait(group.place_async()).is_err());
    group.set_limit(None);
    assert!((0..50).all(|_| group.try_go(|| Ok(()))));
    assert_eq!(group.wait(), Ok(()));
}

#[test]
fn E05_a_new_limit_lets_in_those_who_wait() {
    bounded(|| {
        let group = Arc::new(Group::<Failed>::new());
        group.set_limit(0);
        let ran = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (group, ran) = (group.clone(), ran.clone());
                thread::spawn(move || {
                    group.go(move || {
                        ran.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    });
                })
            })
            .collect();
        sleep(2 * MS);
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        group.set_limit(1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(group.wait(), Ok(()));
        assert_eq!(ran.load(Ordering::Relaxed), 4);
    });
}

#[test]
fn E05_changing_the_limit_while_goroutines_run_panics_with_Gos_text() {
    let group = Group::<Failed>::new();
    group.set_limit(5);
    let (release, hold) = chan::bounded::<()>(0);
    for _ in 0..2 {
        let hold = hold.clone();
        group.go(move || {
            let _ = hold.recv();
            Ok(())
        });
    }
    let text = "errgroup: modify limit while 2 goroutines in the group are still active";
    assert_eq!(panic_text(|| group.set_limit(6)), text);
    assert_eq!(panic_text(|| group.set_limit(None)), text);
    drop(release);
    assert_eq!(group.wait(), Ok(()));
    group.set_limit(6);
}

#[test]
fn E06_wait_returns_the_first_error_when_all_have_ended() {
    everywhere(|| {
        let ((group, ctx), ended) = (Group::with_context(&background()), Arc::new(AtomicUsize::new(0)));
        let count = ended.clone();
        group.go(move || {
            let _ = ctx.done().recv();
            sleep(MS);
            count.fetch_add(1, Ordering::Relaxed);
            Err(Failed(2))
        });
        group.go(|| Err(Failed(1)));
        assert_eq!(group.wait(), Err(Failed(1)));
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        // The group may be used again, and has forgotten the error.
        group.go(|| Ok(()));
        assert_eq!(group.wait(), Ok(()));
        group.go(|| Err(Failed(3)));
        assert_eq!(group.wait(), Err(Failed(3)));
    });
}

#[test]
fn E06_the_context_remains_cancelled_when_the_group_is_used_again() {
    let (group, ctx) = Group::with_context(&background());
    group.go(|| Err(Failed(1)));
    assert_eq!(group.wait(), Err(Failed(1)));
    group.go(|| Err(Failed(2)));
    assert_eq!(group.wait(), Err(Failed(2)));
    assert_eq!(cause(&ctx), "part 1 has failed");
}

#[test]
fn E06_a_wait_that_is_given_up_leaves_the_error_for_the_next() {
    everywhere(|| {
        let (group, (release, hold)) = (Group::new(), chan::bounded::<()>(0));
        group.go(move || {
            let _ = hold.recv();
            Err(Failed(1))
        });
        for _ in 0..50 {
            let ctx = background().with_timeout(US * 20);
            assert_eq!(ctx.wait(group.wait_async()), Err(ContextError::DeadlineExceeded));
        }
        drop(release);
        assert_eq!(go_async(async move { group.wait_async().await }).join().unwrap(), Err(Failed(1)));
    });
}

#[test]
fn E07_a_panic_reaches_wait_after_all_have_ended_and_cancels_the_context() {
    everywhere(|| {
        let (group, ctx) = Group::<Failed>::with_context(&background());
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, end) = (ctx.clone(), ended.clone());
        group.go(move || {
            assert_eq!(seen.wait(pending::<()>()), Err(ContextError::Canceled));
            sleep(MS);
            end.store(true, Ordering::Relaxed);
            Err(Failed(1))
        });
        group.go(|| std::panic::panic_any("on purpose"));
        assert_eq!(panic_text(|| group.wait()), "on purpose");
        assert!(ended.load(Ordering::Relaxed));
        assert_eq!(cause(&ctx), "a goroutine of the group panicked");
        assert_eq!(group.wait(), Err(Failed(1)), "the error is there for the next wait");
    });
}

#[test]
fn E07_a_panic_gives_its_place_back() {
    let group = Group::<Failed>::new();
    group.set_limit(1);
    for _ in 0..3 {
        group.go(|| std::panic::resume_unwind(Box::new("quietly")));
    }
    assert_eq!(panic_text(|| group.wait()), "quietly");
    assert_eq!(format!("{group:?}"), "Group { active: 0, .. }");
}

#[test]
fn E07_goexit_is_an_end_without_an_error() {
    everywhere(|| {
        let (group, ctx) = Group::<Failed>::with_context(&background());
        group.set_limit(1);
        group.go(|| goexit());
        let seen = ctx.clone();
        group.go(move || if seen.err().is_none() { Ok(()) } else { Err(Failed(1)) });
        assert_eq!(group.wait(), Ok(()));
    });
}

#[test]
fn E08_after_an_error_others_still_run() {
    everywhere(|| {
        let (group, ctx) = Group::with_context(&background());
        group.set_limit(1);
        group.go(|| Err(Failed(0)));
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let (ran, ctx) = (ran.clone(), ctx.clone());
            group.go(move || {
                assert!(ctx.err().is_some());
                ran.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
        assert_eq!(group.wait(), Err(Failed(0)));
        assert_eq!(ran.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn E03_storm_of_places_given_up_loses_no_place() {
    everywhere(|| {
        let (group, gauge) = (Arc::new(Group::<Failed>::new()), Arc::new(Gauge::default()));
        group.set_limit(2);
        let comers: Vec<_> = (0..8)
            .map(|n: u32| {
                let (group, gauge) = (group.clone(), gauge.clone());
                go_async(async move {
                    let mut started = 0;
                    for i in 0..200u32 {
                        let ctx = background().with_timeout(US * ((i * 37 + n * 11) & 127));
                        let Ok(place) = ctx.wait_async(group.place_async()).await else { continue };
                        if i % 5 == 0 {
                            // Not used: it must go to the next.
                            drop(place);
                            continue;
                        }
                        started += 1;
                        let gauge = gauge.clone();
                        place.go(move || {
                            gauge.within(|| sleep(US * (i & 31)));
                            Ok(())
                        });
                    }
                    started
                })
            })
            .collect();
        let started: u32 = comers.into_iter().map(|comer| comer.join().unwrap()).sum();
        assert_eq!(group.wait(), Ok(()));
        assert!(started > 0 && gauge.most.load(Ordering::SeqCst) <= 2);
        // Both places are there again.
        let (release, hold) = chan::bounded::<()>(0);
        let start = || {
            let hold = hold.clone();
            group.try_go(move || {
                let _ = hold.recv();
                Ok(())
            })
        };
        assert_eq!([start(), start(), start()], [true, true, false]);
        drop(release);
        assert_eq!(group.wait(), Ok(()));
    });
}

#[test]
fn groups_may_be_used_from_threads_and_any_executor() {
    bounded(|| {
        let group = Group::new();
        group.go(|| Ok(()));
        group.go(|| Err("from a thread".to_owned()));
        assert_eq!(block_on(group.wait_async()), Err("from a thread".to_owned()));
    });
}

#[test]
fn a_childs_error_is_dropped_with_the_group_if_nobody_waits() {
    bounded(|| {
        let witness = Arc::new(());
        let group = Group::new();
        let error = witness.clone();
        group.go(move || Err(error));
        eventually("the goroutine has ended", || format!("{group:?}").contains("active: 0"));
        drop(group);
        eventually("the error is dropped", || Arc::strong_count(&witness) == 1);
    });
}
