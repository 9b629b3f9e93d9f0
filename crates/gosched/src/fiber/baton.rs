//! The threads backend: a fiber is an OS thread, and a baton says whose turn it is.
//!
//! | turn | who runs |
//! |---|---|
//! | WORKER | the thread that resumes the fiber; the fiber's thread sleeps |
//! | FIBER | the fiber's thread; the resumer sleeps |
//! | END | the fiber's thread goes away |
//!
//! Each change is a release store by the one whose turn it was, and an acquire load by the other, so all that
//! one side wrote is seen by the other: to a race detector this is plain hand-over.

use super::coro::{Fiber, Hooks};
use crate::sys::background;
use crate::sys::census::Harmless;
use crate::sys::prim::{AtomicU32, Ordering};
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread::{self, Thread};

const WORKER: u32 = 0;
const FIBER: u32 = 1;
const END: u32 = 2;

struct Shared {
    turn: AtomicU32,
    /// Who resumed last. Written by the resumer before it gives the turn away.
    resumer: Cell<Option<Thread>>,
    fiber: Cell<*const Fiber>,
    job: Cell<*mut ()>,
    context: Cell<*const ()>,
    enter: fn(*const ()),
}

// SAFETY: the cells are touched by the side whose turn it is, and the turn passes with release and acquire.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    /// Sleeps until it is one of `turns`.
    fn await_turn(&self, turns: impl Fn(u32) -> bool) -> u32 {
        loop {
            let turn = self.turn.load(Ordering::Acquire);
            if turns(turn) {
                return turn;
            }
            thread::park();
        }
    }

    fn serve(&self) {
        while self.await_turn(|turn| turn != WORKER) == FIBER {
            (self.enter)(self.context.get());
            // SAFETY: the resumer keeps the fiber's record alive until `end`, and gave a job for it.
            unsafe { (*self.fiber.get()).run_job(self.job.get()) };
            (self.enter)(std::ptr::null());
            self.back();
        }
    }

    fn back(&self) {
        let resumer = self.resumer.take();
        self.turn.store(WORKER, Ordering::Release);
        if let Some(resumer) = resumer {
            resumer.unpark();
        }
    }
}

/// The worker's end of a fiber thread.
pub(super) struct Baton {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Baton {
    /// Starts the fiber's thread.
    pub(super) fn new(stack_size: usize, hooks: Hooks) -> io::Result<Baton> {
        let shared = Arc::new(Shared {
            turn: AtomicU32::new(WORKER),
            resumer: Cell::new(None),
            fiber: Cell::new(std::ptr::null()),
            job: Cell::new(std::ptr::null_mut()),
            context: Cell::new(std::ptr::null()),
            enter: hooks.enter,
        });
        let served = shared.clone();
        let handle = thread::Builder::new().name("gosched-goroutine".into()).stack_size(stack_size).spawn(
            move || {
                // Who runs here is told by the worker that has resumed it.
                let _harmless = Harmless::here();
                background::enter_for_good();
                served.serve();
            },
        )?;
        Ok(Baton { shared, thread: handle.thread().clone() })
    }

    /// Gives the turn to the fiber and sleeps until it comes back.
    pub(super) fn resume(&self, fiber: *const Fiber, job: *mut (), context: *const ()) {
        let shared = &self.shared;
        shared.fiber.set(fiber);
        shared.job.set(job);
        shared.context.set(context);
        shared.resumer.set(Some(thread::current()));
        shared.turn.store(FIBER, Ordering::Release);
        self.thread.unpark();
        shared.await_turn(|turn| turn == WORKER);
    }

    /// On the fiber's thread: gives the turn back and sleeps until the next resume.
    pub(super) fn suspend(&self) {
        let shared = &self.shared;
        shared.back();
        if shared.await_turn(|turn| turn != WORKER) == FIBER {
            (shared.enter)(shared.context.get());
        }
    }

    /// Ends the fiber's thread, which has no job.
    pub(super) fn end(self) {
        self.shared.turn.store(END, Ordering::Release);
        self.thread.unpark();
    }
}
