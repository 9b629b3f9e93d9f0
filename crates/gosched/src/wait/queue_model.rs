//! loom models of the wait queue: every interleaving of a few threads, up to a bound of preemptions.

use super::{Signal, WaitNode, WaitQueue};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Waits for one signal; a dropped one passes on what it was given alone.
struct Waiter<'q> {
    queue: &'q WaitQueue,
    open: &'q AtomicBool,
    node: WaitNode,
}

impl<'q> Waiter<'q> {
    fn new(queue: &'q WaitQueue, open: &'q AtomicBool) -> Self {
        Self { queue, open, node: WaitNode::new() }
    }
}

impl Future for Waiter<'_> {
    type Output = Option<Signal>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        // SAFETY: the node is pinned with us, used with this queue only, and taken out by `Drop`.
        unsafe {
            let node = Pin::new_unchecked(&self.node);
            self.queue.poll(node, cx, || !self.open.load(Ordering::Relaxed))
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { self.queue.abandon(Pin::new_unchecked(&self.node)) };
    }
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[test]
fn a_release_reaches_a_waiter_that_queues_at_the_same_time() {
    model(|| {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let other = shared.clone();
        let opener = loom::thread::spawn(move || {
            other.0.notify_all_if(|| {
                other.1.store(true, Ordering::Relaxed);
                true
            });
        });
        // Ends only if the signal comes or the door is seen open.
        block_on(Waiter::new(&shared.0, &shared.1));
        opener.join().unwrap();
    });
}

#[test]
fn a_signal_to_a_dropped_waiter_goes_to_the_next() {
    model(|| {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        // Both are queued before anything happens: the first gives up while the only signal comes.
        let mut first = Box::pin(Waiter::new(&shared.0, &shared.1));
        let mut second = pin!(Waiter::new(&shared.0, &shared.1));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        let other = shared.clone();
        let notifier = loom::thread::spawn(move || assert!(other.0.notify_one()));
        drop(first);
        assert_eq!(block_on(second), Some(Signal::One));
        notifier.join().unwrap();
    });
}

#[test]
fn a_broadcast_and_a_single_signal_wake_old_and_new_waiter() {
    model(|| {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let mut old = pin!(Waiter::new(&shared.0, &shared.1));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(old.as_mut().poll(&mut cx).is_pending());
        let other = shared.clone();
        let broadcaster = loom::thread::spawn(move || assert!(other.0.notify_all() >= 1));
        let mut new = pin!(Waiter::new(&shared.0, &shared.1));
        assert!(new.as_mut().poll(&mut cx).is_pending());
        // Of the two, one may take the old waiter out; then the other has the new one left to tell.
        shared.0.notify_one();
        block_on(old);
        block_on(new);
        broadcaster.join().unwrap();
    });
}

#[test]
fn a_waiter_that_leaves_a_broadcast_halfway_counts_as_told() {
    model(|| {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let mut cx = Context::from_waker(Waker::noop());
        let mut leaver = Box::pin(Waiter::new(&shared.0, &shared.1));
        let mut stayer = pin!(Waiter::new(&shared.0, &shared.1));
        assert!(leaver.as_mut().poll(&mut cx).is_pending());
        assert!(stayer.as_mut().poll(&mut cx).is_pending());
        let told = Arc::new(AtomicUsize::new(0));
        let (other, count) = (shared.clone(), told.clone());
        let broadcaster = loom::thread::spawn(move || {
            count.store(other.0.notify_all(), Ordering::Relaxed);
        });
        // SAFETY: it is pinned, and of this queue.
        let signal = unsafe { shared.0.cancel(Pin::new_unchecked(&leaver.node)) };
        assert_eq!(block_on(stayer), Some(Signal::All));
        broadcaster.join().unwrap();
        let told = told.load(Ordering::Relaxed);
        assert_eq!(told, if signal.is_some() { 2 } else { 1 });
    });
}
