//! What few goroutines have: a name, labels, values of their own. Kept beside the header, in a box that is made when
//! the first of them is needed.
//!
//! The owner of the task alone makes, changes and frees the box; dumps read the name and the labels from other threads.
//! So that none of them reads a box that is being freed, or labels that are being replaced, the owner does both under
//! a lock that readers hold, too. Everything else the owner does without it: nobody else writes. There are few locks
//! for all headers, by address; only goroutines that have such a box ever take one.

use super::header::{Task, TaskRef};
use super::labels::Labels;
use super::state::Seen;
use crate::sys::lock::{Spin, SpinGuard};
use std::any::Any;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module.
#[derive(Default)]
pub(crate) struct Extra {
    /// Not changed once the box can be reached.
    name: Option<Arc<str>>,
    /// The main goroutine of a `run`. As above.
    is_main: bool,
    /// Read by the owner or under the lock; written by the owner, under the lock.
    labels: UnsafeCell<Labels>,
    /// Its panic has been told to the runtime's hook, and is not to be printed. The owner's alone.
    told: AtomicBool,
    /// The owner's alone.
    locals: UnsafeCell<Option<Box<dyn Any + Send>>>,
}

/// What dumps show of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShownExtra {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) is_main: bool,
    pub(crate) labels: Labels,
}

const LOCKS: usize = 64;
static READERS: [Spin<()>; LOCKS] = [const { Spin::new(()) }; LOCKS];

/// The lock of a header's box.
fn lock_of(task: TaskRef) -> SpinGuard<'static, ()> {
    READERS[task.as_ptr().addr() / size_of::<Task>() % LOCKS].lock()
}

impl TaskRef {
    fn extra(&self) -> Option<&Extra> {
        // Acquire: for readers; see `give_extra`.
        // SAFETY: null, or a box that is freed by the owner alone, under the lock. Our callers own the task, or hold
        // the lock.
        unsafe { self.extra.load(Ordering::Acquire).as_ref() }
    }

    /// Gives a task its box. Only for its owner, of a task that has none.
    pub(crate) fn give_extra(self, shown: ShownExtra) {
        let ShownExtra { name, is_main, labels } = shown;
        let extra = Extra { name, is_main, labels: labels.into(), ..Extra::default() };
        // Release: who finds the box sees what is in it, and the header as it is now.
        self.extra.store(Box::into_raw(Box::new(extra)), Ordering::Release);
    }

    fn extra_or_new(&self) -> &Extra {
        if self.extra().is_none() {
            self.give_extra(ShownExtra::default());
        }
        self.extra().expect("it was just made")
    }

    /// Frees the box. Only for the task's owner, who has dropped the locals.
    pub(crate) fn free_extra(self) {
        if let Some(extra) = NonNull::new(self.extra.load(Ordering::Relaxed)) {
            let readers = lock_of(self);
            self.extra.store(std::ptr::null_mut(), Ordering::Relaxed);
            drop(readers);
            // SAFETY: it came from a box; nobody else frees it, and no reader has or gets it after the lock.
            drop(unsafe { Box::from_raw(extra.as_ptr()) });
        }
    }

    /// The name, if it was given one. Only for the task's owner.
    pub(crate) fn name(self) -> Option<Arc<str>> {
        self.extra().and_then(|extra| extra.name.clone())
    }

    /// Calls `f` with the name. It does nothing else, as signal handlers must. Only for the task's owner.
    pub(crate) fn with_name<R>(self, f: impl FnOnce(Option<&str>) -> R) -> R {
        f(self.extra().and_then(|extra| extra.name.as_deref()))
    }

    /// The labels. Only for the task's owner.
    #[inline]
    pub(crate) fn labels(self) -> Labels {
        // SAFETY: only the owner writes them, who calls this.
        self.extra().map(|extra| unsafe { (*extra.labels.get()).clone() }).unwrap_or_default()
    }

    /// Replaces the labels. Only for the task's owner.
    pub(crate) fn set_labels(self, labels: Labels) {
        if labels.is_empty() && self.extra().is_none() {
            return;
        }
        let extra = self.extra_or_new();
        let readers = lock_of(self);
        // SAFETY: readers hold the lock that we hold, and only the owner writes, who calls this.
        let old = unsafe { std::mem::replace(&mut *extra.labels.get(), labels) };
        drop(readers);
        drop(old);
    }

    /// Drops the goroutine's own values. Their destructors are the user's, and may make such values anew: for
    /// some rounds; what is there then stays for ever. Only for the task's owner.
    #[inline]
    pub(crate) fn drop_locals(self) {
        if !self.extra.load(Ordering::Relaxed).is_null() {
            self.drop_some_locals();
        }
    }

    #[cold]
    fn drop_some_locals(self) {
        const ROUNDS: usize = 8;
        // SAFETY: the locals are the owner's, who calls this; the reference ends here.
        let take = || self.extra().and_then(|extra| unsafe { (*extra.locals.get()).take() });
        for _ in 0..ROUNDS {
            let Some(locals) = take() else { return };
            drop(locals);
        }
        std::mem::forget(take());
    }

    /// Notes that the goroutine's panic has been told to a hook. Only for the task's owner.
    pub(crate) fn set_told(self) {
        self.extra_or_new().told.store(true, Ordering::Relaxed);
    }

    /// Whether it has been. Only for the task's owner.
    pub(crate) fn is_told(self) -> bool {
        self.extra().is_some_and(|extra| extra.told.load(Ordering::Relaxed))
    }

    /// Runs `f` on the goroutine's own values. Only for the task's owner.
    pub(crate) fn with_locals<R>(self, f: impl FnOnce(&mut Option<Box<dyn Any + Send>>) -> R) -> R {
        // SAFETY: the locals are the owner's, who calls this, and `f` cannot reach them through us a second time
        // without suspending, which callers do not do inside `f`.
        unsafe { f(&mut *self.extra_or_new().locals.get()) }
    }

    /// What the box of goroutine `id` shows; for anybody. `None` if the header does not serve that one any more.
    pub(crate) fn shown_extra(self, id: u64) -> Option<ShownExtra> {
        let readers = lock_of(self);
        let shown = self.extra().map(|extra| ShownExtra {
            name: extra.name.clone(),
            is_main: extra.is_main,
            // SAFETY: written under the lock only, which we hold.
            labels: unsafe { (*extra.labels.get()).clone() },
        });
        // The header's goroutine after the box was looked at. If the box is a later one's, so is the id (see `give_extra`).
        // If there was none because it has been freed, the state was closed before that (we have taken the lock after
        // it); unless a later goroutine has opened it again, whose id was published before.
        let is_over = self.state.seen() == Seen::Closed;
        let current = self.id.get() == id;
        drop(readers);
        (current && !is_over).then(|| shown.unwrap_or_default())
    }
}
