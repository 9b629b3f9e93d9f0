//! `sync::Barrier`.
#![cfg(not(loom))]
#![allow(non_snake_case)]

use gosched::sync::{Barrier, BarrierWait, BarrierWaitResult};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

mod common;
use common::{MS, block_on, bounded, everywhere, poll_once};

/// One that has come, with nobody to complete the round.
#[track_caller]
fn arrived(barrier: &Barrier) -> Pin<Box<BarrierWait<'_>>> {
    let mut wait = Box::pin(barrier.wait_async());
    assert!(poll_once(wait.as_mut()).is_pending());
    wait
}

/// Whether a wait is over, and was not the leader's.
fn is_let_go(wait: &mut Pin<Box<BarrierWait<'_>>>) -> bool {
    match poll_once(wait.as_mut()) {
        Poll::Ready(result) => !result.is_leader(),
        Poll::Pending => false,
    }
}

#[test]
fn the_last_one_leads_and_lets_the_others_go() {
    let barrier = Barrier::new(3);
    let (mut a, mut b) = (arrived(&barrier), arrived(&barrier));
    assert!(poll_once(a.as_mut()).is_pending());
    assert!(barrier.wait().is_leader());
    assert!(is_let_go(&mut a) && is_let_go(&mut b));
}

#[test]
fn a_barrier_of_none_or_one_never_waits() {
    for n in [0, 1] {
        let barrier = Barrier::new(n);
        for _ in 0..3 {
            assert!(barrier.wait().is_leader());
            assert!(block_on(barrier.wait_async()).is_leader());
        }
    }
}

#[test]
fn rounds_do_not_mix() {
    let barrier = Barrier::new(2);
    let mut a = arrived(&barrier);
    assert!(barrier.wait().is_leader());
    // `a` was let go and does not know it yet: who comes now waits for another.
    let mut next = arrived(&barrier);
    assert!(is_let_go(&mut a));
    assert!(poll_once(next.as_mut()).is_pending());
    assert!(barrier.wait().is_leader());
    assert!(is_let_go(&mut next));
}

#[test]
fn a_wait_that_is_dropped_takes_its_arrival_back() {
    let barrier = Barrier::new(3);
    drop(barrier.wait_async());
    let (a, mut b) = (arrived(&barrier), arrived(&barrier));
    drop(a);
    let mut c = arrived(&barrier);
    assert!(barrier.wait().is_leader());
    assert!(is_let_go(&mut b) && is_let_go(&mut c));
    // Dropped after the leader came it takes back nothing.
    let (a, mut b) = (arrived(&barrier), arrived(&barrier));
    assert!(barrier.wait().is_leader());
    drop(a);
    assert!(is_let_go(&mut b));
    drop((arrived(&barrier), arrived(&barrier)));
    assert_eq!(format!("{barrier:?}"), "Barrier { size: 3, waiting: 0 }");
}

#[test]
fn a_wait_with_a_deadline_takes_its_arrival_back() {
    let barrier = Barrier::new(2);
    let begin = Instant::now();
    assert_eq!(barrier.wait_timeout(10 * MS), None);
    assert!(begin.elapsed() >= 10 * MS);
    assert_eq!(barrier.wait_deadline(Instant::now()), None);
    let mut a = arrived(&barrier);
    assert!(barrier.wait_timeout(Duration::MAX).unwrap().is_leader());
    assert!(is_let_go(&mut a));
}

#[test]
fn goroutines_threads_and_tasks_go_through_many_rounds_together() {
    everywhere(|| {
        const ROUNDS: usize = 100;
        const SIZE: usize = 7;
        let barrier = Arc::new(Barrier::new(SIZE));
        let leaders = Arc::new(AtomicUsize::new(0));
        let steps: Arc<[AtomicUsize]> = (0..SIZE).map(|_| AtomicUsize::new(0)).collect();
        // What each did before it came is seen after it was let go; nobody is a round ahead.
        let check = |steps: &[AtomicUsize], round| {
            for step in steps {
                let step = step.load(Ordering::Relaxed);
                assert!(step == round || step == round + 1, "{step} in round {round}");
            }
        };
        let walk = |k: usize| {
            let (barrier, leaders, steps) = (barrier.clone(), leaders.clone(), steps.clone());
            move || {
                for round in 1..=ROUNDS {
                    steps[k].fetch_add(1, Ordering::Relaxed);
                    if barrier.wait().is_leader() {
                        leaders.fetch_add(1, Ordering::Relaxed);
                    }
                    check(&steps, round);
                }
            }
        };
        let mut children: Vec<_> = (0..4).map(|k| gosched::go(walk(k))).collect();
        children.extend((4..6).map(|k| {
            let (barrier, leaders, steps) = (barrier.clone(), leaders.clone(), steps.clone());
            gosched::go_async(async move {
                for round in 1..=ROUNDS {
                    steps[k].fetch_add(1, Ordering::Relaxed);
                    if barrier.wait_async().await.is_leader() {
                        leaders.fetch_add(1, Ordering::Relaxed);
                    }
                    check(&steps, round);
                }
            })
        }));
        let plain = thread::spawn(walk(6));
        for child in children {
            child.join().unwrap();
        }
        gosched::blocking(move || plain.join().unwrap());
        assert_eq!(leaders.load(Ordering::Relaxed), ROUNDS, "one leader in each round");
    });
}

#[test]
fn more_than_a_round_needs_still_makes_exact_rounds() {
    // Six around a barrier of three: often two are the last one at the same time.
    everywhere(|| {
        const ARRIVALS: usize = 3 * 2_000;
        let barrier = Arc::new(Barrier::new(3));
        let (begun, leaders) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let children: Vec<_> = (0..6)
            .map(|_| {
                let (barrier, begun, leaders) = (barrier.clone(), begun.clone(), leaders.clone());
                gosched::go(move || {
                    while begun.fetch_add(1, Ordering::Relaxed) < ARRIVALS {
                        leaders.fetch_add(usize::from(barrier.wait().is_leader()), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for child in children {
            child.join().unwrap();
        }
        assert_eq!(leaders.load(Ordering::Relaxed), ARRIVALS / 3);
    });
}

#[test]
fn arrivals_dropped_by_the_thousand_leave_exact_rounds() {
    bounded(|| {
        const ROUNDS: usize = 2_000;
        let barrier = Arc::new(Barrier::new(3));
        // Let go, as leader or otherwise: in each round three are.
        let (leaders, others) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = |result: BarrierWaitResult, leaders: &AtomicUsize, others: &AtomicUsize| {
            if result.is_leader() { leaders } else { others }.fetch_add(1, Ordering::Relaxed);
        };
        // Two who come and stay away in turn, with dropped and timed waits, while three others insist.
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let fickle: Vec<_> = (0..2)
            .map(|k: usize| {
                let (barrier, stop) = (barrier.clone(), stop.clone());
                let (leaders, others) = (leaders.clone(), others.clone());
                thread::spawn(move || {
                    let mut i = k;
                    while !stop.load(Ordering::Relaxed) {
                        i += 1;
                        if i.is_multiple_of(3) {
                            if let Some(result) = barrier.wait_timeout(MS / 100) {
                                count(result, &leaders, &others);
                            }
                            continue;
                        }
                        let mut wait = pin!(barrier.wait_async());
                        for _ in 0..i % 4 {
                            if let Poll::Ready(result) = poll_once(wait.as_mut()) {
                                count(result, &leaders, &others);
                                break;
                            }
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let steady: Vec<_> = (0..3)
            .map(|_| {
                let barrier = barrier.clone();
                let (leaders, others) = (leaders.clone(), others.clone());
                thread::spawn(move || {
                    // The count of rounds is shared, so the last ones must not wait for those that have left.
                    while leaders.load(Ordering::Relaxed) < ROUNDS {
                        if let Some(result) = barrier.wait_timeout(20 * MS) {
                            count(result, &leaders, &others);
                        }
                    }
                })
            })
            .collect();
        for t in steady {
            t.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for t in fickle {
            t.join().unwrap();
        }
        let (leaders, others) = (leaders.load(Ordering::Relaxed), others.load(Ordering::Relaxed));
        assert!(leaders >= ROUNDS);
        // A future that was let go and dropped before it was polled again is in no count.
        assert!(others <= 2 * leaders, "{others} were let go by {leaders} leaders");
        assert_eq!(format!("{barrier:?}"), "Barrier { size: 3, waiting: 0 }");
    });
}
