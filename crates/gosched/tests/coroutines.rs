//! A coroutine of the user's that leaves the poll of a future in its middle and comes back to it elsewhere: in
//! another goroutine, or on a thread.
#![allow(non_snake_case)]

mod common;

use common::everywhere;
use common::own_stack::OwnStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use gosched::{chan, go, go_async, num_goroutine, time};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::task::{Context, Wake};
use std::thread;
use std::time::Duration;

/// One that may change threads.
struct Coro(Coroutine<(), (), u32, OwnStack>);

// SAFETY: what the tests run in it is bound to no thread.
unsafe impl Send for Coro {}

impl Coro {
    /// Takes three messages, then sleeps; hands the coroutine over in the middle of the poll in which it has
    /// come to have `at` of them.
    fn new(messages: chan::Receiver<u32>, at: usize) -> Self {
        Self(Coroutine::with_stack(OwnStack::new(), move |yielder: &Yielder<(), ()>, ()| {
            let taken = Cell::new(0);
            let all = async {
                let mut sum = 0;
                while taken.get() < 3 {
                    // No panic in here, where nothing could catch it: a wrong sum tells.
                    sum += messages.recv_async().await.unwrap_or(100);
                    taken.set(taken.get() + 1);
                }
                time::sleep_async(Duration::from_millis(2)).await;
                sum
            };
            let mut all = pin!(all);
            let mut here = true;
            gosched::wait(poll_fn(|cx| {
                let polled = all.as_mut().poll(cx);
                if here && taken.get() == at {
                    here = false;
                    yielder.suspend(());
                }
                polled
            }))
        }))
    }

    fn resume(&mut self) -> Option<u32> {
        match self.0.resume(()) {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(sum) => Some(sum),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Goroutine,
    Stackless,
    Thread,
}

impl Place {
    fn start(self, f: impl FnOnce() + Send + 'static) {
        match self {
            Place::Goroutine => drop(go(f)),
            Place::Stackless => drop(go_async(async { f() })),
            Place::Thread => drop(thread::spawn(f)),
        }
    }
}

/// A coroutine is started in one place and finished in another; only the latter is to be woken then.
fn hand_over(from: Place, to: Place, at: usize, stays: bool) {
    let (tx, messages) = chan::bounded(3);
    let (give, take) = chan::bounded::<Coro>(1);
    let (sum, sums) = chan::bounded(1);
    let (end, ends) = chan::bounded::<()>(0);
    from.start(move || {
        let mut coroutine = Coro::new(messages, at);
        assert_eq!(coroutine.resume(), None);
        give.send(coroutine).unwrap_or_else(|_| unreachable!("its taker waits for it"));
        if stays {
            // Blocked, and not for the coroutine's sake.
            let _ = ends.recv();
        }
    });
    let resumed = Arc::new(AtomicBool::new(false));
    let resumes = resumed.clone();
    to.start(move || {
        let mut coroutine = take.recv().unwrap();
        resumes.store(true, Ordering::SeqCst);
        sum.send(coroutine.resume()).unwrap();
    });
    // So long that whoever waits is parked, mostly.
    time::sleep(Duration::from_millis(1));
    for i in 0..3 {
        if i == at {
            common::eventually("it has been handed over", || resumed.load(Ordering::SeqCst));
            time::sleep(Duration::from_millis(1));
        }
        tx.send(1 << i).unwrap();
    }
    let got = sums.recv_timeout(common::PATIENCE / 3);
    assert_eq!(got, Ok(Some(7)), "from {from:?} to {to:?} after {at} messages; the first one stays: {stays}");
    drop(end);
}

#[test]
fn a_coroutine_that_changes_goroutines_inside_a_poll_is_woken_where_it_waits() {
    use Place::{Goroutine, Stackless, Thread};
    everywhere(|| {
        for from in [Goroutine, Stackless, Thread] {
            for to in [Goroutine, Stackless, Thread] {
                if from == Thread && to == Thread {
                    // It would be no goroutine's.
                    continue;
                }
                for at in 0..=3 {
                    [false, true].iter().for_each(|&stays| hand_over(from, to, at, stays));
                }
            }
        }
        common::eventually("only main is left", || num_goroutine() == 1);
    });
}

/// A foreign waker that leaves the coroutine it is called in: for whoever resumes it, it has just been called.
struct Leaves {
    yielder: AtomicPtr<Yielder<(), ()>>,
    executor: thread::Thread,
    left: AtomicBool,
}

impl Wake for Leaves {
    fn wake(self: Arc<Self>) {
        if !self.left.swap(true, Ordering::SeqCst) {
            // SAFETY: the first call comes from the receive below, inside the coroutine.
            unsafe { (*self.yielder.load(Ordering::SeqCst)).suspend(()) };
        }
        self.executor.unpark();
    }
}

/// A coroutine receives what a select in a foreign executor offers, and changes places inside its waker.
fn hand_over_inside_a_waker(to: Place, selects: bool) {
    let (tx, rx) = chan::bounded(0);
    let (ready, is_ready) = chan::bounded(1);
    thread::spawn(move || {
        let waker = Arc::new(Leaves {
            yielder: AtomicPtr::new(std::ptr::null_mut()),
            executor: thread::current(),
            left: AtomicBool::new(false),
        });
        let mut offer = pin!(async move {
            gosched::select_async! {
                send(tx, 7) -> sent => sent.unwrap(),
            }
        });
        let std_waker = waker.clone().into();
        let mut cx = Context::from_waker(&std_waker);
        assert!(offer.as_mut().poll(&mut cx).is_pending());
        ready.send(waker).unwrap();
        while offer.as_mut().poll(&mut cx).is_pending() {
            thread::park();
        }
    });
    let waker = is_ready.recv().unwrap();
    let mut coroutine = Coro(Coroutine::with_stack(OwnStack::new(), move |yielder: &Yielder<(), ()>, ()| {
        waker.yielder.store(std::ptr::from_ref(yielder).cast_mut(), Ordering::SeqCst);
        let (_open, never) = chan::bounded(0);
        let got = match selects {
            false => rx.recv(),
            true => gosched::select! {
                recv(rx) -> value => value,
                recv(never) -> value => value,
            },
        };
        got.unwrap_or(100)
    }));
    let (sum, sums) = chan::bounded(1);
    assert_eq!(coroutine.resume(), None);
    to.start(move || sum.send(coroutine.resume()).unwrap());
    // Blocked meanwhile, and not for the coroutine's sake.
    assert_eq!(sums.recv_timeout(common::PATIENCE / 3), Ok(Some(7)), "to {to:?}; it selects: {selects}");
}

#[test]
fn a_coroutine_that_changes_goroutines_inside_a_foreign_waker_is_woken_where_it_waits() {
    everywhere(|| {
        for to in [Place::Goroutine, Place::Stackless, Place::Thread] {
            [false, true].iter().for_each(|&selects| hand_over_inside_a_waker(to, selects));
        }
        common::eventually("only main is left", || num_goroutine() == 1);
    });
}
