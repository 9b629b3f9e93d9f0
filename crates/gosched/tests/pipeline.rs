//! `pipeline`: stages, what they compute, and that none is left behind.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::values::Counted;
use common::{MS, block_on, bounded, cheap_modes, eventually, everywhere, in_each, panic_text, settles};
use gosched::chan::{self, Receiver, RecvError, TryRecvError};
use gosched::context::{Context, ContextError, background};
use gosched::pipeline::{
    fan_out, for_each, map, merge, par_map, par_map_unordered, source, stage, stage_ordered, tee,
};
use gosched::time::sleep;
use gosched::{go, num_goroutine, select, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// All stages there are, each behind `rx`; what they return is kept in the box.
fn every_stage(ctx: &Context, rx: &Receiver<u64>) -> Vec<(&'static str, Box<dyn std::any::Any>)> {
    let rx = || rx.clone();
    let chain = stage_ordered(ctx, 2, merge(ctx, [stage(ctx, 2, rx(), |n| n), rx()]), |n| n);
    vec![
        ("stage", Box::new(stage(ctx, 3, rx(), |n| n))),
        ("stage_ordered", Box::new(stage_ordered(ctx, 3, rx(), |n| n))),
        ("merge", Box::new(merge(ctx, [rx(), rx(), rx()]))),
        ("fan_out", Box::new(fan_out(ctx, 3, rx()))),
        ("tee", Box::new(tee(ctx, 3, rx()))),
        ("all", Box::new(tee(ctx, 2, fan_out(ctx, 2, chain).remove(0)))),
    ]
}

#[test]
fn a_stage_ends_with_its_consumer_also_while_nothing_comes_from_above() {
    everywhere(|| {
        let before = num_goroutine();
        let (tx, rx) = chan::bounded::<u64>(0);
        for (name, output) in every_stage(&background(), &rx) {
            let with = num_goroutine();
            assert!(with > before, "{name} has goroutines");
            drop(output);
            eventually(name, || num_goroutine() < with);
        }
        settles(before);
        drop(rx);
        // Each stage has let its input go.
        assert!(tx.is_closed());
    });
}

#[test]
fn a_stage_ends_with_its_consumer_while_it_is_sending() {
    everywhere(|| {
        let before = num_goroutine();
        let numbers = source(&background(), 0u64..);
        for (_, output) in every_stage(&background(), &numbers) {
            // They have filled up, and are blocked in their sends, or are about to be.
            for _ in 0..10 {
                yield_now();
            }
            drop(output);
        }
        settles(before + 1);
        drop(numbers);
        settles(before);
        drop(par_map(&background(), 3, 0.., |n| n));
        drop(par_map_unordered(&background(), 3, 0.., |n| n));
        settles(before);
    });
}

#[test]
fn a_stage_ends_with_its_context_though_its_consumer_stays() {
    everywhere(|| {
        let before = num_goroutine();
        for idle in [true, false] {
            let ctx = background().with_cancel();
            let (_tx, quiet) = chan::bounded::<u64>(0);
            let numbers = if idle { quiet } else { source(&ctx, 0u64..) };
            let outputs = every_stage(&ctx, &numbers);
            yield_now();
            ctx.cancel();
            settles(before);
            drop(outputs);
            // One that begins under a context that is done has nothing to give.
            let late = stage(&ctx, 2, numbers, |n| n);
            assert_eq!(late.recv(), Err(RecvError));
            assert_eq!(ctx.err(), Some(ContextError::Canceled));
            settles(before);
        }
    });
}

#[test]
fn N05_a_panic_reaches_the_consumer_and_ends_all_stages() {
    everywhere(|| {
        let before = num_goroutine();
        let numbers = source(&background(), 0u64..);
        let broken = stage(&background(), 2, numbers, |n| if n == 20 { panic!("at {n}") } else { n });
        let end = merge(&background(), [stage(&background(), 2, broken, |n| n), chan::never()]);
        let text = panic_text(|| {
            for _ in 0..1000 {
                end.recv().unwrap();
            }
        });
        assert_eq!(text, "at 20");
        // Once: then it is just closed.
        assert_eq!(end.recv(), Err(RecvError));
        settles(before);
    });
}

#[test]
fn N05_every_way_to_receive_raises_the_panic_once() {
    everywhere(|| {
        let broken = || {
            let rx = source(&background(), std::iter::from_fn(|| -> Option<u8> { panic!("from above") }));
            eventually("it is closed", || rx.is_closed());
            rx
        };
        type Way = fn(&Receiver<u8>);
        let ways: [(&str, Way); 8] = [
            ("recv", |rx| _ = rx.recv()),
            ("try_recv", |rx| _ = rx.try_recv()),
            ("recv_timeout", |rx| _ = rx.recv_timeout(MS)),
            ("iter", |rx| _ = rx.iter().next()),
            ("recv_async", |rx| _ = block_on(rx.recv_async())),
            ("context", |rx| _ = background().wait(rx.recv_async())),
            ("select", |rx| select! { recv(rx) -> item => _ = item }),
            ("Select", |rx| {
                let mut select = gosched::Select::new();
                select.recv(rx);
                let _ = select.select().recv(rx);
            }),
        ];
        for (name, way) in ways {
            let rx = broken();
            assert_eq!(panic_text(|| way(&rx)), "from above", "{name}");
            assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected), "{name}");
        }
        // And one who waits already.
        let (release, hold) = chan::bounded::<()>(0);
        let rx = source(
            &background(),
            std::iter::from_fn(move || -> Option<u8> {
                let _ = hold.recv();
                panic!("late")
            }),
        );
        let waiting = go(move || rx.recv());
        yield_now();
        drop(release);
        let payload = waiting.join().expect_err("the consumer panics");
        assert_eq!(common::text(&*payload), "late");
    });
}

#[test]
fn N10_results_come_in_the_order_of_the_input_whatever_takes_how_long() {
    everywhere(|| {
        let before = num_goroutine();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        let slow = move |n: u64| {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            seen.fetch_max(now, Ordering::SeqCst);
            if n.is_multiple_of(7) {
                sleep(MS);
            }
            running.fetch_sub(1, Ordering::SeqCst);
            n * 2
        };
        let results: Vec<u64> = par_map(&background(), 4, 0..200, slow).collect();
        assert_eq!(results, (0..200).map(|n| n * 2).collect::<Vec<_>>());
        let most = most.load(Ordering::SeqCst);
        assert!((2..=4).contains(&most), "{most} at a time");
        settles(before);
    });
}

#[test]
fn N10_a_panic_comes_in_its_place() {
    everywhere(|| {
        let before = num_goroutine();
        let picky = |n: u32| if n == 30 { panic!("not {n}") } else { n };
        let mut results = par_map(&background(), 4, 0.., picky);
        for n in 0..30 {
            assert_eq!(results.next(), Some(n));
        }
        assert_eq!(panic_text(|| results.next()), "not 30");
        assert_eq!(results.next(), None);
        settles(before);
    });
}

#[test]
fn ordered_stages_work_ahead_by_their_window_and_no_more() {
    everywhere(|| {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let rx = source(
            &background(),
            std::iter::repeat_with(move || {
                counter.fetch_add(1, Ordering::SeqCst);
            }),
        );
        let out = stage_ordered(&background(), 3, rx, |()| ());
        // Nobody receives. Six in the stage, one given back for the result that is being sent, and one in the source.
        eventually("it is full", || taken.load(Ordering::SeqCst) >= 7);
        for _ in 0..100 {
            yield_now();
        }
        sleep(5 * MS);
        assert!(taken.load(Ordering::SeqCst) <= 8, "{taken:?}");
        assert_eq!(out.recv(), Ok(()));
        eventually("there is a place for one more", || taken.load(Ordering::SeqCst) >= 8);
    });
}

#[test]
fn merge_loses_nothing_and_keeps_the_order_of_each_input() {
    everywhere(|| {
        let ctx = background();
        let inputs = (0..5u64).map(|k| source(&background(), (0..100).map(move |n| (k, n))));
        let mut next = [0; 5];
        for (k, n) in merge(&ctx, inputs) {
            assert_eq!(n, next[k as usize]);
            next[k as usize] += 1;
        }
        assert_eq!(next, [100; 5]);
        assert_eq!(merge::<u8>(&ctx, []).recv(), Err(RecvError), "nothing to wait for");
    });
}

#[test]
fn fan_out_gives_each_item_to_one_and_goes_on_without_those_who_leave() {
    everywhere(|| {
        let before = num_goroutine();
        let mut shares = fan_out(&background(), 4, source(&background(), 0..1000u64));
        drop(shares.pop());
        let consumers: Vec<_> =
            shares.into_iter().map(|rx| go(move || rx.iter().collect::<Vec<_>>())).collect();
        let mut all: Vec<u64> = consumers.into_iter().flat_map(|rx| rx.join().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        settles(before);
    });
}

#[test]
fn tee_gives_all_to_each_and_the_slow_one_holds_the_others() {
    everywhere(|| {
        let before = num_goroutine();
        let copies = tee(&background(), 3, source(&background(), 0..50));
        // In whatever order they are asked.
        for n in 0..20 {
            for k in [2, 0, 1] {
                assert_eq!(copies[k].recv(), Ok(n));
            }
        }
        assert_eq!(copies[0].recv(), Ok(20));
        assert_eq!(copies[1].recv(), Ok(20));
        assert_eq!(copies[0].recv_timeout(5 * MS).ok(), None, "the third has not had the last one");
        let [a, b, slow] = copies.try_into().unwrap();
        drop(slow);
        assert_eq!((a.recv(), b.recv()), (Ok(21), Ok(21)));
        drop(b);
        assert!(a.iter().eq(22..50));
        settles(before);
    });
}

#[test]
fn tee_hands_a_panic_to_all() {
    everywhere(|| {
        let broken =
            stage(
                &background(),
                1,
                source(&background(), 0..),
                |n| {
                    if n == 2 { panic!("no {n}") } else { n }
                },
            );
        let copies = tee(&background(), 3, broken);
        let ends: Vec<_> = copies
            .into_iter()
            .map(|rx| go(move || (rx.recv(), rx.recv(), panic_text(|| rx.recv()))))
            .collect();
        for end in ends {
            assert_eq!(end.join().unwrap(), (Ok(0), Ok(1), "no 2".to_owned()));
        }
    });
}

#[test]
fn stages_compose_with_plain_channels_select_threads_and_async() {
    everywhere(|| {
        let (tx, rx) = chan::bounded(4);
        let producer = thread::spawn(move || (0..100u64).try_for_each(|n| tx.send(n)));
        let doubled = stage(&background(), 2, rx, |n| n * 2);
        let (mine, theirs) = (doubled.clone(), doubled.clone());
        let task = gosched::go_async(async move {
            let mut sum = 0;
            while let Ok(n) = mine.recv_async().await {
                sum += n;
            }
            sum
        });
        let consumer = thread::spawn(move || theirs.iter().sum::<u64>());
        let mut sum = 0;
        loop {
            select! {
                recv(doubled) -> item => match item {
                    Ok(n) => sum += n,
                    Err(RecvError) => break,
                },
            }
        }
        let others = gosched::blocking(|| consumer.join().unwrap()) + task.join().unwrap();
        assert_eq!(sum + others, 99 * 100);
        gosched::blocking(|| producer.join().unwrap()).unwrap();
    });
}

#[test]
fn N09_for_each_changes_in_place_and_map_keeps_the_order() {
    everywhere(|| {
        let before = num_goroutine();
        let mut numbers: Vec<u64> = (0..100).collect();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for_each(3, numbers.iter_mut(), |n| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            yield_now();
            *n *= 2;
            running.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(numbers.iter().copied().eq((0..100).map(|n| n * 2)));
        assert!(most.into_inner() <= 3);
        // All errors, or the first.
        let halves = map(4, &numbers, |&n| if n % 8 == 6 { Err(n) } else { Ok(n / 2) });
        assert_eq!(halves.iter().filter(|half| half.is_err()).count(), 25);
        assert_eq!(halves.into_iter().collect::<Result<Vec<_>, _>>(), Err(6));
        assert_eq!(map(3, [0; 0], |n: i32| n), []);
        let done = AtomicUsize::new(0);
        let text = panic_text(|| {
            for_each(2, 0..50, |n| {
                assert_ne!(n, 10, "ten");
                done.fetch_add(1, Ordering::SeqCst);
            });
        });
        assert!(text.contains("ten"), "{text}");
        assert_eq!(done.into_inner(), 49, "the other goroutine does the rest first");
        settles(before);
    });
}

#[test]
fn a_stage_without_goroutines_is_refused() {
    let text = "gosched::pipeline: a stage needs at least one goroutine";
    let rx = || chan::never::<u8>();
    assert_eq!(panic_text(|| stage(&background(), 0, rx(), |n| n)), text);
    assert_eq!(panic_text(|| stage_ordered(&background(), 0, rx(), |n| n)), text);
    assert_eq!(panic_text(|| par_map(&background(), 0, 0..1, |n| n)), text);
}

#[test]
fn closed_ends_with_the_last_receiver_or_by_close() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<u8>(1);
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let tx = tx.clone();
                go(move || tx.closed())
            })
            .collect();
        let other = rx.clone();
        drop(rx);
        yield_now();
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "there is another receiver");
        drop(other);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        let (tx, _rx) = chan::unbounded::<u8>();
        let (seen, waiting) = (
            tx.clone(),
            thread::spawn({
                let tx = tx.clone();
                move || tx.closed()
            }),
        );
        assert!(seen.close());
        gosched::blocking(|| waiting.join().unwrap());
        tx.closed();
    });
}

/// Waits for the closing that are given up at any moment, while others are told: nobody is forgotten.
#[test]
fn closed_futures_dropped_at_random_take_no_wake_from_others() {
    in_each(cheap_modes(), || {
        for round in 0..300u32 {
            let (tx, rx) = chan::bounded::<u8>(0);
            let waiters: Vec<_> = (0..8u32)
                .map(|k| {
                    let tx = tx.clone();
                    go(move || {
                        let ctx =
                            background().with_timeout(Duration::from_micros(u64::from(round * k % 300)));
                        if k % 2 == 0 {
                            let _ = ctx.wait(tx.closed_async());
                        } else {
                            tx.closed();
                        }
                    })
                })
                .collect();
            if round % 3 == 0 {
                yield_now();
            }
            drop(rx);
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        }
    });
}

/// Pipelines by the hundred that end in every way at every moment: each item is dropped exactly once, no goroutine is
/// left.
#[test]
fn storm_of_pipelines_that_are_given_up() {
    in_each(cheap_modes(), || {
        let before = num_goroutine();
        let live = Arc::new(AtomicUsize::new(0));
        for round in 0..200usize {
            let ctx = background().with_timeout(Duration::from_micros((round * 37 % 900) as u64));
            let items = {
                let live = live.clone();
                source(&ctx, std::iter::repeat_with(move || Counted::new(live.clone())))
            };
            let bad = (round % 5 == 0).then_some(round % 17);
            let calls = AtomicUsize::new(0);
            let worked = stage_ordered(&ctx, 3, items, move |item| {
                if Some(calls.fetch_add(1, Ordering::SeqCst)) == bad {
                    // Without the noise of the hook.
                    std::panic::resume_unwind(Box::new("meant to be"));
                }
                item
            });
            let copies = tee(&ctx, 2, worked);
            let all = merge(&background(), copies);
            let taken = catch_unwind(AssertUnwindSafe(|| all.iter().take(round % 50).count()));
            assert!(taken.is_ok() || bad.is_some());
        }
        settles(before);
        assert_eq!(live.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn pipelines_work_from_plain_threads() {
    bounded(|| {
        let ctx = background().with_cancel();
        let sum: u64 = par_map(&ctx, 2, 0..100, |n| n).sum();
        assert_eq!(sum, 4950);
        assert_eq!(map(2, 0..10, |n| n).len(), 10);
    });
}
