//! Deadlines: of a blocked goroutine, and inside futures.

use super::block::suspendable;
use crate::clock::driver::fallback;
use crate::clock::manual::{self, Manual};
use crate::clock::{TimerKey, now, real_now};
use crate::task::current::current_task;
use crate::task::waker::waker;
use crate::task::{Schedule, TaskRef};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The timer of a wait in `wait_deadline`. Lives on the waiter's stack.
pub(super) enum Armed {
    /// In the store of the goroutine's runtime.
    Task { task: TaskRef, key: TimerKey },
    /// With a clock that is moved by hand.
    Manual { clock: Arc<Manual>, key: TimerKey },
}

impl Armed {
    pub(super) fn for_task(task: TaskRef, now: Instant, deadline: Instant) -> Self {
        let waker = ManuallyDrop::into_inner(waker(task));
        if let Some(clock) = manual::here() {
            return Self::by_hand(clock, deadline, waker);
        }
        // SAFETY: a goroutine that runs keeps its scheduler alive.
        let scheduler = unsafe { task.scheduler_ref() };
        Self::Task { task, key: scheduler.insert_timer(now, deadline, waker) }
    }

    pub(super) fn by_hand(clock: Arc<Manual>, deadline: Instant, waker: Waker) -> Self {
        let key = clock.insert(deadline, waker);
        clock.fire();
        Self::Manual { clock, key }
    }

    /// The deadline has passed: whoever keeps a runtime's store pops the entry in any case, and a late wake of a
    /// goroutine is but a spurious poll, so nobody need lock the store again for it.
    pub(super) fn passed(self) {
        match self {
            Self::Task { .. } => std::mem::forget(self),
            Self::Manual { .. } => {}
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        drop(match self {
            // SAFETY: as above; an abandoned goroutine does not come here.
            Self::Task { task, key } => unsafe { task.scheduler_ref() }.cancel_timer(*key),
            Self::Manual { clock, key } => clock.cancel(*key),
        });
    }
}

/// Whose timers an entry is in.
#[derive(Clone)]
pub(crate) enum Keeper {
    Runtime(Arc<dyn Schedule>),
    Fallback,
    Manual(Arc<Manual>),
}

impl Keeper {
    /// The clock that is moved by hand, where there is one; the runtime of the goroutine that polls; or the process's
    /// own timer thread. The latter also for a goroutine that blocks its thread instead of suspending: that may be the
    /// only worker there is, and then nobody would look at the runtime's timers.
    pub(crate) fn here() -> Self {
        if let Some(clock) = manual::here() {
            return Keeper::Manual(clock);
        }
        match suspendable() {
            // SAFETY: a goroutine that runs keeps its scheduler alive.
            Some(spot) => Keeper::Runtime(unsafe { spot.task.scheduler_ref() }.keep()),
            None => Keeper::Fallback,
        }
    }

    /// The time by which it goes.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Keeper::Manual(clock) => clock.now(),
            Keeper::Runtime(_) | Keeper::Fallback => real_now(),
        }
    }

    fn insert(&self, now: Instant, at: Instant, waker: Waker) -> TimerKey {
        let key = self.insert_quietly(now, at, waker);
        self.settle();
        key
    }

    /// Adds an entry without waking anybody; it is about `now`. The caller calls [`Keeper::settle`], under no lock.
    pub(crate) fn insert_quietly(&self, now: Instant, at: Instant, waker: Waker) -> TimerKey {
        match self {
            Keeper::Runtime(scheduler) => scheduler.insert_timer(now, at, waker),
            Keeper::Fallback => fallback().insert(at, waker).expect("the timer thread cannot be started"),
            Keeper::Manual(clock) => clock.insert(at, waker),
        }
    }

    /// Wakes what is due already, where nobody else would.
    pub(crate) fn settle(&self) {
        if let Keeper::Manual(clock) = self {
            clock.fire();
        }
    }

    /// The same without keeping it.
    pub(crate) fn downgrade(&self) -> WeakKeeper {
        match self {
            Keeper::Runtime(scheduler) => WeakKeeper::Runtime(Arc::downgrade(scheduler)),
            Keeper::Fallback => WeakKeeper::Fallback,
            Keeper::Manual(clock) => WeakKeeper::Manual(Arc::downgrade(clock)),
        }
    }

    /// Whether [`Keeper::here`] would choose it again.
    fn is_here(&self) -> bool {
        match (self, manual::here(), current_task()) {
            (Keeper::Manual(clock), Some(here), _) => Arc::ptr_eq(clock, &here),
            (Keeper::Runtime(scheduler), None, Some(task)) => {
                std::ptr::eq(task.scheduler.load(Ordering::Relaxed), scheduler.anchor())
            }
            (Keeper::Fallback, None, None) => true,
            _ => false,
        }
    }

    /// Gives an entry another deadline and waker. False if it has fired.
    fn update(&self, key: TimerKey, at: Instant, waker: &Waker) -> bool {
        match self {
            Keeper::Runtime(scheduler) => scheduler.update_timer(key, at, waker),
            Keeper::Fallback => fallback().update(key, at, waker),
            Keeper::Manual(clock) => clock.update(key, at, waker),
        }
    }

    /// Takes an entry out. `Some` is its waker, which will not be woken by it; `None` if it has fired.
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        match self {
            Keeper::Runtime(scheduler) => scheduler.cancel_timer(key),
            Keeper::Fallback => fallback().cancel(key),
            Keeper::Manual(clock) => clock.cancel(key),
        }
    }
}

/// A keeper as one of its own entries refers to it.
pub(crate) enum WeakKeeper {
    Runtime(Weak<dyn Schedule>),
    Fallback,
    Manual(Weak<Manual>),
}

impl WeakKeeper {
    /// `None` when it is gone, with all its entries.
    pub(crate) fn upgrade(&self) -> Option<Keeper> {
        match self {
            Self::Runtime(scheduler) => scheduler.upgrade().map(Keeper::Runtime),
            Self::Fallback => Some(Keeper::Fallback),
            Self::Manual(clock) => clock.upgrade().map(Keeper::Manual),
        }
    }
}

struct Entry {
    keeper: Keeper,
    key: TimerKey,
    at: Instant,
    waker: Waker,
}

/// A deadline as a part of a future. Cancelled when dropped.
#[derive(Default)]
pub(crate) struct Timer {
    entry: Option<Entry>,
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("at", &self.entry.as_ref().map(|entry| entry.at)).finish()
    }
}

impl Timer {
    pub(crate) const fn new() -> Self {
        Self { entry: None }
    }

    /// Ready once `deadline` has passed; else the waker of `cx` is woken then. A later call may come with
    /// another waker and another deadline.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let now = now();
        if now >= deadline {
            self.pass(deadline);
            return Poll::Ready(());
        }
        if let Some(entry) = &mut self.entry {
            if entry.at == deadline && entry.waker.will_wake(cx.waker()) {
                return Poll::Pending;
            }
            // Only while it is still the place to be woken from: the runtime may be gone since.
            if entry.keeper.is_here() && entry.keeper.update(entry.key, deadline, cx.waker()) {
                entry.at = deadline;
                entry.waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            // Else it has fired, for an earlier deadline or waker, or lies with another runtime.
            self.cancel();
        }
        let keeper = Keeper::here();
        let key = keeper.insert(now, deadline, cx.waker().clone());
        self.entry = Some(Entry { keeper, key, at: deadline, waker: cx.waker().clone() });
        Poll::Pending
    }

    /// The deadline has passed; see [`Armed::passed`].
    fn pass(&mut self, deadline: Instant) {
        match &self.entry {
            Some(Entry { keeper: Keeper::Runtime(_), at, .. }) if *at <= deadline => self.entry = None,
            _ => self.cancel(),
        }
    }

    fn cancel(&mut self) {
        if let Some(entry) = self.entry.take() {
            // The waker comes back to be dropped here, outside the store's lock.
            drop(entry.keeper.cancel(entry.key));
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}
