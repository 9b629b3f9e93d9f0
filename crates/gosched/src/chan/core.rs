//! One channel: the lock around its [`State`], the word beside it, and the counts of its two sides.
//!
//! One allocation holds all of it. It is freed by whichever side disappears last.

use super::state::{Put, State, Take};
use super::word::{Snapshot, Word};
use crate::sys::lock::{RawSpin, Spin, SpinGuard};
use crate::sys::prim::{AtomicBool, AtomicUsize, Ordering};
use crate::sys::threads::discard_payload;
use crate::wait::queue::WaitQueue;
use crate::wait::selectable::End;
use crate::wait::waiter::Wakes;
use std::any::Any;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::task::Waker;

/// How many waiters one critical section of closing releases: a million must not stop everybody else meanwhile.
const RELEASE_BATCH: usize = 64;

/// A channel shared by its handles.
#[derive(Debug)]
pub(super) struct Chan<T> {
    word: Word,
    state: Spin<State<T>>,
    unbounded: bool,
    capacity: usize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// Set by the side that disappears first; the second one frees the channel.
    half_gone: AtomicBool,
    /// Those who wait until no more can be sent.
    gone: WaitQueue,
    /// Whether there is a `failure`, for receivers that find the channel closed.
    failed: AtomicBool,
    /// The panic that the next receiver to find the channel at its end raises again.
    failure: Spin<Option<Box<dyn Any + Send>>>,
}

/// Why an immediate receive failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoValue {
    /// Nothing there.
    Empty,
    /// Nothing there, and nothing will come.
    Closed,
    /// There will be a value if the caller can wait for a peer to make it.
    NeedsWaker,
}

/// What became of a chosen send case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The value was sent.
    Done,
    /// The channel is closed; the value was left where it is.
    Closed,
    /// The receiver that was paired with this case has gone: send in the ordinary way.
    Withdrawn,
}

impl<T> Chan<T> {
    /// A channel with one handle on each side. `None` is unbounded.
    pub(super) fn new(capacity: Option<usize>) -> NonNull<Self> {
        let limit = capacity.unwrap_or(usize::MAX);
        let mut buffer = VecDeque::new();
        if let Some(n) = capacity
            && buffer.try_reserve_exact(n).is_err()
        {
            panic!(
                "gosched::chan::bounded: no memory for a buffer of {n} messages of {} bytes each",
                size_of::<T>()
            );
        }
        let state = State::new(buffer, limit);
        let chan = Self {
            word: Word::new(state.snapshot()),
            state: Spin::new(state),
            unbounded: capacity.is_none(),
            capacity: limit,
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            half_gone: AtomicBool::new(false),
            gone: WaitQueue::new(),
            failed: AtomicBool::new(false),
            failure: Spin::new(None),
        };
        NonNull::from(Box::leak(Box::new(chan)))
    }

    #[inline]
    pub(super) fn look(&self) -> Snapshot {
        self.word.load()
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        if self.unbounded { None } else { Some(self.capacity) }
    }

    pub(super) fn raw_lock(&self) -> &RawSpin {
        self.state.raw()
    }

    /// Runs `f` under the lock, publishes, unlocks and wakes.
    #[inline]
    pub(super) fn locked<R>(&self, f: impl FnOnce(&mut State<T>, &mut Wakes) -> R) -> R {
        self.finish_locked(self.state.lock(), f).0
    }

    /// The same. Also tells whether somebody was woken: see [`Wakes::wake`].
    #[inline]
    pub(super) fn locked_telling<R>(&self, f: impl FnOnce(&mut State<T>, &mut Wakes) -> R) -> (R, bool) {
        self.finish_locked(self.state.lock(), f)
    }

    /// The same with the lock held already.
    #[inline]
    fn finish_locked<R>(
        &self,
        mut state: SpinGuard<'_, State<T>>,
        f: impl FnOnce(&mut State<T>, &mut Wakes) -> R,
    ) -> (R, bool) {
        let mut wakes = Wakes::new();
        let result = f(&mut state, &mut wakes);
        self.word.publish(state.snapshot());
        // The wakers are woken after the unlock.
        drop(state);
        (result, wakes.wake())
    }

    /// Publishes, unlocks and wakes.
    #[inline]
    fn leave(&self, state: SpinGuard<'_, State<T>>, waker: Option<Waker>) {
        self.word.publish(state.snapshot());
        drop(state);
        let mut wakes = Wakes::new();
        wakes.push(waker);
        wakes.wake();
    }

    /// Runs `f` on the state of a channel whose lock the caller already holds, and publishes.
    ///
    /// # Safety
    ///
    /// The caller holds [`Chan::raw_lock`], and `f` does not come back here.
    #[inline]
    pub(super) unsafe fn held<R>(&self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        // SAFETY: the caller vouches for both conditions of `with_held`.
        unsafe {
            self.state.with_held(|state| {
                let result = f(state);
                self.word.publish(state.snapshot());
                result
            })
        }
    }

    /// Takes a node out of a list of a channel whose lock the caller already holds, and does not publish: whoever looks
    /// without the lock goes on seeing somebody wait, and takes the lock to find out.
    ///
    /// # Safety
    ///
    /// As for [`Chan::held`].
    pub(super) unsafe fn unlink_held(&self, unlink: impl FnOnce(&mut State<T>)) {
        // SAFETY: passed on.
        unsafe { self.state.with_held(unlink) }
    }

    /// Receives into `out`, which is empty, if that takes neither waiting nor a peer's help.
    #[inline]
    pub(super) fn try_take(&self, out: &mut Option<T>) -> Result<(), NoValue> {
        let seen = self.look();
        if !seen.may_have_value() {
            return Err(if seen.is_closed() { NoValue::Closed } else { NoValue::Empty });
        }
        let mut state = self.state.lock();
        if state.take_quick(out) {
            self.word.publish(state.snapshot());
            return Ok(());
        }
        self.try_take_slow(state, out)
    }

    /// The rest of [`Chan::try_take`], with the lock still held.
    #[inline(never)]
    fn try_take_slow(&self, mut state: SpinGuard<'_, State<T>>, out: &mut Option<T>) -> Result<(), NoValue> {
        if let Some(waker) = state.take_direct(out) {
            self.leave(state, waker);
            return Ok(());
        }
        match self.finish_locked(state, |state, wakes| state.take(out, None, wakes)).0 {
            Take::Value => Ok(()),
            Take::Empty => Err(NoValue::Empty),
            Take::Closed => Err(NoValue::Closed),
            Take::Paired | Take::NeedsWaker => Err(NoValue::NeedsWaker),
        }
    }

    /// Sends the value, which is there, if there is a place or a receiver.
    #[inline]
    pub(super) fn try_put(&self, value: &mut Option<T>) -> Put {
        let seen = self.look();
        if seen.rejects() {
            return Put::Closed;
        }
        if !seen.may_have_place() {
            return Put::Full;
        }
        let mut state = self.state.lock();
        if state.put_quick(value) {
            self.word.publish(state.snapshot());
            return Put::Done;
        }
        self.try_put_slow(state, value)
    }

    /// The rest of [`Chan::try_put`], with the lock still held.
    #[inline(never)]
    fn try_put_slow(&self, mut state: SpinGuard<'_, State<T>>, value: &mut Option<T>) -> Put {
        if let Some(waker) = state.put_direct(value) {
            self.leave(state, waker);
            return Put::Done;
        }
        self.finish_locked(state, |state, wakes| state.put(value, wakes)).0
    }

    /// Chooses a send case, if that is possible: see [`State::choose_send`].
    pub(super) fn choose_send(&self) -> Option<End> {
        self.locked(|state, _| state.choose_send())
    }

    /// Finishes a chosen send case.
    pub(super) fn finish_send(&self, end: End, value: &mut Option<T>) -> Finish {
        match end {
            End::Reserved => {
                let sent = self.locked(|state, wakes| state.finish_reserved(value, wakes));
                if sent { Finish::Done } else { Finish::Closed }
            }
            End::Ticket(ticket) => {
                let sent = self.locked(|state, wakes| state.finish_ticket(ticket, value, wakes));
                if sent { Finish::Done } else { Finish::Withdrawn }
            }
            _ => Finish::Closed,
        }
    }

    /// Gives back what a chosen send case got.
    pub(super) fn undo_send(&self, end: End) {
        match end {
            End::Reserved => self.locked(|state, wakes| state.undo_reserved(wakes)),
            End::Ticket(ticket) => self.locked(|state, wakes| state.undo_ticket(ticket, wakes)),
            _ => {}
        }
    }

    /// Takes back a value that had been handed to a receiver who no longer wants it.
    /// What nobody can receive any more is left to the caller to drop.
    pub(super) fn put_front(&self, value: &mut Option<T>) {
        self.locked(|state, wakes| state.put_front(value, wakes));
    }

    /// Takes the value kept for a chosen receive case.
    pub(super) fn take_held(&self, ticket: u64) -> Option<T> {
        self.locked(|state, _| state.take_held(ticket))
    }

    /// Gives back the value kept for a chosen receive case.
    pub(super) fn undo_held(&self, ticket: u64) {
        let mut value = None;
        self.locked(|state, wakes| {
            value = state.take_held(ticket);
            state.put_front(&mut value, wakes);
        });
    }

    /// Closes for sending and wakes everybody who waits. False if it was closed already.
    pub(super) fn close(&self) -> bool {
        self.release_after(State::close)
    }

    /// Changes the state so that some wait in vain, and releases all of them: also those behind one whose waker, being
    /// foreign, panics.
    fn release_after<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        struct Rest<'a, T>(&'a Chan<T>);
        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                // With them those who wait on `gone`.
                self.0.release_after(|_| ());
            }
        }
        let rest = Rest(self);
        let (result, mut done) =
            self.locked(|state, wakes| (change(state), state.release_some(RELEASE_BATCH, wakes)));
        while !done {
            done = self.locked(|state, wakes| state.release_some(RELEASE_BATCH, wakes));
        }
        std::mem::forget(rest);
        // Always under its lock: one who has just seen the channel open is either queued by now, or looks again.
        self.gone.notify_all_if(|| true);
        result
    }

    /// Closes because of a panic, which the receiver that finds the end raises again. Of several the first is kept.
    #[cfg(not(loom))]
    pub(super) fn fail(&self, payload: Box<dyn Any + Send>) {
        let late = {
            let mut failure = self.failure.lock();
            // Release: who sees it finds the payload; and it is seen by whoever sees the channel closed below.
            if self.failed.swap(true, Ordering::AcqRel) { Some(payload) } else { failure.replace(payload) }
        };
        self.close();
        if let Some(late) = late {
            discard_payload(late);
        }
    }

    /// What a receiver calls that has found the channel empty and closed: raises the panic because of which it is
    /// closed, once. Not while unwinding, where a second panic would abort.
    #[inline]
    pub(super) fn ended(&self) {
        if self.failed.load(Ordering::Acquire) && !std::thread::panicking() {
            let failure = self.failure.lock().take();
            if let Some(payload) = failure {
                resume_unwind(payload);
            }
        }
    }

    /// Those who wait until no more can be sent.
    pub(super) fn gone(&self) -> &WaitQueue {
        &self.gone
    }

    /// Nobody receives any more: senders are woken, what is buffered is dropped.
    fn abandon(&self) {
        // Users' values, users' destructors: after the unlock.
        drop_each(self.release_after(|state| ManuallyDrop::new(state.abandon())));
    }

    /// Looks at the state under the lock; for tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn inspect<R>(&self, look: impl FnOnce(&State<T>) -> R) -> R {
        look(&self.state.lock())
    }

    // ---- the handles' counts ----

    pub(super) fn add_sender(&self) {
        Self::add(&self.senders);
    }

    pub(super) fn add_receiver(&self) {
        Self::add(&self.receivers);
    }

    /// Whether somebody waits for a message.
    pub(super) fn has_waiting_receivers(&self) -> bool {
        self.state.lock().has_waiting_receivers()
    }

    /// Whether there are several receivers.
    pub(super) fn has_several_receivers(&self) -> bool {
        // Acquire: pairs with the release of the last handles to have made or dropped one.
        self.receivers.load(Ordering::Acquire) > 1
    }

    fn add(count: &AtomicUsize) {
        // Relaxed: the handle that is being cloned keeps the channel.
        if count.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            // As `Arc`: forgetting billions of clones must not lead to a freed channel.
            std::process::abort();
        }
    }

    /// A sender disappears; the last one closes the channel.
    ///
    /// # Safety
    ///
    /// The caller owns one count of the senders' side and does not use the channel afterwards.
    pub(super) unsafe fn drop_sender(this: NonNull<Self>) {
        // SAFETY: the caller's count keeps the channel in place.
        let chan = unsafe { this.as_ref() };
        // Acquire and release: what other senders did before they went comes before the closing.
        if chan.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _leave = Leave(this);
            chan.close();
        }
    }

    /// A receiver disappears; the last one abandons the channel.
    ///
    /// # Safety
    ///
    /// The caller owns one count of the receivers' side and does not use the channel afterwards.
    pub(super) unsafe fn drop_receiver(this: NonNull<Self>) {
        // SAFETY: the caller's count keeps the channel in place.
        let chan = unsafe { this.as_ref() };
        if chan.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _leave = Leave(this);
            chan.abandon();
        }
    }

    /// # Safety
    ///
    /// Called once for each side, by its last handle, which does not use the channel afterwards.
    unsafe fn side_gone(this: NonNull<Self>) {
        // SAFETY: the channel is in place: this side has not been counted as gone.
        if unsafe { this.as_ref() }.half_gone.swap(true, Ordering::AcqRel) {
            // SAFETY: both sides are gone, and the swap let exactly the second one come here. The box was
            // leaked in `new`.
            drop(unsafe { Box::from_raw(this.as_ptr()) });
        }
    }
}

#[cfg(not(loom))]
impl<T> Drop for Chan<T> {
    fn drop(&mut self) {
        let failure = self.failure.lock().take();
        if let Some(payload) = failure {
            crate::task::report::untold_panic(
                "a stage of a pipeline panicked and nobody received it",
                payload,
            );
        }
    }
}

/// Drops all values, also those behind one whose destructor panics; then raises the first such panic, unless the thread
/// unwinds already: a second one would abort. (Dropping the queue as a whole would abort at the second bad value.)
fn drop_each<T>(mut values: ManuallyDrop<VecDeque<T>>) {
    let mut first = None;
    // The values are gone when their destructors have begun, whatever becomes of these.
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
        while let Some(value) = values.pop_front() {
            drop(value);
        }
    })) {
        match first {
            None => first = Some(payload),
            Some(_) => discard_payload(payload),
        }
    }
    drop(ManuallyDrop::into_inner(values));
    match first {
        Some(payload) if std::thread::panicking() => discard_payload(payload),
        Some(payload) => resume_unwind(payload),
        None => {}
    }
}

/// Made by the last handle of a side, which does not use the channel afterwards: reports the side gone, also if a foreign
/// waker or a user's destructor has panicked meanwhile.
struct Leave<T>(NonNull<Chan<T>>);

impl<T> Drop for Leave<T> {
    fn drop(&mut self) {
        // SAFETY: made once for each side, by its last handle.
        unsafe { Chan::side_gone(self.0) };
    }
}
