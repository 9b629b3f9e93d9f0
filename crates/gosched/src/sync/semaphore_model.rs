//! loom models of the semaphore.

use super::{Inner, Semaphore};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn held(inner: &Inner) -> usize {
    inner.state.lock().held
}

#[test]
fn W01_no_more_are_inside_than_there_are_permits() {
    model(|| {
        let s = Semaphore::new(1);
        let inside = Arc::new(AtomicUsize::new(0));
        let visit = |s: &Semaphore, inside: &AtomicUsize| {
            block_on(s.acquire_async(1));
            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
            inside.fetch_sub(1, Ordering::Relaxed);
            s.release(1);
        };
        let other = (s.clone(), inside.clone());
        let thread = loom::thread::spawn(move || visit(&other.0, &other.1));
        visit(&s, &inside);
        thread.join().unwrap();
        assert_eq!(held(&s.inner), 0);
    });
}

#[test]
fn W03_granted_and_cancelled_at_once_gives_the_permits_back() {
    model(|| {
        let s = Semaphore::new(2);
        s.acquire(2);
        let other = s.clone();
        let thread = loom::thread::spawn(move || other.release(2));
        {
            let mut wait = pin!(s.acquire_async(2));
            let mut cx = Context::from_waker(Waker::noop());
            if wait.as_mut().poll(&mut cx) == Poll::Ready(()) {
                s.release(2);
            }
            // Else dropped here: not granted yet, or granted just now.
        }
        thread.join().unwrap();
        assert_eq!(held(&s.inner), 0);
        assert!(s.try_acquire(2));
    });
}

#[test]
fn W07_a_cancelled_head_lets_those_behind_it_in() {
    model(|| {
        let s = Semaphore::new(2);
        s.acquire(1);
        let other = s.clone();
        // Does not fit and waits, or is dropped before that.
        let thread = loom::thread::spawn(move || {
            let mut head = pin!(other.acquire_async(2));
            let _ = head.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        // Fits, but perhaps behind the head: nobody else would wake it.
        block_on(s.acquire_async(1));
        thread.join().unwrap();
        assert_eq!(held(&s.inner), 2);
        s.release(2);
    });
}
