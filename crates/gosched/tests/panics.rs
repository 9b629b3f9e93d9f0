//! Users' functions that panic, wherever the library calls one: nothing stays locked, nothing is lost, no goroutine
//! stays behind, and the same operation on the same thing works afterwards. (FEATURES G06, and the rule that a panic
//! ends one goroutine.)
//!
//! Bodies of goroutines, scopes, groups, WaitGroups, once initialisers, shared runs, stages and jobs have tests of
//! their own beside what they do; those of this file are short, or test them all together.
#![cfg(not(loom))]
#![allow(non_snake_case)]

mod common;

use common::{MS, bounded_as, eventually, modes, panic_text};
use gosched::chan::{self, TryRecvError};
use gosched::context::background;
use gosched::group::{self, Group};
use gosched::pipeline::{self, JobError, WorkerPool};
use gosched::sync::{
    Condvar, LazyLock, Map, Mutex, Once, OnceCell, Pool, RwLock, Semaphore, SingleFlight, WaitGroup,
};
use gosched::{
    Select, blocking, blocking_async, go, go_async, goroutine_local, no_suspend, num_goroutine, scope,
    select, select_async, select_biased, time, wait, yield_now,
};
use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A panic that prints nothing.
fn boom() -> ! {
    resume_unwind(Box::new("boom"))
}

/// `f` panics with [`boom`]'s text.
#[track_caller]
fn raises<T>(f: impl FnOnce() -> T) {
    assert_eq!(panic_text(f), "boom");
}

/// Calls `f`, which may panic.
fn quietly<T>(f: impl FnOnce() -> T) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
}

/// Panics the first time it is asked, and never again.
#[derive(Default)]
struct Once1(AtomicUsize);

impl Once1 {
    fn panic_first(&self) {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            boom();
        }
    }
}

/// Runs each case twice in a goroutine of its own, in every mode, and looks afterwards whether the runtime is as before.
#[track_caller]
fn each(cases: &[(&'static str, fn())]) {
    for mode in modes() {
        let cases = cases.to_vec();
        bounded_as(mode.name, move || {
            mode.runtime.run(|| {
                for (name, case) in cases {
                    for _ in 0..2 {
                        go(case).join().unwrap_or_else(|panic| panic!("{name}: {}", common::text(&*panic)));
                        // A goroutine is counted for a moment after it was joined.
                        eventually(name, || num_goroutine() == 1);
                    }
                }
                is_whole();
            });
        });
    }
}

/// The runtime runs goroutines, hands over messages, wakes who sleeps, makes blocking calls, and has lost no place.
fn is_whole() {
    let (tx, rx) = chan::bounded(0);
    scope(|s| {
        for n in 0..20 {
            let tx = tx.clone();
            s.go(move || tx.send(n).unwrap());
        }
        let mut got: Vec<_> = rx.iter().take(20).collect();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..20));
    });
    time::sleep(Duration::from_micros(10));
    assert_eq!(blocking(|| 1), 1);
    assert_eq!(go_async(async { 2 }).join().unwrap(), 2);
    eventually("only main is left", || num_goroutine() == 1);
}

#[test]
fn G06_bodies_of_goroutines() {
    each(&[
        ("go", || raises(|| resume_unwind(go(|| boom()).join().map(|never: ()| never).unwrap_err()))),
        ("go_async", || {
            let handle = go_async(async {
                time::sleep_async(MS).await;
                boom()
            });
            raises(|| resume_unwind(handle.join().map(|never: ()| never).unwrap_err()));
        }),
        ("in the middle of a nested wait", || {
            let handle = go_async(async {
                time::sleep(MS);
                boom()
            });
            raises(|| resume_unwind(handle.join().map(|never: ()| never).unwrap_err()));
        }),
        ("scope's own function, and children", || {
            raises(|| {
                scope(|s| {
                    s.go(|| time::sleep(MS));
                    s.go(|| boom());
                    boom()
                })
            });
            raises(|| scope(|s| s.go_twice()));
        }),
        ("WaitGroup", || {
            let wg = WaitGroup::new();
            for _ in 0..2 {
                wg.go(|| boom());
                wg.go(yield_now);
                raises(|| wg.wait());
                wg.wait();
            }
        }),
        ("Group", || {
            let group = Group::<String>::new();
            group.set_limit(1);
            group.go(|| boom());
            // The place is free again.
            group.go(|| Ok(()));
            raises(|| group.wait());
            assert_eq!(group.wait(), Ok(()));
        }),
        ("group::scope", || raises(|| group::scope(|g| g.go(|| -> Result<(), String> { boom() })))),
        ("group::scope's own function", || {
            raises(|| {
                group::scope(|g| -> () {
                    g.go(|| -> Result<(), String> {
                        time::sleep(MS);
                        Ok(())
                    });
                    boom()
                })
            });
        }),
    ]);
}

/// A scope's function that starts two children that panic.
trait GoTwice<'scope> {
    fn go_twice(&'scope self);
}

impl<'scope> GoTwice<'scope> for gosched::goroutine::Scope<'scope, '_> {
    fn go_twice(&'scope self) {
        self.go(|| boom());
        self.go(|| boom());
    }
}

#[test]
fn destructors_that_use_the_library_while_their_goroutine_unwinds() {
    struct Busy {
        lock: Arc<Mutex<u32>>,
        tx: chan::Sender<u32>,
        wg: WaitGroup,
        ctx: gosched::context::CancelContext,
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            *self.lock.lock() += 1;
            self.tx.send(1).unwrap();
            self.ctx.cancel();
            // A goroutine that is started now is not unwinding.
            let (lock, wg) = (self.lock.clone(), self.wg.clone());
            wg.go(move || {
                assert!(!std::thread::panicking());
                *lock.lock() += 1;
                time::sleep(MS);
            });
            select! { send(self.tx, 2) -> sent => sent.unwrap(), default => unreachable!() }
        }
    }
    each(&[("a destructor", || {
        let (tx, rx) = chan::bounded(2);
        let (lock, wg) = (Arc::new(Mutex::new(0)), WaitGroup::new());
        let ctx = background().with_cancel();
        let done = ctx.clone();
        let busy = Busy { lock: lock.clone(), tx, wg: wg.clone(), ctx };
        let handle = go(move || {
            let _busy = busy;
            yield_now();
            boom()
        });
        raises(|| resume_unwind(handle.join().map(|never: ()| never).unwrap_err()));
        assert!(common::is_done(&done));
        wg.wait();
        assert_eq!(*lock.lock(), 2);
        assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2]);
    })]);
}

#[test]
fn arms_of_select_that_panic_have_been_chosen_and_leave_the_others_alone() {
    each(&[
        ("receive", || {
            let (tx, rx) = chan::bounded(1);
            let (never_tx, never_rx) = chan::bounded::<u8>(0);
            tx.send(7).unwrap();
            raises(|| {
                select! {
                    recv(rx) -> msg => { assert_eq!(msg, Ok(7)); boom() },
                    recv(never_rx) -> _ => unreachable!(),
                    send(never_tx, 1) -> _ => unreachable!(),
                }
            });
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "the message was taken");
            // Nobody is registered any more.
            assert!(never_tx.try_send(1).is_err());
            let receiver = go(move || never_rx.recv());
            never_tx.send(2).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(2));
        }),
        ("after a wait", || {
            let (tx, rx) = chan::bounded(0);
            let (other_tx, other_rx) = chan::bounded::<u8>(0);
            let waiter = go(move || {
                raises(|| {
                    select! {
                        recv(rx) -> msg => { assert_eq!(msg, Ok(7)); boom() },
                        recv(other_rx) -> _ => unreachable!(),
                    }
                });
                (rx, other_rx)
            });
            tx.send(7).unwrap();
            let (rx, other_rx) = waiter.join().unwrap();
            assert!(tx.try_send(1).is_err() && other_tx.try_send(1).is_err(), "nobody waits there");
            let pair = go(move || (rx.recv(), other_rx.recv()));
            tx.send(1).unwrap();
            other_tx.send(2).unwrap();
            assert_eq!(pair.join().unwrap(), (Ok(1), Ok(2)));
        }),
        ("send, default, biased", || {
            let (tx, rx) = chan::bounded(1);
            raises(|| select! { send(tx, 1) -> sent => { sent.unwrap(); boom() } });
            raises(|| select! { send(tx, 2) -> _ => unreachable!(), default => boom() });
            raises(|| select! { send(tx, 2) -> _ => unreachable!(), default(MS) => boom() });
            raises(|| select_biased! { recv(rx) -> msg => { assert_eq!(msg, Ok(1)); boom() } });
            raises(|| select_biased! { recv(rx) -> _ => unreachable!(), default => boom() });
            assert_eq!((tx.len(), tx.try_send(3), rx.try_recv()), (0, Ok(()), Ok(3)));
        }),
        ("select_async", || {
            let (tx, rx) = chan::bounded(1);
            let (never_tx, never_rx) = chan::bounded::<u8>(0);
            let handle = go_async({
                let rx = rx.clone();
                async move {
                    select_async! { recv(rx) -> _ => boom(), recv(never_rx) -> _ => {} }
                }
            });
            tx.send(1).unwrap();
            raises(|| resume_unwind(handle.join().unwrap_err()));
            assert!(never_tx.is_closed(), "its receiver went with the goroutine");
            assert_eq!((tx.try_send(2), rx.try_recv()), (Ok(()), Ok(2)));
        }),
        ("operands", || {
            let (tx, rx) = chan::bounded::<u8>(1);
            let broken = || -> chan::Receiver<u8> { boom() };
            raises(|| select! { recv(rx) -> _ => {}, recv(broken()) -> _ => {} });
            raises(|| select! { send(tx, boom()) -> _ => {} });
            assert_eq!((tx.len(), tx.try_send(3), rx.try_recv()), (0, Ok(()), Ok(3)));
        }),
        ("Select", || {
            let (tx, rx) = chan::bounded(1);
            tx.send(1).unwrap();
            let mut select = Select::new();
            select.recv(&rx);
            raises(|| {
                let operation = select.select();
                assert_eq!(operation.index(), 0);
                // It is dropped while unwinding, undone: the message stays.
                if rx.len() < 2 {
                    boom()
                }
                let _ = operation.recv(&rx);
            });
            drop(select);
            assert_eq!(tx.try_send(2).is_ok(), rx.is_empty());
            assert!(rx.try_recv().is_ok());
        }),
    ]);
}

#[test]
fn functions_of_timers_and_contexts() {
    each(&[
        ("after_func", || {
            let (tx, rx) = chan::bounded(0);
            let timer = time::after_func(Duration::ZERO, move || {
                tx.send(()).unwrap();
                boom()
            });
            for _ in 0..3 {
                rx.recv().unwrap();
                timer.reset(Duration::ZERO);
            }
            rx.recv().unwrap();
            assert!(!timer.stop());
            time::sleep(MS);
        }),
        ("Context::after_func", || {
            let ctx = background().with_cancel();
            let (tx, rx) = chan::unbounded();
            for n in 0..10 {
                let tx = tx.clone();
                ctx.after_func(move || {
                    tx.send(n).unwrap();
                    boom()
                });
            }
            ctx.cancel();
            drop(tx);
            assert_eq!(rx.iter().count(), 10, "all have run");
            let (late, ran) = chan::bounded(1);
            ctx.after_func(move || late.send(()).unwrap());
            ran.recv().unwrap();
        }),
        ("futures under a time limit or a context", || {
            let ctx = background().with_timeout(common::HOUR);
            raises(|| ctx.wait(async { boom() }).map(|never: ()| never));
            raises(|| time::timeout(common::HOUR, async { boom() }).map(|never: ()| never));
            raises(|| wait(async { boom() }));
            assert_eq!(ctx.wait(async { 1 }), Ok(1));
            ctx.cancel();
        }),
    ]);
}

#[test]
fn calls_on_other_threads_and_on_this_one() {
    goroutine_local! {
        static LOCAL: Cell<u32> = {
            MADE.panic_first();
            Cell::new(5)
        };
    }
    static MADE: Once1 = Once1(AtomicUsize::new(0));
    each(&[
        ("blocking", || {
            raises(|| blocking(|| boom()));
            assert_eq!(blocking(|| 1), 1);
        }),
        ("blocking_async", || {
            raises(|| wait(blocking_async(|| boom())));
            drop(blocking_async(|| boom()));
            assert_eq!(wait(blocking_async(|| 1)), 1);
        }),
        ("no_suspend", || {
            raises(|| no_suspend(|| boom()));
            // Not in force any more: with one worker this would not end.
            let (tx, rx) = chan::bounded(0);
            go(move || tx.send(1));
            assert_eq!(rx.recv(), Ok(1));
        }),
        ("goroutine_local", || {
            MADE.0.store(0, Ordering::SeqCst);
            raises(|| LOCAL.with(|local| local.get()));
            raises(|| {
                LOCAL.with(|local| {
                    local.set(6);
                    boom()
                })
            });
            assert_eq!(LOCAL.with(|local| local.get()), 6);
        }),
    ]);
}

#[test]
fn functions_under_locks() {
    each(&[
        ("Mutex, RwLock, Semaphore", || {
            let (mutex, rwlock, semaphore) = (Mutex::new(0), RwLock::new(0), Semaphore::new(2));
            raises(|| {
                let _guards = (mutex.lock(), rwlock.read(), semaphore.acquire_guard(2));
                boom()
            });
            raises(|| {
                let _writes = rwlock.write();
                boom()
            });
            assert!(mutex.try_lock().is_some() && rwlock.try_write().is_some() && semaphore.try_acquire(2));
        }),
        ("Condvar::wait_while", || {
            let (mutex, condvar) = (Mutex::new(0), Condvar::new());
            raises(|| condvar.wait_while(&mut mutex.lock(), |_| boom()));
            let asked = AtomicUsize::new(0);
            scope(|s| {
                let waiter = s.go(|| {
                    let condition = |n: &mut i32| {
                        asked.fetch_add(1, Ordering::SeqCst);
                        if *n == 0 { true } else { boom() }
                    };
                    raises(|| condvar.wait_while(&mut mutex.lock(), condition));
                });
                eventually("it has asked", || asked.load(Ordering::SeqCst) > 0);
                // It asks under the lock, which it lets go by waiting.
                *mutex.lock() = 1;
                assert!(condvar.notify_one());
                waiter.join().unwrap();
            });
            assert!(mutex.try_lock().is_some());
            assert_eq!(condvar.notify_all(), 0, "nobody waits");
        }),
        ("Once, OnceCell, LazyLock", || {
            let once = Once::new();
            raises(|| once.call_once(|| boom()));
            once.call_once(|| unreachable!("it counts as done"));
            let cell = OnceCell::new();
            raises(|| cell.get_or_init(|| boom()));
            raises(|| cell.get_or_try_init(|| -> Result<u8, ()> { boom() }));
            raises(|| wait(cell.get_or_init_async(|| async { boom() })));
            assert_eq!(cell.get_or_init(|| 3), &3);
            let lazy: LazyLock<u8> = LazyLock::new(|| boom());
            raises(|| *lazy);
            raises(|| *lazy);
        }),
        ("Pool", || {
            let first = Once1::default();
            let pool = Pool::new(move || {
                first.panic_first();
                9
            });
            raises(|| pool.get());
            assert_eq!((pool.get(), pool.try_get()), (9, None));
            pool.put(1);
            assert_eq!(*pool.get_guard(), 1);
        }),
        ("SingleFlight", || {
            let flights = SingleFlight::<u8, u8>::new();
            raises(|| flights.run(1, || boom()));
            assert!(panic_text(|| wait(flights.run_async(1, || boom()))).contains("boom"));
            assert_eq!(flights.run(1, || 2), (2, false));
        }),
    ]);
}

/// A key or value whose every operation may panic.
#[derive(Default)]
struct Wild(u32, Arc<AtomicUsize>);

impl Wild {
    fn step(&self) {
        if self.1.load(Ordering::SeqCst) > 0 && self.1.fetch_sub(1, Ordering::SeqCst) == 1 {
            boom();
        }
    }
}

impl Clone for Wild {
    fn clone(&self) -> Self {
        self.step();
        Self(self.0, self.1.clone())
    }
}

impl PartialEq for Wild {
    fn eq(&self, other: &Self) -> bool {
        self.step();
        self.0 == other.0
    }
}

impl Eq for Wild {}

impl Hash for Wild {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.step();
        (self.0 % 2).hash(state);
    }
}

impl fmt::Debug for Wild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wild({})", self.0)
    }
}

#[test]
fn every_call_that_a_map_makes_to_its_keys_and_values() {
    type Operation = fn(&Map<Wild, Wild>, &dyn Fn(u32) -> Wild);
    const OPERATIONS: [Operation; 11] = [
        |map, wild| drop(map.load(&wild(1))),
        |map, wild| map.store(wild(1), wild(10)),
        |map, wild| drop(map.load_or_store(wild(3), wild(30))),
        |map, wild| drop(map.load_or_store(wild(1), wild(30))),
        |map, wild| drop(map.load_and_delete(&wild(1))),
        |map, wild| map.delete(&wild(1)),
        |map, wild| drop(map.swap(wild(1), wild(11))),
        |map, wild| _ = map.compare_and_swap(&wild(1), &wild(10), wild(12)),
        |map, wild| _ = map.compare_and_delete(&wild(1), &wild(10)),
        |map, wild| map.range(|key, value| *key == wild(1) || *value == wild(20)),
        |map, _| map.clear(),
    ];
    each(&[("Map", || {
        for (which, operation) in OPERATIONS.into_iter().enumerate() {
            // Panics at the first, the second, the third call ... that the operation makes, until none is left.
            for nth in 1.. {
                let fuse = Arc::new(AtomicUsize::new(0));
                let wild = |n| Wild(n, fuse.clone());
                let map = Map::new();
                for n in 1..=4 {
                    map.store(wild(n), wild(n * 10));
                }
                fuse.store(nth, Ordering::SeqCst);
                let outcome =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| operation(&map, &wild)));
                let all_made = fuse.swap(0, Ordering::SeqCst) > 0;
                assert_eq!(all_made, outcome.is_ok(), "operation {which}, call {nth}");
                // What was not in question is there, and all operations work.
                if which < OPERATIONS.len() - 1 {
                    assert_eq!(map.load(&wild(2)), Some(wild(20)), "operation {which}, call {nth}");
                    assert_eq!(map.load(&wild(4)), Some(wild(40)), "operation {which}, call {nth}");
                }
                map.store(wild(1), wild(10));
                assert_eq!(map.swap(wild(1), wild(11)), Some(wild(10)));
                assert!(map.compare_and_delete(&wild(1), &wild(11)));
                assert_eq!(map.load(&wild(1)), None);
                if all_made {
                    break;
                }
            }
        }
    })]);
}

#[test]
fn N05_functions_of_stages_and_jobs() {
    each(&[
        ("source, stage, stage_ordered", || {
            let source =
                |to| pipeline::source(&background(), (0..to).map(|n| if n == 5 { boom() } else { n }));
            raises(|| source(9).iter().count());
            assert_eq!(source(5).iter().count(), 5);
            let at_5 = |n| if n == 5 { boom() } else { n };
            let numbers = || pipeline::source(&background(), 0..9);
            raises(|| pipeline::stage(&background(), 2, numbers(), at_5).iter().count());
            raises(|| pipeline::stage_ordered(&background(), 2, numbers(), at_5).iter().count());
        }),
        ("par_map, map, for_each", || {
            let at_5 = |n| if n == 5 { boom() } else { n };
            raises(|| pipeline::par_map(&background(), 2, 0..9, at_5).count());
            raises(|| pipeline::par_map_unordered(&background(), 2, 0..9, at_5).count());
            raises(|| pipeline::map(2, 0..9, at_5));
            raises(|| pipeline::for_each(2, 0..9, |n| _ = at_5(n)));
            // The iterator's own, asked for under a lock that all share.
            raises(|| pipeline::map(3, (0..9).map(at_5), |n| n));
            assert_eq!(pipeline::map(2, 0..5, at_5), [0, 1, 2, 3, 4]);
        }),
        ("merge, fan_out, tee", || {
            let broken = || pipeline::source(&background(), std::iter::from_fn(|| -> Option<u8> { boom() }));
            raises(|| pipeline::merge(&background(), [broken(), chan::never()]).iter().count());
            raises(|| pipeline::fan_out(&background(), 2, broken())[1].recv());
            raises(|| pipeline::tee(&background(), 2, broken())[0].recv());
        }),
        ("WorkerPool", || {
            struct Unspeakable;
            impl fmt::Display for Unspeakable {
                fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                    boom()
                }
            }
            let pool = WorkerPool::new(2);
            for _ in 0..5 {
                assert!(matches!(
                    pool.submit(|| boom()).join().map(|never: ()| never),
                    Err(JobError::Panicked(_))
                ));
                // Its result is dropped by the pool, or here.
                quietly(|| drop(pool.submit(|| OnDropBoom)));
                assert_eq!(pool.submit(|| 1).join().unwrap(), 1);
            }
            // Counts are right, and its workers alive.
            quietly(|| pool.wait());
            pool.wait();
            let stats = pool.stats();
            assert_eq!((stats.queued, stats.running), (0, 0));
            assert!(stats.workers >= 1 && stats.done + stats.panicked == 15, "{stats:?}");
            let failed = pool.submit_try(|_| Err::<(), _>(Unspeakable));
            assert!(matches!(failed.join(), Ok(Err(Unspeakable))));
            eventually("the context is cancelled", || pool.context().err().is_some());
            assert_eq!(common::cause(pool.context()), "a job failed");
        }),
        ("Sometimes", || {
            let sometimes = pipeline::rate::Sometimes::new();
            raises(|| sometimes.run(|| boom()));
            let mut ran = false;
            sometimes.run(|| ran = true);
            assert!(ran);
        }),
    ]);
}

/// Panics when dropped, unless the thread panics already.
struct OnDropBoom;

impl Drop for OnDropBoom {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            boom();
        }
    }
}

#[test]
fn storm_of_panics_loses_no_count() {
    each(&[("a storm", || {
        let (before, sum) = (num_goroutine(), Arc::new(Mutex::new(0)));
        let semaphore = Arc::new(Semaphore::new(3));
        let handles: Vec<_> = (0..200)
            .map(|n| {
                let (sum, semaphore) = (sum.clone(), semaphore.clone());
                go(move || {
                    let _permit = semaphore.acquire_guard(1 + n % 3);
                    let mut sum = sum.lock();
                    *sum += 1;
                    if n % 2 == 0 {
                        yield_now();
                    }
                    if n % 4 < 2 {
                        boom();
                    }
                })
            })
            .collect();
        let panics = handles.into_iter().filter_map(|handle| handle.join().err()).count();
        assert_eq!((panics, *sum.lock()), (100, 200));
        assert!(semaphore.try_acquire(3), "all permits are back");
        eventually("all have ended", || num_goroutine() == before);
    })]);
}
