//! loom models of the wait group.

use super::WaitGroup;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[test]
fn M10_done_is_before_the_wait_it_ends() {
    model(|| {
        let wg = WaitGroup::new();
        let work = Arc::new(AtomicUsize::new(0));
        wg.add(2);
        let threads = [(); 2].map(|()| {
            let (wg, work) = (wg.clone(), work.clone());
            loom::thread::spawn(move || {
                work.fetch_add(1, Ordering::Relaxed);
                wg.done();
            })
        });
        block_on(wg.wait_async());
        assert_eq!(work.load(Ordering::Relaxed), 2);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn Y19_a_waiter_of_the_next_round_is_not_released_with_the_last() {
    model(|| {
        let wg = WaitGroup::new();
        let mut cx = Context::from_waker(Waker::noop());
        wg.add(2);
        let (mut first, mut second) = (pin!(wg.wait_async()), pin!(wg.wait_async()));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        // If the other one counts to zero, its release of `first` may still be to come when the next round
        // begins here and `second` queues.
        let other = wg.clone();
        let thread = loom::thread::spawn(move || other.done());
        wg.done();
        let over = wg.inner.word.count() == 0;
        wg.add(1);
        assert!(second.as_mut().poll(&mut cx).is_pending());
        thread.join().unwrap();
        assert!(second.as_mut().poll(&mut cx).is_pending(), "released by the zero before its round");
        if over {
            assert!(first.as_mut().poll(&mut cx).is_ready(), "its zero has been");
        }
        wg.done();
        if !over {
            assert!(first.as_mut().poll(&mut cx).is_ready());
        }
        assert!(second.as_mut().poll(&mut cx).is_ready());
    });
}

#[test]
fn Y17_one_done_too_many_costs_no_waiter_the_wake_up() {
    model(|| {
        let wg = WaitGroup::new();
        let other = wg.clone();
        // For a moment it looks as if there were something to wait for.
        let thread = loom::thread::spawn(move || assert!(!other.inner.count_down()));
        block_on(wg.wait_async());
        thread.join().unwrap();
        assert_eq!(wg.inner.word.count(), 0);
    });
}
