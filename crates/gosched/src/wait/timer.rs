//! Deadlines: of a blocked goroutine, and inside futures.

use super::block::suspendable;
use crate::clock::TimerKey;
use crate::clock::driver::fallback;
use crate::task::current::current_task;
use crate::task::waker::waker;
use crate::task::{Schedule, TaskRef};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

/// The timer of a goroutine blocked in `wait_deadline`. Lives on its stack.
pub(super) struct Armed {
    task: TaskRef,
    key: TimerKey,
}

impl Armed {
    pub(super) fn for_task(task: TaskRef, deadline: Instant) -> Self {
        // SAFETY: a goroutine that runs keeps its scheduler alive.
        let scheduler = unsafe { task.scheduler_ref() };
        let (key, earliest) = scheduler.timers().insert(deadline, ManuallyDrop::into_inner(waker(task)));
        if earliest {
            scheduler.timer_moved();
        }
        Self { task, key }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // SAFETY: as above; an abandoned goroutine does not come here.
        drop(unsafe { self.task.scheduler_ref() }.timers().cancel(self.key));
    }
}

/// Whose timers an entry is in.
#[derive(Clone)]
enum Keeper {
    Runtime(Arc<dyn Schedule>),
    Fallback,
}

impl Keeper {
    /// The runtime of the goroutine that polls, or the process's own timer thread. The latter also for a
    /// goroutine that blocks its thread instead of suspending: that may be the only worker there is, and then
    /// nobody would look at the runtime's timers.
    fn here() -> Self {
        match suspendable() {
            // SAFETY: a goroutine that runs keeps its scheduler alive.
            Some(spot) => Keeper::Runtime(unsafe { spot.task.scheduler_ref() }.keep()),
            None => Keeper::Fallback,
        }
    }

    fn insert(&self, at: Instant, waker: std::task::Waker) -> TimerKey {
        match self {
            Keeper::Runtime(scheduler) => {
                let (key, earliest) = scheduler.timers().insert(at, waker);
                if earliest {
                    scheduler.timer_moved();
                }
                key
            }
            Keeper::Fallback => fallback().insert(at, waker).expect("the timer thread cannot be started"),
        }
    }

    /// Whether [`Keeper::here`] would choose it again.
    fn is_here(&self) -> bool {
        match (self, current_task()) {
            (Keeper::Runtime(scheduler), Some(task)) => {
                std::ptr::eq(task.scheduler.load(Ordering::Relaxed), scheduler.anchor())
            }
            (Keeper::Fallback, None) => true,
            _ => false,
        }
    }

    /// Gives an entry another deadline and waker. False if it has fired.
    fn update(&self, key: TimerKey, at: Instant, waker: &std::task::Waker) -> bool {
        match self {
            Keeper::Runtime(scheduler) => match scheduler.timers().update(key, at, waker) {
                Some(earlier) => {
                    if earlier {
                        scheduler.timer_moved();
                    }
                    true
                }
                None => false,
            },
            Keeper::Fallback => fallback().update(key, at, waker),
        }
    }

    fn cancel(&self, key: TimerKey) {
        // The waker comes back to be dropped here, outside the store's lock.
        drop(match self {
            Keeper::Runtime(scheduler) => scheduler.timers().cancel(key),
            Keeper::Fallback => fallback().cancel(key),
        });
    }
}

struct Entry {
    keeper: Keeper,
    key: TimerKey,
    at: Instant,
    waker: std::task::Waker,
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
        if Instant::now() >= deadline {
            self.cancel();
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
        let key = keeper.insert(deadline, cx.waker().clone());
        self.entry = Some(Entry { keeper, key, at: deadline, waker: cx.waker().clone() });
        Poll::Pending
    }

    fn cancel(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.keeper.cancel(entry.key);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}
