//! The channels that time fills: `after`, `at` and `tick`, and those of `time::Timer` and `time::Ticker`.
//!
//! They hold no timer. A channel knows when its next message is due; a receiver waits until then, in its own way,
//! and takes the message if no other receiver was faster. With nobody waiting there is nothing to run and nothing
//! to collect (S20), and stopping or setting it anew is a change of a few words: no message has been sent that could
//! be stale.
//!
//! # No message is overslept
//!
//! Receivers that wait are queued in the channel, not to be served but to be told when the time for which they
//! wait becomes an earlier one. Each queues first and reads the due time afterwards, under the lock or later;
//! whoever sets an earlier one, or gives back a message, wakes all that are queued, with the outcome `Retry`. So a
//! receiver has either read the new time or is woken. A later time wakes nobody: they look when the earlier one
//! has come, and wait on.

use crate::clock;
use crate::sys::lock::{RawSpin, Spin};
use crate::wait::Timer;
use crate::wait::list::{Home, Kind, List, Node};
use crate::wait::selectable::{Attempt, End};
use crate::wait::waiter::{Outcome, Phase, Waiter, Wakes};
use std::fmt;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The clock of all channel operations with a deadline.
#[inline]
pub(crate) fn now() -> Instant {
    clock::now()
}

/// When messages come.
#[derive(Debug)]
struct State {
    /// Whether a message is still to come.
    active: bool,
    /// When it is due; `None` is later than any clock can tell.
    due: Option<Instant>,
    /// How long after it the next one follows, if one does. At most one waits to be received.
    period: Option<Duration>,
    /// The only message, after it was taken: it may be given back, unless the timer was stopped or set since.
    taken: Option<Instant>,
    /// Those to tell when `due` becomes earlier.
    waiters: List,
}

impl State {
    fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.active)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| now >= due)
    }

    /// Takes the message that is due, if any: the time for which it was due.
    fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due().filter(|due| now >= *due)?;
        match self.period {
            None => {
                self.active = false;
                self.taken = Some(due);
            }
            Some(period) => self.due = next_tick(due, period, now),
        }
        Some(due)
    }

    /// Wakes all that wait.
    ///
    /// # Safety
    ///
    /// The lock is held, and `wakes` is used after it.
    unsafe fn tell(&mut self, wakes: &mut Wakes) {
        // All at once: in parts, those who have been told and wait again could be told for ever.
        // SAFETY: passed on.
        let _ = unsafe { self.waiters.finish_some(usize::MAX, Outcome::Retry, wakes) };
    }
}

/// The first tick after `now` on the grid of a ticker whose last one was due at `due`: ticks that were missed
/// deliver nothing, and shift nothing (T08).
fn next_tick(due: Instant, period: Duration, now: Instant) -> Option<Instant> {
    let late = now.saturating_duration_since(due).as_nanos();
    let missed = late.checked_rem(period.as_nanos()).unwrap_or(0);
    let nanos = (missed % 1_000_000_000) as u32;
    let missed = Duration::new((missed / 1_000_000_000) as u64, nanos);
    now.checked_add(period - missed)
}

/// A channel that delivers points in time.
///
/// `Receiver<T>` is generic and these channels exist for `T = Instant` only; the conversion, the identity, is
/// stored where that is known, and nothing needs to be transmuted.
pub(super) struct TimerChan<T> {
    state: Spin<State>,
    convert: fn(Instant) -> T,
}

impl<T> fmt::Debug for TimerChan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerChan").field("due", &self.due()).finish_non_exhaustive()
    }
}

impl TimerChan<Instant> {
    /// A channel whose first message is due at `due`; `None` is never. With a period others follow it.
    pub(super) fn new(due: Option<Instant>, period: Option<Duration>) -> Self {
        let state = State { active: true, due, period, taken: None, waiters: List::new() };
        Self { state: Spin::new(state), convert: |time| time }
    }
}

impl<T> TimerChan<T> {
    /// The message as the channel's type.
    pub(super) fn convert(&self, time: Instant) -> T {
        (self.convert)(time)
    }

    /// Takes the message that is due, if any: the time for which it was due.
    pub(super) fn take(&self) -> Option<Instant> {
        let now = now();
        self.state.lock().take(now)
    }

    /// When the next message is due. `None` if there will be no more.
    pub(super) fn due(&self) -> Option<Instant> {
        self.state.lock().due()
    }

    /// Whether a message is due now.
    pub(super) fn is_due(&self) -> bool {
        self.due().is_some_and(|due| now() >= due)
    }

    /// From now on nothing is delivered. Whether a message was still to come.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state.lock();
        state.taken = None;
        std::mem::replace(&mut state.active, false)
    }

    /// From now on the next message is due at `due`, whatever was before. Whether one was still to come.
    pub(super) fn set(&self, due: Option<Instant>, period: Option<Duration>) -> bool {
        self.change(|state| {
            let (before, was_active) = (state.due(), state.active);
            state.active = true;
            state.due = due;
            state.period = period;
            state.taken = None;
            let earlier = due.is_some_and(|due| before.is_none_or(|before| due < before));
            (earlier, was_active)
        })
    }

    /// Gives back a message that was taken and not consumed. A ticker does not want it: its grid has gone on.
    pub(super) fn untake(&self, time: Instant) {
        self.change(|state| {
            let given_back = !state.active && state.taken == Some(time);
            if given_back {
                state.active = true;
                state.taken = None;
            }
            (given_back, ())
        });
    }

    /// Changes the state, and tells those who wait if `f` says that there is a message sooner than before.
    fn change<R>(&self, f: impl FnOnce(&mut State) -> (bool, R)) -> R {
        let mut wakes = Wakes::new();
        let mut state = self.state.lock();
        let (sooner, result) = f(&mut state);
        if sooner {
            // SAFETY: the lock is held, and the wakers are woken after it.
            unsafe { state.tell(&mut wakes) };
        }
        drop(state);
        wakes.wake();
        result
    }

    // ---- as a case of a select ----

    pub(super) fn raw_lock(&self) -> &RawSpin {
        self.state.raw()
    }

    /// Tries the case.
    ///
    /// # Safety
    ///
    /// The caller holds the lock.
    pub(super) unsafe fn attempt(&self, node: &Node) -> Attempt {
        let now = now();
        // SAFETY: the lock is held, and the closure stays with the state it is given.
        let end = unsafe {
            self.state.with_held(|state| match node.kind() {
                Kind::Watch => state.is_due(now).then_some(End::Ready),
                _ => state.take(now).map(End::Time),
            })
        };
        end.map_or(Attempt::NotReady, Attempt::Chosen)
    }

    /// Queues a node, to be told of an earlier time.
    ///
    /// # Safety
    ///
    /// The caller holds the lock; the node is prepared, in no list, and stays in place until it is unlinked.
    pub(super) unsafe fn queue(&self, node: &Node) {
        // SAFETY: passed on.
        unsafe { self.state.with_held(|state| state.waiters.push_back(node, Home::Watch)) };
    }

    /// Takes a node out of the queue, if it is in it.
    ///
    /// # Safety
    ///
    /// The caller holds the lock; the node was given to this channel only.
    pub(super) unsafe fn unlink(&self, node: &Node) {
        if node.home() != Home::Nowhere {
            // SAFETY: passed on; this channel has no other list.
            unsafe { self.state.with_held(|state| state.waiters.remove(node)) };
        }
    }

    /// The same with the lock not held.
    ///
    /// # Safety
    ///
    /// The node was given to this channel only.
    pub(super) unsafe fn leave(&self, node: &Node) {
        let mut state = self.state.lock();
        if node.home() != Home::Nowhere {
            // SAFETY: the lock is held, and this channel has no other list.
            unsafe { state.waiters.remove(node) };
        }
    }
}

/// What a look at the channel came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The message is the caller's.
    Taken(Instant),
    /// There is none. The caller is queued and looks again at this time, or when it is woken.
    Until(Option<Instant>),
}

/// The place of a plain receive in the channel's queue.
///
/// Whoever has looked with it leaves ([`Place::leave`]) before dropping it.
pub(super) struct Place {
    waiter: Waiter,
    node: Node,
    /// The channel holds its address while it is queued.
    _pinned: PhantomPinned,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { waiter: Waiter::solo(), node: Node::new(Kind::Plain), _pinned: PhantomPinned }
    }

    /// Takes the message that is due, or queues with the waker of `cx`. The channel is the same each time.
    pub(super) fn look<T>(self: Pin<&Self>, chan: &TimerChan<T>, cx: &mut Context<'_>) -> Look {
        if let Some(time) = chan.take() {
            self.leave(chan);
            return Look::Taken(time);
        }
        // Declared before the lock: what is left in it is dropped after.
        let mut waker = Some(cx.waker().clone());
        loop {
            if let Phase::Done(..) = self.waiter.phase() {
                // SAFETY: told, hence unlinked, by a peer who is through with it; no lock is held.
                unsafe { self.waiter.reset() };
            }
            let mut state = chan.state.lock();
            match self.waiter.phase() {
                Phase::Idle => {
                    // SAFETY: the owner calls, in `Idle`, where no waker is left that would be dropped here.
                    unsafe { self.waiter.set_waker(waker.take().expect("used once")) };
                    self.node.prepare(&self.waiter, 0, std::ptr::null_mut());
                    self.waiter.start_waiting();
                    // SAFETY: prepared, in no list, under the lock; it is pinned, and its owner leaves before it goes.
                    unsafe { state.waiters.push_back(&self.node, Home::Watch) };
                }
                // SAFETY: waiting under the lock, and so still queued.
                Phase::Waiting => unsafe { self.waiter.update_locked(&mut waker) },
                Phase::Bound(_) | Phase::Done(..) => continue,
            }
            return Look::Until(state.due());
        }
    }

    /// Leaves the queue, if it is in it.
    pub(super) fn leave<T>(&self, chan: &TimerChan<T>) {
        if self.waiter.phase() == Phase::Idle {
            return;
        }
        // SAFETY: the node was given to this channel only. After that nobody else knows it, and no lock is held.
        unsafe {
            chan.leave(&self.node);
            self.waiter.reset();
        }
    }
}

/// An async receive: a place in the queue, and the alarm for the time being.
pub(super) struct AsyncWait {
    place: Pin<Box<Place>>,
    alarm: Timer,
}

impl AsyncWait {
    pub(super) fn new() -> Self {
        Self { place: Box::pin(Place::new()), alarm: Timer::new() }
    }

    /// Takes the next message when it is due.
    pub(super) fn poll<T>(&mut self, chan: &TimerChan<T>, cx: &mut Context<'_>) -> Poll<T> {
        loop {
            match self.place.as_ref().look(chan, cx) {
                Look::Taken(time) => return Poll::Ready(chan.convert(time)),
                Look::Until(None) => return Poll::Pending,
                Look::Until(Some(due)) => {
                    if self.alarm.poll_deadline(cx, due).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Leaves the channel's queue; before it is dropped.
    pub(super) fn leave<T>(&self, chan: &TimerChan<T>) {
        self.place.leave(chan);
    }
}

/// One turn of a blocking receive: until there is a message, or another time to wait for.
pub(super) struct Turn<'a, T> {
    chan: &'a TimerChan<T>,
    place: Pin<&'a Place>,
    /// Until when it is waited for.
    due: Option<Instant>,
}

impl<'a, T> Turn<'a, T> {
    pub(super) fn new(chan: &'a TimerChan<T>, place: Pin<&'a Place>, due: Option<Instant>) -> Self {
        Self { chan, place, due }
    }
}

impl<T> Future for Turn<'_, T> {
    type Output = Look;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Look> {
        match self.place.look(self.chan, cx) {
            Look::Until(due) if due == self.due => Poll::Pending,
            look => Poll::Ready(look),
        }
    }
}
