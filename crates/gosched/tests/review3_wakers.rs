//! A foreign waker is foreign code: it may panic when it is called, and when it is dropped. Whatever it does, no lock is
//! held by two, no cell loses its value, and nobody else waits in vain.
#![allow(non_snake_case)]

mod common;

use common::bounded;
use gosched::sync::{
    Condvar, LazyLock, LockAsync, Mutex, MutexGuard, Once, OnceCell, RwLock, RwLockAsync, RwLockReadGuard,
    RwLockWriteGuard, Semaphore, WaitGroup,
};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

/// Panics when it is called, after it has done something.
struct Bad<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Bad<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
        resume_unwind(Box::new("a bad waker"));
    }
}

fn bad() -> Waker {
    bad_after(|| ())
}

fn bad_after(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Bad(f)))
}

/// A waker whose clones panic when they are dropped.
fn bad_to_drop() -> Waker {
    fn clone(_: *const ()) -> RawWaker {
        RawWaker::new(std::ptr::without_provenance(1), &VTABLE)
    }
    fn drop(data: *const ()) {
        if !data.is_null() {
            resume_unwind(Box::new("a bad waker's drop"));
        }
    }
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| (), |_| (), drop);
    // SAFETY: the functions look at nothing that could go; they may be called from any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// Calls `f`, from which a panic may come, or not.
fn perhaps<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

fn poll<F: Future + Unpin>(mut future: F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(&mut future).poll(&mut Context::from_waker(waker))
}

#[track_caller]
fn waits(future: impl Future + Unpin, waker: &Waker) {
    assert!(poll(future, waker).is_pending());
}

#[track_caller]
fn ready<F: Future + Unpin>(future: F) -> F::Output {
    match poll(future, Waker::noop()) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("somebody still waits"),
    }
}

/// A lock, and the guard that a bad waker takes of it.
struct Stolen {
    mutex: Mutex<i32>,
    guard: Mutex<Option<MutexGuard<'static, i32>>>,
}

#[test]
fn Y03_whatever_a_waker_does_a_mutex_is_not_unlocked_twice() {
    type Op = (&'static str, fn(&'static Stolen, MutexGuard<'static, i32>));
    fn give_back(stolen: &'static Stolen) {
        let guard = stolen.guard.lock().take();
        assert!(guard.is_none() || stolen.mutex.is_locked(), "two have the lock");
    }
    let ops: [Op; 5] = [
        ("drop", |_, guard| drop(guard)),
        ("map", |_, guard| drop(MutexGuard::map(guard, |n| n))),
        ("unlock_fair", |_, guard| MutexGuard::unlock_fair(guard)),
        ("unlocked", |stolen, mut guard| MutexGuard::unlocked(&mut guard, || give_back(stolen))),
        ("async", |_, guard| {
            let mut wait = Box::pin(CHANGED.wait_async(guard));
            waits(&mut wait, Waker::noop());
        }),
    ];
    static CHANGED: Condvar = Condvar::new();
    for (name, op) in ops {
        bounded(move || {
            let new = Stolen { mutex: Mutex::new(0), guard: Mutex::new(None) };
            let stolen: &'static Stolen = Box::leak(Box::new(new));
            let guard = stolen.mutex.lock();
            let mut next = Box::pin(stolen.mutex.lock_async());
            waits(&mut next, &bad_after(|| *stolen.guard.lock() = stolen.mutex.try_lock()));
            perhaps(|| op(stolen, guard));
            give_back(stolen);
            let held = ready(next);
            assert!(stolen.mutex.is_locked(), "{name}: two have the lock");
            drop(held);
            assert!(!stolen.mutex.is_locked(), "{name}: nobody has the lock");
        });
    }
}

#[test]
fn Y23_whatever_a_waker_does_an_async_wait_gives_its_mutex_back_once() {
    bounded(|| {
        let (mutex, changed) = (Mutex::new(0), Condvar::new());
        let guard = mutex.lock();
        let mut next = Box::pin(mutex.lock_async());
        waits(&mut next, &bad());
        let mut wait = Box::pin(changed.wait_async(guard));
        // Gives the mutex back, and calls the bad waker.
        perhaps(|| waits(&mut wait, Waker::noop()));
        let held = ready(&mut next);
        drop(wait);
        assert!(mutex.try_lock().is_none(), "two have the lock");
        drop(held);
    });
}

#[test]
fn Y21_whatever_a_waker_does_what_is_done_once_stays_done() {
    bounded(|| {
        let cell: &'static OnceCell<i32> = Box::leak(Box::new(OnceCell::new()));
        let seen: &'static Mutex<Option<&'static i32>> = Box::leak(Box::new(Mutex::new(None)));
        let mut second = Box::pin(cell.get_or_init_async(|| async { 2 }));
        perhaps(|| {
            cell.get_or_init(|| {
                waits(&mut second, &bad_after(|| *seen.lock() = cell.get()));
                1
            });
        });
        let first = seen.lock().expect("it was set when the waker was called");
        assert_eq!(cell.set(3), Err(3), "a cell whose value is lent was set again");
        assert_eq!((*first, cell.get()), (1, Some(&1)));
        assert_eq!(*ready(second), 1);

        let once = Once::new();
        let mut second = Box::pin(once.call_once_async(|| unreachable!("it has run")));
        perhaps(|| once.call_once(|| waits(&mut second, &bad())));
        assert!(once.is_completed());
        ready(&mut second);

        static LAZY: LazyLock<i32> = LazyLock::new(|| {
            let second = Box::leak(Box::new(Box::pin(LazyLock::force_async(&LAZY))));
            waits(second, &bad());
            7
        });
        perhaps(|| *LAZY);
        assert_eq!(*LAZY, 7);
    });
}

#[test]
fn Y13_whatever_a_waker_does_a_read_lock_and_a_write_lock_exclude_each_other() {
    bounded(|| {
        let lock = RwLock::new(0);
        let guard = lock.write();
        let mut readers: Vec<_> = (0..40).map(|_| Box::pin(lock.read_async())).collect();
        for (i, reader) in readers.iter_mut().enumerate() {
            waits(reader, &if i % 7 == 0 { bad() } else { Waker::noop().clone() });
        }
        let mut writer = Box::pin(lock.write_async());
        waits(&mut writer, &bad());
        let kept = perhaps(|| RwLockWriteGuard::downgrade(guard));
        let readers: Vec<_> = readers.into_iter().map(ready).collect();
        assert!(lock.try_write().is_none());
        waits(&mut writer, &bad());
        drop(kept);
        waits(&mut writer, &bad());
        perhaps(|| drop(readers));
        drop(ready(writer));
        assert!(lock.try_write().is_some(), "a reader was counted who has gone");

        let guard = lock.read();
        let mut writer = Box::pin(lock.write_async());
        waits(&mut writer, &bad());
        perhaps(|| RwLockReadGuard::unlock_fair(guard));
        let held = ready(writer);
        assert!(lock.try_read().is_none(), "a reader beside a writer");
        drop(held);
        assert!(lock.try_write().is_some());
    });
}

/// Before, the second panic ended the process.
#[test]
fn Y25_two_bad_wakers_cost_nobody_else_the_wake_up() {
    bounded(|| {
        let wg = WaitGroup::new();
        wg.add(1);
        let mut all: Vec<_> = (0..100).map(|_| Box::pin(wg.wait_async())).collect();
        for (i, wait) in all.iter_mut().enumerate() {
            waits(wait, &if i % 9 == 0 { bad() } else { Waker::noop().clone() });
        }
        assert!(perhaps(|| wg.done()).is_none(), "the first panic goes on");
        all.into_iter().for_each(|wait| ready(wait));

        let s = Semaphore::new(10);
        s.acquire(10);
        let mut all: Vec<_> = (0..10).map(|_| Box::pin(s.acquire_async(1))).collect();
        for wait in &mut all {
            waits(wait, &bad());
        }
        perhaps(|| s.release(10));
        all.into_iter().for_each(|wait| ready(wait));
        s.release(10);
        assert!(s.try_acquire(10));
    });
}

#[test]
fn W07_a_waker_that_panics_when_dropped_costs_nobody_a_permit() {
    bounded(|| {
        let s = Semaphore::new(2);
        s.acquire(1);
        let mut head = Box::pin(s.acquire_async(2));
        waits(&mut head, &bad_to_drop());
        let mut next = Box::pin(s.acquire_async(1));
        waits(&mut next, Waker::noop());
        perhaps(|| drop(head));
        ready(next);
    });
}

#[test]
fn Y11_a_waker_that_panics_when_dropped_costs_nobody_the_lock() {
    bounded(|| {
        let lock = RwLock::new(0);
        let guard = lock.read();
        let mut writer = Box::pin(lock.write_async());
        waits(&mut writer, &bad_to_drop());
        let mut reader = Box::pin(lock.read_async());
        waits(&mut reader, Waker::noop());
        perhaps(|| drop(writer));
        drop((guard, ready(reader)));
        assert!(lock.try_write().is_some());

        // Forty readers are let in by a release that tells them in batches. The first one's waker drops the last one,
        // which has been let in and does not know it.
        let lock: &'static RwLock<i32> = Box::leak(Box::new(RwLock::new(0)));
        type Reader = Pin<Box<dyn Future<Output = ()> + Send>>;
        let last: &'static Mutex<Option<Reader>> = Box::leak(Box::new(Mutex::new(None)));
        let guard = lock.write();
        let drops_last = bad_after(move || {
            perhaps(|| drop(last.lock().take()));
        });
        let mut readers: Vec<_> = (0..39).map(|_| Box::pin(lock.read_async())).collect();
        for (i, reader) in readers.iter_mut().enumerate() {
            waits(reader, if i == 0 { &drops_last } else { Waker::noop() });
        }
        let mut reader: Reader = Box::pin(async { drop(lock.read_async().await) });
        waits(&mut reader, &bad_to_drop());
        *last.lock() = Some(reader);
        perhaps(|| drop(guard));
        drop(readers.into_iter().map(ready).collect::<Vec<_>>());
        assert!(lock.try_write().is_some(), "a reader was counted who has gone");
    });
}

/// Before, the second panic, in a destructor, ended the process.
#[test]
fn Y24_what_is_passed_on_while_unwinding_comes_to_a_bad_waker_too() {
    bounded(|| {
        let unwind_with = |future: Box<dyn std::any::Any>| {
            perhaps(move || {
                let _dropped = future;
                resume_unwind(Box::new("another panic"));
            });
        };
        // A notification for one who goes.
        let (mutex, changed): (&Mutex<i32>, &Condvar) =
            (Box::leak(Box::new(Mutex::new(0))), Box::leak(Box::new(Condvar::new())));
        let mut first = Box::pin(changed.wait_async(mutex.lock()));
        waits(&mut first, Waker::noop());
        let mut second = Box::pin(changed.wait_async(mutex.lock()));
        waits(&mut second, &bad());
        assert!(changed.notify_one());
        unwind_with(Box::new(first));
        drop(ready(second));

        // A message that had been handed to one who goes.
        let (tx, rx) = gosched::chan::bounded::<i32>(0);
        let rx: &gosched::chan::Receiver<i32> = Box::leak(Box::new(rx));
        let mut first = Box::pin(rx.recv_async());
        waits(&mut first, Waker::noop());
        let mut second = Box::pin(rx.recv_async());
        waits(&mut second, &bad());
        tx.try_send(1).unwrap();
        unwind_with(Box::new(first));
        assert_eq!(ready(second), Ok(1));
    });
}
