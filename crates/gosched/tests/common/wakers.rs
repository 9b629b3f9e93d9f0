//! Wakers that are not the library's, and futures driven by hand with them.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Wakes(pub(crate) AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that panics, quietly (no hook is called), with [`PANIC`].
pub(crate) struct Panics;

/// What [`Panics`] panics with.
pub(crate) const PANIC: &str = "a foreign waker's own";

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new(PANIC));
    }
}

/// A future driven by hand, and how often it was woken.
pub(crate) struct Hand<F> {
    future: Pin<Box<F>>,
    pub(crate) wakes: Arc<Wakes>,
}

impl<F: Future> Hand<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), wakes: Arc::default() }
    }

    /// One that waits already.
    #[track_caller]
    pub(crate) fn queued(future: F) -> Self {
        let mut hand = Self::new(future);
        hand.waits();
        hand
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn waits(&mut self) {
        assert!(self.poll().is_pending(), "it should not have come");
    }

    #[track_caller]
    pub(crate) fn take(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it should have come"),
        }
    }
}
