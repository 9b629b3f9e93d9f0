//! One descriptor: whether it may be ready, and who waits for that.
//!
//! Readiness is edge-triggered: the system tells once that a descriptor has *become* ready. So we remember it until a call
//! on the descriptor finds that there is nothing more, and each event counts, so that one which comes during such a call
//! is not forgotten with it.
//!
//! # The word of a direction
//!
//! | bit | means | set by | cleared by |
//! |---|---|---|---|
//! | READY | a call may find something | an event; the beginning | a call that has found nothing more, if no event came since it looked |
//! | HUNG | nothing more will come, so there will be no event either | an event | a call that would block all the same |
//! | CLOSED | closed by its owner | [`Direction::close`] | nobody |
//! | CROWDED | somebody is in the queue, or has been called from there and is not done | who queues, under the lock | the last to leave, under the lock |
//! | WATCHED | a waker of [`Direction::poll`] may be there | who leaves it, under the lock | an event, which takes the waker then, under the lock |
//! | LIMITED | there is a deadline or a time-out | who sets it, under the lock | who takes it away, under the lock |
//!
//! The upper half counts events.
//!
//! # First come, first served
//!
//! A call that must wait queues. An event calls the first of the queue, who *serves*: until it is done, others queue
//! behind it even if there is something for them. Done, it calls the next if there still may be something. One that finds
//! nothing goes back to the head.
//!
//! # No event is lost
//!
//! While the direction is READY and somebody queues, somebody serves or an event is just being delivered. An event raises
//! the word, then looks at CROWDED and WATCHED in what was there before; who queues sets these bits, then looks at READY
//! in what was there before. Both are read-modify-writes of one word, so at least one sees the other. An event that has
//! seen them takes the lock, under which the other has queued by then. Who has served looks at READY under the lock
//! before it lets go: an event that came later finds nobody serving.

use crate::clock::now;
use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicU64, Ordering};
use crate::wait::node::{NodeList, NodeState, Signal, WaitNode};
use crate::wait::queue::{drop_quietly, wake_in_batches_quietly, wake_quietly};
use crate::wait::{Timer, is_suspendable};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const READY: u64 = 1;
const HUNG: u64 = 2;
const CLOSED: u64 = 4;
const CROWDED: u64 = 8;
const WATCHED: u64 = 16;
const LIMITED: u64 = 32;
const EVENT: u64 = 1 << 32;

/// What the word was when a call began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(u64);

/// What a call on the descriptor came to.
#[derive(Debug)]
pub(crate) struct Done<T> {
    pub(crate) value: T,
    /// There was less than was asked for: nothing more until the next event.
    pub(crate) drained: bool,
}

impl<T> Done<T> {
    /// There may be more.
    pub(crate) fn with(value: T) -> Self {
        Self { value, drained: false }
    }
}

/// Why an operation ended without the system's saying so.
#[derive(Debug)]
pub(crate) enum Failed {
    /// What the system said.
    System(io::Error),
    Closed,
    TimedOut,
}

/// A descriptor that the reactor watches.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) read: Direction,
    pub(crate) write: Direction,
}

impl Source {
    pub(super) fn new() -> Self {
        Self { read: Direction::new(), write: Direction::new() }
    }

    /// Whether somebody waits here, or has left a waker and not come back since.
    pub(super) fn is_awaited(&self) -> bool {
        self.read.is_awaited() || self.write.is_awaited()
    }
}

/// Reading from a descriptor, or writing to it.
pub(crate) struct Direction {
    word: AtomicU64,
    waiters: Spin<Waiters>,
}

struct Waiters {
    list: NodeList,
    /// Somebody from the list was called, and is not done.
    serving: bool,
    /// Whom to wake in any case.
    watcher: Option<Waker>,
    deadline: Option<Instant>,
    timeout: Option<Duration>,
}

impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiters = self.waiters.lock();
        let (word, serving, empty) =
            (self.word.load(Ordering::Relaxed), waiters.serving, waiters.list.is_empty());
        drop(waiters);
        f.debug_struct("Direction")
            .field("ready", &(word & READY != 0))
            .field("hung", &(word & HUNG != 0))
            .field("closed", &(word & CLOSED != 0))
            .field("crowded", &(word & CROWDED != 0))
            .field("queue_is_empty", &empty)
            .field("serving", &serving)
            .field("events", &(word / EVENT))
            .finish_non_exhaustive()
    }
}

impl Waiters {
    /// Nobody is before a newcomer.
    fn is_free(&self) -> bool {
        self.list.is_empty() && !self.serving
    }

    fn limit(&self, own: Option<Instant>) -> Option<Instant> {
        match (self.deadline, own) {
            (Some(deadline), Some(own)) => Some(deadline.min(own)),
            (deadline, own) => deadline.or(own),
        }
    }
}

impl Direction {
    fn new() -> Self {
        Self {
            // Nobody knows yet: the first call finds out.
            word: AtomicU64::new(READY),
            waiters: Spin::new(Waiters {
                list: NodeList::new(),
                serving: false,
                watcher: None,
                deadline: None,
                timeout: None,
            }),
        }
    }

    fn see(&self) -> Seen {
        Seen(self.word.load(Ordering::Acquire))
    }

    fn is_awaited(&self) -> bool {
        self.word.load(Ordering::SeqCst) & (CROWDED | WATCHED) != 0
    }

    /// An event has come. `woken` has room for two more: nothing is allocated under the lock.
    pub(super) fn event(&self, hung: bool, woken: &mut Vec<Waker>) {
        let raise = if hung { READY | HUNG } else { READY };
        // Whoever leaves a waker from here on finds READY, looks again, and may leave the bit with no waker: the next event
        // finds out.
        let before = self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
            Some((word & !WATCHED).wrapping_add(EVENT) | raise)
        });
        if before.is_ok_and(|word| word & (CROWDED | WATCHED) == 0) {
            return;
        }
        let mut waiters = self.waiters.lock();
        if let Some(watcher) = waiters.watcher.take() {
            woken.push(watcher);
        }
        if let Some(next) = self.call_next(&mut waiters) {
            woken.push(next);
        }
    }

    fn take_watcher(&self, waiters: &mut Waiters) -> Option<Waker> {
        self.word.fetch_and(!WATCHED, Ordering::SeqCst);
        waiters.watcher.take()
    }

    /// Under the lock: calls the first of the queue, if nobody serves.
    fn call_next(&self, waiters: &mut Waiters) -> Option<Waker> {
        if waiters.serving {
            return None;
        }
        let popped = waiters.list.pop_front()?;
        waiters.serving = true;
        popped.signal(Signal::One)
    }

    /// A call has found that there is nothing more. False if an event has come since.
    fn clear(&self, seen: Seen, would_block: bool) -> bool {
        let cleared = self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
            let old = word / EVENT == seen.0 / EVENT && (would_block || word & HUNG == 0);
            old.then_some(word & !(READY | HUNG))
        });
        cleared.is_ok()
    }

    /// Wakes all who wait: they look again.
    fn call_all(&self) {
        let watcher = self.take_watcher(&mut self.waiters.lock());
        wake_quietly(watcher);
        wake_in_batches_quietly(|batch| {
            let mut waiters = self.waiters.lock();
            // All that wait now, and perhaps some that have come since: a look too many.
            batch.tell_below(&mut waiters.list, u64::MAX, Signal::All);
            self.note_crowd(&waiters);
        });
    }

    /// Under the lock: somebody has left.
    fn note_crowd(&self, waiters: &Waiters) {
        if waiters.is_free() {
            self.word.fetch_and(!CROWDED, Ordering::SeqCst);
        }
    }

    /// Ends all operations, those that wait and those to come.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::SeqCst);
        self.call_all();
    }

    /// There may be something that the system does not tell.
    pub(crate) fn kick(&self) {
        let mut woken = Vec::with_capacity(2);
        self.event(false, &mut woken);
        woken.into_iter().for_each(|waker| wake_quietly(Some(waker)));
    }

    /// Changes when operations give up, also those that wait already.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.set_limits(|waiters| waiters.deadline = deadline);
        self.call_all();
    }

    /// Changes how long operations wait that begin from now on.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        self.set_limits(|waiters| waiters.timeout = timeout);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.waiters.lock().timeout
    }

    fn set_limits(&self, set: impl FnOnce(&mut Waiters)) {
        let mut waiters = self.waiters.lock();
        set(&mut waiters);
        if waiters.deadline.is_some() || waiters.timeout.is_some() {
            self.word.fetch_or(LIMITED, Ordering::SeqCst);
        } else {
            self.word.fetch_and(!LIMITED, Ordering::SeqCst);
        }
    }

    /// Whether operations fail at once; else when they will. `own` is when this one gives up by itself.
    #[inline]
    fn limit(&self, seen: Seen, own: Option<Instant>) -> Result<Option<Instant>, Failed> {
        if seen.0 & (CLOSED | LIMITED) == 0 && own.is_none() { Ok(None) } else { self.limited(seen, own) }
    }

    fn limited(&self, seen: Seen, own: Option<Instant>) -> Result<Option<Instant>, Failed> {
        if seen.0 & CLOSED != 0 {
            return Err(Failed::Closed);
        }
        let limit = if seen.0 & LIMITED == 0 { own } else { self.waiters.lock().limit(own) };
        match limit {
            // Also if there is something to be had: that is Go's rule, and whoever sets a deadline of the past wants it.
            Some(at) if at <= now() => Err(Failed::TimedOut),
            limit => Ok(limit),
        }
    }

    /// For callers that poll through `&mut`, as the traits of the async ecosystem do: one waker per direction, that of the
    /// last to poll. They do not queue, since they may never come back.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        timer: &mut Option<Box<Timer>>,
        mut attempt: impl FnMut() -> io::Result<Done<T>>,
    ) -> Poll<Result<T, Failed>> {
        loop {
            let seen = self.see();
            let limit = match self.limit(seen, None) {
                Ok(limit) => limit,
                Err(failed) => return Poll::Ready(Err(failed)),
            };
            if seen.0 & READY != 0 {
                match self.try_once(seen, &mut attempt) {
                    Attempt::Done(result) => return Poll::Ready(result),
                    Attempt::Again => continue,
                }
            }
            let mut waker = Some(cx.waker().clone());
            let mut waiters = self.waiters.lock();
            std::mem::swap(&mut waiters.watcher, &mut waker);
            let before = self.word.fetch_or(WATCHED, Ordering::SeqCst);
            let deadline = waiters.limit(None);
            drop(waiters);
            // The old one, after the lock.
            drop_quietly(waker);
            if before & (READY | CLOSED) != 0 || deadline != limit {
                continue;
            }
            if !is_suspendable() {
                super::ensure_polled();
            }
            let Some(deadline) = deadline else { return Poll::Pending };
            if timer.get_or_insert_default().poll_deadline(cx, deadline).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// One call on the descriptor.
    fn try_once<T>(&self, seen: Seen, attempt: &mut impl FnMut() -> io::Result<Done<T>>) -> Attempt<T> {
        match attempt() {
            Ok(done) => {
                if done.drained {
                    self.clear(seen, false);
                }
                Attempt::Done(Ok(done.value))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.clear(seen, true);
                    Attempt::Again
                }
                io::ErrorKind::Interrupted => Attempt::Again,
                _ => Attempt::Done(Err(Failed::System(error))),
            },
        }
    }
}

enum Attempt<T> {
    Done(Result<T, Failed>),
    /// The word tells whether it is worth while.
    Again,
}

/// One operation's turn at a direction: a part of its future.
///
/// Whoever polls it calls [`Turn::leave`] before it is dropped.
pub(crate) struct Turn {
    node: WaitNode,
    /// We were called from the queue and are not done.
    serving: bool,
    begun: bool,
    /// When this operation gives up by itself.
    own: Option<Instant>,
    timer: Timer,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { node: WaitNode::new(), serving: false, begun: false, own: None, timer: Timer::new() }
    }

    /// Tries until there is something else to say than "not yet".
    ///
    /// # Safety
    ///
    /// Always the same direction, and [`Turn::leave`] is called with it before the turn is dropped.
    pub(crate) unsafe fn poll<T>(
        self: Pin<&mut Self>,
        direction: &Direction,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<Done<T>>,
    ) -> Poll<Result<T, Failed>> {
        // SAFETY: the node is not moved; the other fields are not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        loop {
            this.serving |= this.was_called(direction, cx);
            // After that: what we were called for is in the word.
            let seen = direction.see();
            if !this.begun {
                this.begin(direction, seen);
            }
            let limit = match direction.limit(seen, this.own) {
                Ok(limit) => limit,
                Err(failed) => {
                    this.leave(direction);
                    return Poll::Ready(Err(failed));
                }
            };
            match this.node.state() {
                NodeState::Waiting => match this.poll_limit(cx, limit) {
                    Poll::Ready(()) => continue,
                    Poll::Pending => return Poll::Pending,
                },
                // Called since we looked.
                NodeState::Signalled(_) => continue,
                NodeState::Idle => {}
            }
            let admitted = this.serving || seen.0 & CROWDED == 0;
            if admitted && seen.0 & READY != 0 {
                match direction.try_once(seen, &mut attempt) {
                    Attempt::Again => continue,
                    Attempt::Done(result) => {
                        this.leave(direction);
                        return Poll::Ready(result);
                    }
                }
            }
            // SAFETY: our caller promises to take us out of the queue again.
            if let Some(limit) = unsafe { this.queue(direction, cx) }
                && this.poll_limit(cx, limit).is_pending()
            {
                if !is_suspendable() {
                    super::ensure_polled();
                }
                return Poll::Pending;
            }
        }
    }

    fn begin(&mut self, direction: &Direction, seen: Seen) {
        self.begun = true;
        if seen.0 & LIMITED != 0 {
            self.own = direction.timeout().and_then(|timeout| now().checked_add(timeout));
        }
    }

    fn pin_node(&self) -> Pin<&WaitNode> {
        // SAFETY: a turn that has queued is pinned, and the node of one that has not is only looked at.
        unsafe { Pin::new_unchecked(&self.node) }
    }

    /// Whether it is our turn now. (Those who were called together, since something has changed, have none.)
    fn was_called(&self, direction: &Direction, cx: &Context<'_>) -> bool {
        let state = match self.node.state() {
            NodeState::Waiting => self.node.refresh_waker(&direction.waiters, cx.waker()),
            state => state,
        };
        match state {
            NodeState::Waiting | NodeState::Idle => false,
            NodeState::Signalled(signal) => {
                self.node.reset();
                signal == Signal::One
            }
        }
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>, limit: Option<Instant>) -> Poll<()> {
        match limit {
            Some(limit) => self.timer.poll_deadline(cx, limit),
            None => {
                self.timer = Timer::new();
                Poll::Pending
            }
        }
    }

    /// Queues, unless there is something to look at: then `None`. Else until when to wait, as it was under the lock.
    ///
    /// # Safety
    ///
    /// We are pinned, and leave before we are dropped.
    unsafe fn queue(&mut self, direction: &Direction, cx: &Context<'_>) -> Option<Option<Instant>> {
        debug_assert_eq!(self.node.state(), NodeState::Idle, "a call that was not answered would be lost");
        // Cloned before the lock; declared before the guard, so that it is dropped after it.
        let waker = cx.waker().clone();
        let mut waiters = direction.waiters.lock();
        let free = self.serving || waiters.is_free();
        let before = direction.word.fetch_or(CROWDED, Ordering::SeqCst);
        if before & CLOSED != 0 || (before & READY != 0 && free) {
            direction.note_crowd(&waiters);
            return None;
        }
        if std::mem::take(&mut self.serving) {
            // Called for nothing: still the first.
            waiters.serving = false;
            // SAFETY: the node is ours and idle, hence in no list; the lock is held; our caller promises the rest.
            unsafe { waiters.list.push_front(self.pin_node(), waker) };
        } else {
            // SAFETY: as above.
            unsafe { waiters.list.push_back(self.pin_node(), 0, waker) };
        }
        Some(waiters.limit(self.own))
    }

    /// Ends the turn, whatever has become of it: a call from the queue that was not used up goes to the next.
    pub(crate) fn leave(&mut self, direction: &Direction) {
        if !self.serving && self.node.state() == NodeState::Idle {
            return;
        }
        let (mut own, mut next) = (None, None);
        {
            let mut waiters = direction.waiters.lock();
            match self.node.state() {
                // SAFETY: WAITING under the lock: it is in this list, and we own it.
                NodeState::Waiting => own = unsafe { waiters.list.remove(self.pin_node()) },
                NodeState::Signalled(signal) => {
                    self.node.reset();
                    self.serving |= signal == Signal::One;
                }
                NodeState::Idle => {}
            }
            if std::mem::take(&mut self.serving) {
                waiters.serving = false;
                if direction.word.load(Ordering::SeqCst) & READY != 0 {
                    next = direction.call_next(&mut waiters);
                }
            }
            direction.note_crowd(&waiters);
        }
        drop_quietly(own);
        wake_quietly(next);
    }
}
