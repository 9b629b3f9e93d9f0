//! loom models of the mutex. A model has no clock: whoever lost once starves, so hand-overs occur too.

use super::RawMutex;
use crate::sys::prim::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

struct Shared {
    mutex: RawMutex,
    // loom fails the model if two threads are in it at once.
    count: UnsafeCell<u32>,
}

// SAFETY: the count is only touched under the mutex, which is what the models check.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { mutex: RawMutex::unlocked(), count: UnsafeCell::new(0) })
    }

    fn add_and_release(&self) {
        // SAFETY: called with the mutex held, as its name says.
        unsafe {
            self.count.with_mut(|count| *count += 1);
            self.mutex.release();
        }
    }

    fn count(&self) -> u32 {
        block_on(self.mutex.acquire());
        // SAFETY: the mutex is held.
        unsafe {
            let count = self.count.with(|count| *count);
            self.mutex.release();
            count
        }
    }
}

fn model(bound: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(f);
}

#[test]
fn two_threads_exclude_each_other_and_both_get_in() {
    model(3, || {
        let shared = Shared::new();
        let other = shared.clone();
        let thread = loom::thread::spawn(move || {
            block_on(other.mutex.acquire());
            other.add_and_release();
        });
        block_on(shared.mutex.acquire());
        shared.add_and_release();
        thread.join().unwrap();
        assert_eq!(shared.count(), 2);
    });
}

#[test]
fn a_hog_and_a_waiter_that_starves() {
    model(3, || {
        let shared = Shared::new();
        let other = shared.clone();
        let waiter = loom::thread::spawn(move || {
            block_on(other.mutex.acquire());
            other.add_and_release();
        });
        for _ in 0..2 {
            if shared.mutex.try_take() {
                shared.add_and_release();
            }
        }
        waiter.join().unwrap();
        assert!(shared.count() >= 1);
    });
}

#[test]
fn a_lock_future_dropped_at_any_moment_loses_nothing() {
    model(3, || {
        let shared = Shared::new();
        assert!(shared.mutex.try_take());
        // Two wait, in this order; the first gives up while the holder releases.
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = Box::pin(shared.mutex.acquire());
        let mut second = pin!(shared.mutex.acquire());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        let other = shared.clone();
        let holder = loom::thread::spawn(move || other.add_and_release());
        if let Poll::Ready(()) = first.as_mut().poll(&mut cx) {
            shared.add_and_release();
        }
        drop(first);
        block_on(second);
        shared.add_and_release();
        holder.join().unwrap();
        assert!(shared.count() >= 2);
    });
}

#[test]
fn a_fair_release_to_a_waiter_that_gives_up() {
    model(3, || {
        let shared = Shared::new();
        assert!(shared.mutex.try_take());
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiter = Box::pin(shared.mutex.acquire());
        assert!(waiter.as_mut().poll(&mut cx).is_pending());
        let other = shared.clone();
        // SAFETY: the lock is held, by the one whose place this thread takes.
        let holder = loom::thread::spawn(move || unsafe { other.mutex.release_fair() });
        if waiter.as_mut().give_up() {
            shared.add_and_release();
        }
        drop(waiter);
        block_on(shared.mutex.acquire());
        shared.add_and_release();
        holder.join().unwrap();
    });
}
