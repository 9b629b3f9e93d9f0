//! What a hostile reading of contexts, groups, pipelines and pools came upon.
#![allow(non_snake_case)]

mod common;

use common::{bounded, eventually, everywhere, panic_text};
use gosched::chan::{self, TryRecvError};
use gosched::context::background;
use gosched::group::Group;
use gosched::pipeline::{JobError, WorkerPool, par_map, source, stage, tee};
use gosched::sync::{Map, SingleFlight};
use gosched::{Runtime, go, select, time};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Panics when it is called, after it has done something.
struct Bad<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Bad<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
        resume_unwind(Box::new("a bad waker"));
    }
}

fn bad_after(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Bad(f)))
}

fn perhaps<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

fn poll<F: Future + Unpin>(mut future: F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(&mut future).poll(&mut Context::from_waker(waker))
}

// ---- contexts ----

#[test]
fn X01_a_done_channel_that_outlives_its_context_closes_when_that_would_be_done_and_not_before() {
    everywhere(|| {
        let parent = background().with_cancel();
        let child = parent.with_cancel().detach();
        let done = child.done().clone();
        drop(child);
        assert_eq!(done.try_recv(), Err(TryRecvError::Empty), "nobody has cancelled anything");
        parent.cancel();
        assert_eq!(done.try_recv(), Err(TryRecvError::Disconnected));

        // With a function below it, which keeps it in the tree, and goes.
        let parent = background().with_cancel();
        let child = parent.with_cancel().detach();
        let done = child.done().clone();
        let stop = child.after_func(|| ());
        drop(child);
        assert!(stop.stop());
        assert_eq!(done.try_recv(), Err(TryRecvError::Empty));
        drop(parent);
        assert_eq!(done.try_recv(), Err(TryRecvError::Disconnected));

        // By its own deadline.
        let done = background().with_timeout(MS).detach().done().clone();
        assert!(done.recv().is_err());
        let done = background().with_timeout(Duration::from_secs(3600)).detach().done().clone();
        assert_eq!(done.try_recv(), Err(TryRecvError::Empty));

        // Nobody can ever end these.
        let lone = background().with_cancel().detach();
        let below = lone.with_cancel().detach();
        let both = [lone.done().clone(), below.done().clone()];
        drop((lone, below));
        assert!(both.iter().all(|done| done.try_recv() == Err(TryRecvError::Empty)));
    });
}

// ---- groups ----

#[test]
fn E05_a_waker_that_panics_costs_nobody_else_a_place() {
    bounded(|| {
        let group = Group::<String>::new();
        group.set_limit(0);
        let mut first = group.place_async();
        assert!(poll(&mut first, &bad_after(|| ())).is_pending());
        let told = Arc::new(Told::default());
        let mut second = group.place_async();
        assert!(poll(&mut second, &Waker::from(told.clone())).is_pending());
        perhaps(|| group.set_limit(2));
        assert!(told.0.load(Ordering::SeqCst), "the second has a place and does not know");
        assert!(poll(&mut first, Waker::noop()).is_ready());
        assert!(poll(&mut second, Waker::noop()).is_ready());
    });
}

#[derive(Default)]
struct Told(AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// An error that cannot be cloned after all.
#[derive(Debug)]
struct Stubborn;

impl Clone for Stubborn {
    fn clone(&self) -> Self {
        panic!("no clone of this")
    }
}

impl fmt::Display for Stubborn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stubborn")
    }
}

impl Error for Stubborn {}

#[test]
fn E02_a_panic_while_the_cause_is_made_cancels_the_context_too() {
    everywhere(|| {
        let (group, ctx) = Group::<Stubborn>::with_context(&background());
        group.go(|| Err(Stubborn));
        // Would wait for ever for what nobody tells it.
        group.go(move || {
            let _ = ctx.done().recv();
            Ok(())
        });
        assert_eq!(panic_text(|| group.wait()), "no clone of this");
    });
}

// ---- pools of workers ----

#[test]
fn N07_jobs_that_have_not_begun_are_canceled_at_once_though_all_workers_are_busy() {
    type Cancel = fn(&WorkerPool, &gosched::context::CancelContext);
    let ways: [Cancel; 2] = [|pool, _| pool.cancel(), |_, owner| owner.cancel()];
    for way in ways {
        bounded(move || {
            let runtime = Runtime::builder().workers(2).build().unwrap();
            runtime.run(move || {
                let owner = background().with_cancel();
                let pool = WorkerPool::builder().workers(1).queue(2).context(&owner).build();
                let (go_on, rx) = chan::bounded::<()>(0);
                let held = Arc::new(());
                let (begins, begun) = chan::bounded::<()>(0);
                let busy = pool.submit(move || begins.send(()).is_ok() && rx.recv().is_err());
                begun.recv().unwrap();
                let queued: Vec<_> = (0..2)
                    .map(|_| {
                        let held = held.clone();
                        pool.submit(move || drop(held))
                    })
                    .collect();
                way(&pool, &owner);
                for job in queued {
                    assert!(matches!(job.join(), Err(JobError::Canceled)));
                }
                eventually("what the jobs held is gone", || Arc::strong_count(&held) == 1);
                assert_eq!(pool.stats().canceled, 2);
                drop(go_on);
                assert!(busy.join().unwrap());
                pool.wait();
            });
        });
    }
}

#[test]
fn N05_dropping_a_pool_whose_workers_are_busy_cancels_what_is_queued() {
    everywhere(|| {
        let pool = WorkerPool::builder().workers(1).queue(1).build();
        let (go_on, rx) = chan::bounded::<()>(0);
        let (begins, begun) = chan::bounded::<()>(0);
        let busy = pool.submit(move || begins.send(()).is_ok() && rx.recv().is_err());
        begun.recv().unwrap();
        let queued = pool.submit(|| ());
        drop(pool);
        assert!(matches!(queued.join(), Err(JobError::Canceled)));
        drop(go_on);
        assert!(busy.join().unwrap());
    });
}

#[test]
fn N03_a_pool_may_have_any_number_of_workers() {
    everywhere(|| {
        let pool = WorkerPool::builder().workers_between(0, usize::MAX).build();
        let jobs: Vec<_> = (0..100).map(|n| pool.submit(move || n)).collect();
        let sum: usize = jobs.into_iter().map(|job| job.join().unwrap()).sum();
        assert_eq!(sum, 4950);
        let results = pool.in_order((0..10).map(|n| move || n)).map(Result::unwrap);
        assert!(results.eq(0..10));
    });
}

#[test]
fn N01_a_panic_among_results_that_nobody_takes_reaches_wait() {
    everywhere(|| {
        let pool = WorkerPool::new(1);
        let mut results = pool.as_completed((0..2).map(|n| move || assert_eq!(n, 0, "the second panicked")));
        assert!(results.next().unwrap().is_ok());
        eventually("both have ended", || pool.stats().done + pool.stats().panicked == 2);
        drop(results);
        assert!(panic_text(|| pool.wait()).contains("the second panicked"));
    });
}

#[test]
fn N05_a_bad_waker_at_the_end_of_the_last_job_costs_the_pool_no_worker() {
    bounded(|| {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        runtime.run(|| {
            let pool: &'static WorkerPool = Box::leak(Box::new(WorkerPool::new(1)));
            let job: &'static gosched::sync::Mutex<Option<gosched::pipeline::Job<i32>>> =
                Box::leak(Box::new(gosched::sync::Mutex::new(None)));
            let first = pool.submit(|| 1);
            let mut wait = pool.wait_async();
            // Submitted while the worker that is to run it is in the waker's hands.
            let bad = bad_after(|| *job.lock() = Some(pool.submit(|| 2)));
            assert!(poll(&mut wait, &bad).is_pending());
            assert_eq!(first.join().unwrap(), 1);
            eventually("the waker was called", || job.lock().is_some());
            let second = job.lock().take().unwrap();
            assert_eq!(second.join().unwrap(), 2);
        });
    });
}

#[test]
fn N05_a_job_whose_handle_has_a_bad_waker_has_not_panicked() {
    everywhere(|| {
        let pool = WorkerPool::new(1);
        let (go_on, rx) = chan::bounded::<()>(0);
        let mut job = pool.submit(move || rx.recv().is_err());
        assert!(poll(&mut job, &bad_after(|| ())).is_pending());
        drop(go_on);
        pool.wait();
        assert!(job.join().unwrap());
        assert_eq!((pool.stats().done, pool.stats().panicked), (1, 0));
    });
}

#[test]
fn E07_a_bad_waker_that_is_given_a_place_does_not_end_the_process() {
    everywhere(|| {
        let group = Group::<String>::new();
        group.set_limit(1);
        let (go_on, rx) = chan::bounded::<()>(0);
        group.go(move || {
            let _ = rx.recv();
            panic!("of the function")
        });
        let mut place = group.place_async();
        assert!(poll(&mut place, &bad_after(|| ())).is_pending());
        drop(go_on);
        assert_eq!(panic_text(|| group.wait()), "of the function");
        assert!(poll(&mut place, Waker::noop()).is_ready());
    });
}

// ---- maps ----

/// Counts those that are there; each seventh panics when it is dropped.
#[derive(PartialEq, Eq, Hash)]
struct Bomb(u32);

static BOMBS: AtomicUsize = AtomicUsize::new(0);

impl Bomb {
    fn new(n: u32) -> Self {
        BOMBS.fetch_add(1, Ordering::SeqCst);
        Self(n)
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        BOMBS.fetch_sub(1, Ordering::SeqCst);
        if self.0.is_multiple_of(7) && !std::thread::panicking() {
            resume_unwind(Box::new("a bomb"));
        }
    }
}

/// Keys are dropped by the table, in the middle of its own affairs.
#[test]
fn Y33_keys_and_values_that_panic_when_dropped_leave_the_map_whole() {
    bounded(|| {
        let map = Map::new();
        for n in 0..2000 {
            map.store(Bomb::new(n), n);
            let key = std::mem::ManuallyDrop::new(Bomb(n));
            if n % 3 == 0 {
                map.delete(&*key);
            }
        }
        let mut left = 0;
        map.range(|key, n| {
            assert!(key.0 == *n && n % 3 != 0);
            left += 1;
            true
        });
        assert_eq!(left, 1333);
        drop(map);
        assert_eq!(BOMBS.load(Ordering::SeqCst), 0, "keys");

        let map = Map::new();
        for n in 0..2000 {
            // Nobody else has it: a panic of its drop is for who replaces or removes it.
            map.store(n % 500, Bomb::new(n));
            if n % 500 == 499 {
                map.clear();
                assert_eq!(BOMBS.load(Ordering::SeqCst), 0, "values that were cleared");
            }
        }
        for n in 0..100 {
            map.store(n, Bomb::new(n));
        }
        drop(map);
        assert_eq!(BOMBS.load(Ordering::SeqCst), 0, "values");
    });
}

// ---- shared runs ----

/// Whether keys can be compared.
static COMPARABLE: AtomicBool = AtomicBool::new(true);

#[derive(Clone)]
struct Sulky(u8);

impl Hash for Sulky {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Sulky {
    fn eq(&self, other: &Self) -> bool {
        assert!(COMPARABLE.load(Ordering::SeqCst), "not comparable now");
        self.0 == other.0
    }
}

impl Eq for Sulky {}

/// Before, the panic was followed by a second one in a destructor, which ended the process.
#[test]
fn F06_the_key_of_a_run_is_forgotten_whatever_its_eq_does() {
    everywhere(|| {
        let flights = SingleFlight::new();
        let (value, _) = flights.run(Sulky(1), || {
            COMPARABLE.store(false, Ordering::SeqCst);
            1
        });
        COMPARABLE.store(true, Ordering::SeqCst);
        assert_eq!(value, 1);
        assert_eq!(flights.run(Sulky(1), || 2), (2, false));
    });
}

// ---- stages ----

#[test]
fn N10_a_stage_ends_though_a_select_has_promised_it_an_item() {
    everywhere(|| {
        let (tx, rx) = chan::bounded::<i32>(0);
        let (go_on, held) = chan::bounded::<()>(0);
        let (choosing, chosen) = chan::bounded::<()>(1);
        let sender = go(move || {
            select! {
                send(tx, {
                    choosing.send(()).unwrap();
                    let _ = held.recv();
                    1
                }) -> sent => sent.is_ok(),
            }
        });
        // The select waits before the stage comes.
        time::sleep(MS);
        let alive = Arc::new(());
        let token = alive.clone();
        let out = stage(&background(), 1, rx, move |n| {
            let _ = &token;
            n
        });
        chosen.recv().unwrap();
        drop(out);
        eventually("the stage has ended", || Arc::strong_count(&alive) == 1);
        drop(go_on);
        sender.join().unwrap();
    });
}

// ---- looked at and found to hold ----

#[test]
fn N10_a_stage_whose_item_panics_when_dropped_still_ends() {
    everywhere(|| {
        struct Sore(Arc<AtomicUsize>);
        impl Drop for Sore {
            fn drop(&mut self) {
                if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                    panic!("dropped");
                }
            }
        }
        let drops = Arc::new(AtomicUsize::new(0));
        let items = (0..5).map({
            let drops = drops.clone();
            move |_| Sore(drops.clone())
        });
        let mut copies =
            tee(&background(), 1, stage(&background(), 1, source(&background(), items), Arc::new));
        let out = copies.remove(0);
        perhaps(|| drop(out.recv()));
        drop(out);
        eventually("only main is left", || gosched::num_goroutine() == 1);
        assert!(drops.load(Ordering::SeqCst) >= 1);
        drop(par_map(&background(), 2, 0.., |n| n));
        eventually("only main is left", || gosched::num_goroutine() == 1);
    });
}
