//! The wait queue, step by step on one thread.

use super::*;
use std::cell::RefCell;
use std::sync::atomic::AtomicUsize as Count;
use std::sync::{Arc, Mutex};
use std::task::Wake;

/// Notes its number when it is woken.
struct Note(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

struct Bench {
    queue: WaitQueue,
    nodes: Vec<Pin<Box<WaitNode>>>,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Bench {
    fn with_waiters(n: usize) -> Self {
        let mut bench = Self { queue: WaitQueue::new(), nodes: Vec::new(), woken: Arc::default() };
        for i in 0..n {
            bench.nodes.push(Box::pin(WaitNode::new()));
            assert!(bench.poll(i).is_pending());
        }
        bench
    }

    fn poll(&self, i: usize) -> Poll<Option<Signal>> {
        let waker = Waker::from(Arc::new(Note(i, self.woken.clone())));
        // SAFETY: boxed and pinned, one queue, abandoned by `Drop`.
        unsafe { self.queue.poll(self.nodes[i].as_ref(), &mut Context::from_waker(&waker), || true) }
    }

    fn abandon(&self, i: usize) {
        // SAFETY: as above.
        unsafe { self.queue.abandon(self.nodes[i].as_ref()) }
    }

    fn woken(&self) -> Vec<usize> {
        std::mem::take(&mut self.woken.lock().unwrap())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for i in 0..self.nodes.len() {
            self.abandon(i);
        }
    }
}

#[test]
fn waiters_are_told_in_the_order_they_came() {
    let bench = Bench::with_waiters(4);
    assert!(bench.queue.notify_one());
    assert!(bench.queue.notify_one());
    assert_eq!(bench.woken(), [0, 1]);
    assert_eq!(bench.poll(0), Poll::Ready(Some(Signal::One)));
    assert!(bench.poll(2).is_pending());
    assert_eq!(bench.queue.notify_all(), 2);
    assert_eq!(bench.woken(), [2, 3]);
    assert!(!bench.queue.notify_one());
    assert_eq!(bench.queue.notify_all(), 0);
}

#[test]
fn a_waiter_may_leave_from_front_middle_and_end() {
    let bench = Bench::with_waiters(5);
    for i in [2, 0, 4] {
        bench.abandon(i);
    }
    assert_eq!(bench.queue.len(), 2);
    assert!(bench.queue.notify_one());
    assert!(bench.queue.notify_one());
    assert!(!bench.queue.notify_one());
    assert_eq!(bench.woken(), [1, 3]);
}

#[test]
fn a_signal_for_one_that_leaves_goes_on_and_one_for_all_does_not() {
    let bench = Bench::with_waiters(3);
    bench.queue.notify_one();
    bench.abandon(0);
    assert_eq!(bench.woken(), [0, 1]);
    assert_eq!(bench.queue.notify_all(), 1);
    assert_eq!(bench.woken(), [2]);
    bench.abandon(2);
    assert_eq!(bench.poll(1), Poll::Ready(Some(Signal::One)), "not told twice");
    assert!(bench.woken().is_empty());
}

#[test]
fn a_broadcast_takes_many_batches_and_leaves_out_who_comes_during_it() {
    // Every woken waiter queues again at once, from inside its waker: a broadcast that looked at the queue
    // anew for each batch would never end, or tell somebody twice.
    thread_local!(static BENCH: RefCell<Option<(Bench, usize)>> = const { RefCell::new(None) });
    struct Requeue(usize);
    impl Wake for Requeue {
        fn wake(self: Arc<Self>) {
            BENCH.with_borrow_mut(|slot| {
                let (bench, count) = slot.as_mut().unwrap();
                *count += 1;
                assert_eq!(bench.poll(self.0), Poll::Ready(Some(Signal::All)));
                assert!(bench.poll(self.0).is_pending());
            });
        }
    }
    let n = 5 * WAKE_BATCH + 7;
    let bench = Bench::with_waiters(n);
    for i in 0..n {
        let waker = Waker::from(Arc::new(Requeue(i)));
        // SAFETY: as in `Bench`.
        let polled =
            unsafe { bench.queue.poll(bench.nodes[i].as_ref(), &mut Context::from_waker(&waker), || true) };
        assert!(polled.is_pending());
    }
    BENCH.set(Some((bench, 0)));
    let queue: *const WaitQueue = BENCH.with_borrow(|slot| &raw const slot.as_ref().unwrap().0.queue);
    // SAFETY: the queue stays in the thread-local until `take` below; only shared references to it are
    // made meanwhile (`poll` borrows the bench, and touches the queue through `&`).
    assert_eq!(unsafe { (*queue).notify_all() }, n);
    let (bench, count) = BENCH.take().unwrap();
    assert_eq!(count, n);
    assert_eq!(bench.queue.len(), n, "all wait again");
}

#[test]
fn a_waker_that_panics_costs_nobody_else_the_wake_up() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a bad waker");
        }
    }
    let n = 2 * WAKE_BATCH;
    let bench = Bench::with_waiters(n);
    let bad = Waker::from(Arc::new(Bad));
    // SAFETY: as in `Bench`.
    let polled =
        unsafe { bench.queue.poll(bench.nodes[3].as_ref(), &mut Context::from_waker(&bad), || true) };
    assert!(polled.is_pending());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.queue.notify_all()));
    assert!(caught.is_err());
    assert_eq!(bench.woken(), (0..n).filter(|&i| i != 3).collect::<Vec<_>>());
}

#[test]
fn the_waker_of_the_last_poll_is_called() {
    struct Hit(Count);
    impl Wake for Hit {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let bench = Bench::with_waiters(1);
    let hit = Arc::new(Hit(Count::new(0)));
    let waker = Waker::from(hit.clone());
    for _ in 0..3 {
        // SAFETY: as in `Bench`.
        let polled =
            unsafe { bench.queue.poll(bench.nodes[0].as_ref(), &mut Context::from_waker(&waker), || true) };
        assert!(polled.is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&hit), 2, "one clone is kept, however often it is polled");
    bench.queue.notify_one();
    assert_eq!((hit.0.load(Ordering::Relaxed), bench.woken()), (1, vec![]));
    assert_eq!(Arc::strong_count(&hit), 1);
}

#[test]
fn a_queue_that_is_not_entered_keeps_nothing() {
    let bench = Bench::with_waiters(0);
    let node = Box::pin(WaitNode::new());
    // SAFETY: never queued.
    let polled =
        unsafe { bench.queue.poll(node.as_ref(), &mut Context::from_waker(Waker::noop()), || false) };
    assert_eq!(polled, Poll::Ready(None));
    assert_eq!((node.state(), bench.queue.len()), (NodeState::Idle, 0));
}
