//! Traps around wakers and futures: wakers that call back, futures that are forgotten, or dropped late and
//! elsewhere.
#![allow(non_snake_case)]

mod common;

use common::{bounded, everywhere, modes, panic_text};
use gosched::sync::{LockAsync, Mutex, WaitGroup};
use gosched::{chan, go, go_async, time, wait};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

/// A waker whose every method calls back.
struct Reentrant<'a> {
    call: Box<dyn Fn() + Send + Sync + 'a>,
    calls: AtomicUsize,
}

impl<'a> Reentrant<'a> {
    fn new(call: impl Fn() + Send + Sync + 'a) -> &'a Self {
        Box::leak(Box::new(Self { call: Box::new(call), calls: AtomicUsize::new(0) }))
    }

    fn called(data: *const ()) {
        // SAFETY: the pointer is the one `waker` took, of a leaked box.
        let this = unsafe { &*data.cast::<Reentrant<'_>>() };
        this.calls.fetch_add(1, Ordering::SeqCst);
        (this.call)();
    }

    fn waker(&self) -> Waker {
        fn clone(data: *const ()) -> RawWaker {
            Reentrant::called(data);
            RawWaker::new(data, &VTABLE)
        }
        static VTABLE: RawWakerVTable =
            RawWakerVTable::new(clone, Reentrant::called, Reentrant::called, Reentrant::called);
        // SAFETY: the box is leaked, so the pointer is good for ever, from any thread; nothing is counted.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self).cast(), &VTABLE)) }
    }
}

#[test]
fn wakers_may_re_enter_what_they_are_registered_with() {
    bounded(|| {
        let (tx, rx) = chan::bounded::<u32>(1);
        let (tx, rx): (&_, &_) = (Box::leak(Box::new(tx)), Box::leak(Box::new(rx)));
        let again = Reentrant::new(|| {
            let _ = (tx.try_send(1), rx.try_recv(), rx.len(), tx.is_closed());
        });
        let waker = again.waker();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..20 {
            let _ = rx.try_iter().count();
            let mut receives = pin!(rx.recv_async());
            let _ = receives.as_mut().poll(&mut cx);
            let mut other = pin!(rx.recv_async());
            let _ = other.as_mut().poll(&mut cx);
            let _ = tx.try_send(2);
            let _ = receives.as_mut().poll(&mut cx);
        }
        assert!(again.calls.load(Ordering::SeqCst) > 40);

        let wg: &WaitGroup = Box::leak(Box::new(WaitGroup::new()));
        wg.add(1);
        let again = Reentrant::new(|| {
            wg.add(1);
            wg.done();
        });
        let waker = again.waker();
        let mut waits = pin!(wg.wait_async());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        wg.done();
        assert!(again.calls.load(Ordering::SeqCst) > 0);

        let mutex: &Mutex<u32> = Box::leak(Box::new(Mutex::new(0)));
        let again = Reentrant::new(|| {
            if let Some(mut guard) = mutex.try_lock() {
                *guard += 1;
            }
        });
        let waker = again.waker();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..20 {
            let guard = mutex.lock();
            let mut locks = pin!(mutex.lock_async());
            assert!(locks.as_mut().poll(&mut cx).is_pending());
            // One that gives up, registered behind it.
            let mut other = Box::pin(mutex.lock_async());
            assert!(other.as_mut().poll(&mut cx).is_pending());
            drop(other);
            drop(guard);
            assert!(locks.as_mut().poll(&mut cx).is_ready());
        }
        assert!(again.calls.load(Ordering::SeqCst) >= 40);
    });
}

#[test]
fn wakers_may_re_enter_timers_and_joins() {
    bounded(|| {
        let again = Reentrant::new(|| {
            let waker = Waker::noop();
            let mut sleep = pin!(time::sleep_async(Duration::from_secs(60)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        });
        let waker = again.waker();
        let mut cx = Context::from_waker(&waker);
        let mut sleep = pin!(time::sleep_async(Duration::from_millis(2)));
        let _ = sleep.as_mut().poll(&mut cx);
        common::eventually("the sleep is over", || sleep.as_mut().poll(&mut cx).is_ready());
        let (go_on, rx) = chan::bounded::<()>(0);
        let mut handle = go(move || rx.recv());
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        let before = again.calls.load(Ordering::SeqCst);
        drop(go_on);
        common::eventually("the waker is called", || again.calls.load(Ordering::SeqCst) > before);
        assert!(handle.join().is_ok());
    });
}

#[test]
fn forgotten_pinned_futures_harm_nobody() {
    everywhere(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let (tx, rx) = chan::unbounded();
        let wg = WaitGroup::new();
        wg.add(1);
        let (go_on, waits) = chan::bounded::<()>(0);
        let (rx, wg2) = (Box::leak(Box::new(rx)), Box::leak(Box::new(wg.clone())));
        let mut receive = Box::pin(rx.recv_async());
        let mut waited = Box::pin(wg2.wait_async());
        let mut sleep = Box::pin(time::sleep_async(Duration::from_millis(1)));
        let mut handle = Box::pin(go(move || waits.recv().is_err()));
        assert!(receive.as_mut().poll(&mut cx).is_pending());
        assert!(waited.as_mut().poll(&mut cx).is_pending());
        // On a busy machine it may be over already.
        let _ = sleep.as_mut().poll(&mut cx);
        assert!(handle.as_mut().poll(&mut cx).is_pending());
        std::mem::forget((receive, waited, sleep, handle));
        // Served like any other: the first message goes to whom nobody polls, the next to us.
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        assert_eq!(rx.recv(), Ok(2));
        let live = wg.clone();
        let other = go(move || live.wait());
        wg.done();
        other.join().unwrap();
        drop(go_on);
        time::sleep(Duration::from_millis(3));
        common::eventually("only main is left", || gosched::num_goroutine() == 1);
    });
}

#[test]
fn handles_and_timers_are_dropped_elsewhere_after_their_runtime() {
    for mode in modes() {
        bounded(move || {
            let (_never, rx) = chan::bounded::<()>(0);
            let (handles, sleeps) = mode.runtime.run(|| {
                let mut sleeps = Vec::new();
                for i in 0..10 {
                    let mut sleep = Box::pin(time::sleep_async(Duration::from_millis(i * 5 + 1)));
                    // Registered with this runtime's timers.
                    wait(std::future::poll_fn(|cx| {
                        let _ = sleep.as_mut().poll(cx);
                        Poll::Ready(())
                    }));
                    sleeps.push(sleep);
                }
                let handles: Vec<_> = (0..10)
                    .map(|i| {
                        let rx = rx.clone();
                        let body = move || (i % 3 == 0).then(|| rx.recv().is_err());
                        if i % 2 == 0 { go(body) } else { go_async(async move { body() }) }
                    })
                    .collect();
                let ends = |i: usize| !i.is_multiple_of(3);
                common::eventually("those that end have ended", || {
                    handles.iter().enumerate().all(|(i, handle)| handle.is_finished() || !ends(i))
                });
                (handles, sleeps)
            });
            let name = mode.name;
            drop(mode.runtime);
            thread::spawn(move || {
                for (i, sleep) in sleeps.into_iter().enumerate() {
                    if i % 2 == 0 {
                        drop(sleep);
                    } else {
                        // Goes on with the timers of whoever polls it now.
                        wait(sleep);
                    }
                }
                for (i, handle) in handles.into_iter().enumerate() {
                    match i % 4 {
                        0 => drop(handle),
                        _ => assert_eq!(handle.join().is_err(), i % 3 == 0, "{name} {i}"),
                    }
                }
            })
            .join()
            .unwrap();
        });
    }
}

/// Panics when it is called.
struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a bad waker"));
    }
}

/// Calls `f`, in which a bad waker is called.
fn meets_a_bad_waker(f: impl FnOnce()) {
    assert_eq!(panic_text(f), "a bad waker");
}

/// A receive or a send that ends with whether the channel was closed.
type Waiting = Pin<Box<dyn Future<Output = bool>>>;

#[test]
fn C10_a_waker_that_panics_costs_nobody_else_on_the_channel_the_wake_up() {
    bounded(|| {
        let bad = Waker::from(Arc::new(Bad));
        let message = Arc::new(());
        // More than one batch of those who are released; the bad one first, last, and in between.
        for (n, at) in [(2, 0), (2, 1), (5, 3), (200, 0), (200, 10), (200, 100), (200, 199)] {
            // Receivers or senders wait; the channel is closed, or the last handle of the other side goes.
            for (receive, close) in [(true, true), (false, true), (true, false), (false, false)] {
                let (tx, rx) = chan::bounded::<Arc<()>>(0);
                let mut waiting: Vec<Waiting> = Vec::new();
                for i in 0..n {
                    let mut future: Waiting = if receive {
                        let rx = rx.clone();
                        Box::pin(async move { rx.recv_async().await.is_err() })
                    } else {
                        let (tx, message) = (tx.clone(), message.clone());
                        Box::pin(async move { tx.send_async(message).await.is_err() })
                    };
                    let waker = if i == at { &bad } else { Waker::noop() };
                    assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                    waiting.push(future);
                }
                match (close, receive) {
                    (true, _) => meets_a_bad_waker(|| _ = tx.close()),
                    (false, true) => meets_a_bad_waker(|| drop(tx)),
                    (false, false) => meets_a_bad_waker(|| drop(rx)),
                }
                // One who was forgotten would be pending still.
                for mut future in waiting {
                    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert_eq!(polled, Poll::Ready(true), "{at} of {n}: somebody still waits");
                }
            }
        }
        assert_eq!(Arc::strong_count(&message), 1);
    });
}
