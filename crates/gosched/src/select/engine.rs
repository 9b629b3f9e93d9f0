//! The engine of every select: the macros' and [`Select`](super::Select)'s.
//!
//! 0. Try the cases that seem ready one by one, each under its own lock: what is chosen so was ready. Only "none is
//!    ready" needs more than that. (`select!` has tried the first by itself, see [`run_drawn`](super::arm::run_drawn).)
//! 1. Lock all distinct channels in the order of their addresses (S16).
//! 2. Try the cases, in random order or, when biased, in the given one. All are judged at one instant (S05).
//! 3. If none is ready: queue a node in each, all pointing at one [`Waiter`].
//! 4. Publish, unlock, wake whoever was served; then wait.
//! 5. Whoever serves one of the nodes claims the waiter first, so exactly one case fires (S06, S08).
//! 6. Unlink the other nodes, one lock at a time, each in O(1) (S07).
//!
//! Phase 1 to 3 is one critical section, hence two selects that meet cannot miss each other, and none can meet
//! itself: its own nodes are queued after it has looked (S09).
//!
//! An operation that has to wait for a value which a peer has promised is *paired*: it is out of all other
//! selects' reach, and ends with the value, or starts over if the peer gives up.

use super::locks::{Held, Locks};
use super::order::{INLINE, Order, scratch};
use crate::chan::now;
use crate::wait::list::{Home, Node};
use crate::wait::selectable::{Attempt, End, Selectable};
use crate::wait::waiter::{Outcome, Phase, Waiter, Wakes};
use crate::wait::{Timer, WaitReason, lean_spot, wait_deadline, wait_for};
use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The cases of a select.
///
/// # Safety
///
/// While the engine has queued them, that is between the first call and the one that reports an end or
/// `cancel`, the same index yields the same source and the same node, at the same place.
pub(super) unsafe trait Cases {
    fn count(&self) -> usize;
    /// The case with this index, its node and where it wants a received value. `None` for a nil channel.
    fn case(&self, index: usize) -> Option<(&dyn Selectable, &Node, *mut ())>;
}

/// What became of one look at all cases.
#[derive(Debug)]
enum Verdict {
    Chosen(usize, End),
    /// None is ready, and none was queued.
    Nothing,
    /// A case could be chosen by someone who has a waker.
    NeedsWaker,
    /// Queued or paired: the waker will be woken.
    Pending,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Not at all.
    Try,
    /// Until a case fires.
    Forever,
    /// Until then.
    Until(Instant),
}

/// One select in progress.
pub(super) struct Engine {
    waiter: Waiter,
    biased: bool,
    /// The case that was drawn and needs more than was done for it, such as a waker: it is tried first the next time, or
    /// the dice would favour the others.
    drawn: Cell<Option<u32>>,
    /// The time is up: do not queue again.
    give_up: Cell<bool>,
    /// The cases have been tried one by one a moment ago, or none of them seemed ready.
    tried: Cell<bool>,
    /// A case becomes ready by itself, at some time.
    timed: Cell<bool>,
    /// The last look at all cases has woken somebody.
    woke: Cell<bool>,
    /// Peers hold its address while it is queued.
    _pinned: PhantomPinned,
}

impl Engine {
    pub(super) fn new(biased: bool, limit: Limit) -> Self {
        Self {
            waiter: Waiter::shared(),
            biased,
            drawn: Cell::new(None),
            give_up: Cell::new(limit == Limit::Try),
            tried: Cell::new(false),
            timed: Cell::new(false),
            woke: Cell::new(false),
            _pinned: PhantomPinned,
        }
    }

    /// For cases of which this one was drawn, or none seems ready.
    #[inline]
    pub(super) fn with_drawn(biased: bool, limit: Limit, drawn: Option<usize>) -> Self {
        let drawn = drawn.map(|index| index as u32);
        Self { drawn: Cell::new(drawn), tried: Cell::new(drawn.is_none()), ..Self::new(biased, limit) }
    }

    /// Blocks until a case is chosen or the time is up.
    ///
    /// Inlined down to the suspension, for the reason given at [`Spot::park_until`](crate::wait::Spot::park_until).
    #[track_caller]
    #[inline(always)]
    pub(super) fn run(self: Pin<&Self>, cases: &impl Cases, limit: Limit) -> Option<(usize, End)> {
        if let Some(result) = self.begin(cases, limit) {
            return result;
        }
        let session = Session { engine: self, cases };
        while limit == Limit::Forever
            && !self.timed.get()
            && let Some(spot) = lean_spot()
        {
            if let Some(result) = self.enter(cases, spot.waker()) {
                std::mem::forget(session);
                return result;
            }
            let woke = self.woke.get();
            let parked = spot.park_until(reason(cases), Location::caller(), woke, || self.done());
            let Some((index, outcome)) = parked else { break };
            if let Some(end) = self.conclude(cases, index, outcome) {
                std::mem::forget(session);
                return Some((index, end));
            }
        }
        self.run_slow(session, limit)
    }

    /// All that needs no waiting. `Some` is the end of the select.
    fn begin(&self, cases: &impl Cases, limit: Limit) -> Option<Option<(usize, End)>> {
        let tried = if self.tried.get() { Verdict::Nothing } else { self.try_each(cases) };
        match tried {
            Verdict::Chosen(index, end) => return Some(Some((index, end))),
            Verdict::Nothing if limit == Limit::Try => {
                if cases.count() <= 1 {
                    // One channel seen at one instant is a snapshot (C26, S17).
                    return Some(None);
                }
                match self.judge(cases, false, false) {
                    Verdict::Chosen(index, end) => return Some(Some((index, end))),
                    Verdict::Nothing => return Some(None),
                    Verdict::NeedsWaker | Verdict::Pending => {}
                }
            }
            // Not all cases have been looked at.
            Verdict::NeedsWaker => each(cases, |source, _, _| self.note_timed(source)),
            Verdict::Nothing | Verdict::Pending => {}
        }
        self.tried.set(true);
        None
    }

    /// How the wait has ended, if it has.
    #[inline]
    fn done(&self) -> Option<(usize, Outcome)> {
        match self.waiter.phase() {
            Phase::Done(index, outcome) => Some((index as usize, outcome)),
            _ => None,
        }
    }

    /// Tries the cases one by one, taking the lock of one that seems ready only. What it chooses was ready, at its
    /// own instant; "nothing" says nothing about any common instant, unless there is only one case.
    fn try_each(&self, cases: &impl Cases) -> Verdict {
        let (mut inline, mut heap) = ([0; INLINE], Vec::new());
        let room = scratch(&mut inline, &mut heap, cases.count());
        let candidates = candidates(cases, room);
        // With one candidate no dice are thrown, which is the commonest case and saves half the time.
        let mut order = Order::new(&mut room[..candidates], self.biased, self.drawn.take());
        while let Some(index) = order.next() {
            let Some((source, node, slot)) = cases.case(index as usize) else { continue };
            node.prepare(&self.waiter, index, slot);
            let mut wakes = Wakes::new();
            let held = source.lock().map(Held::take);
            // SAFETY: the lock is held; the node is prepared, in no list, and is not paired without `can_wait`.
            let attempt = unsafe { source.attempt(node, false, &mut wakes) };
            drop(held);
            wakes.wake();
            match attempt {
                Attempt::NotReady => self.note_timed(source),
                Attempt::Chosen(end) => return Verdict::Chosen(index as usize, end),
                Attempt::Paired | Attempt::NeedsWaker => {
                    self.drawn.set(Some(index));
                    return Verdict::NeedsWaker;
                }
            }
        }
        Verdict::Nothing
    }

    #[inline]
    fn note_timed(&self, source: &dyn Selectable) {
        self.timed.set(self.timed.get() || source.is_timed());
    }

    /// The wait with a clock, or of a thread, or inside a future's poll.
    #[cold]
    #[track_caller]
    fn run_slow<C: Cases>(self: Pin<&Self>, session: Session<'_, C>, limit: Limit) -> Option<(usize, End)> {
        let cases = session.cases;
        let reason = reason(cases);
        loop {
            let until = self.wake_time(cases, limit);
            let drive = pin!(Drive { engine: self, cases, limit, until });
            let turn = match until {
                None => Some(wait_for(reason, drive)),
                Some(until) => wait_deadline(reason, drive, until),
            };
            let result = match turn {
                Some(Turn::End(result)) => Some(result),
                Some(Turn::NewTime) => None,
                None => self.time_passed(cases, limit),
            };
            if let Some(result) = result {
                std::mem::forget(session);
                return result;
            }
        }
    }

    /// When to look again although nobody woke us.
    pub(super) fn wake_time(&self, cases: &impl Cases, limit: Limit) -> Option<Instant> {
        if matches!(self.waiter.phase(), Phase::Bound(_)) {
            // Its value is promised: no time-out any more.
            return None;
        }
        let timers = (0..cases.count()).filter_map(|i| cases.case(i)?.0.deadline());
        let limit = match limit {
            Limit::Until(deadline) => Some(deadline),
            Limit::Try | Limit::Forever => None,
        };
        timers.chain(limit).min()
    }

    /// Tries all cases again, timers among them, at one instant. `Some` is the end of the select.
    ///
    /// The nodes leave their queues and, if nothing is ready and the limit not reached, queue again.
    pub(super) fn time_passed(&self, cases: &impl Cases, limit: Limit) -> Option<Option<(usize, End)>> {
        if let Limit::Until(deadline) = limit
            && now() >= deadline
        {
            self.give_up.set(true);
        }
        match self.judge(cases, true, !self.give_up.get()) {
            Verdict::Chosen(index, end) => {
                // SAFETY: the owner calls, and `judge` has left every queue before it chose.
                unsafe { self.waiter.reset() };
                Some(Some((index, end)))
            }
            Verdict::Nothing => {
                // SAFETY: as above.
                unsafe { self.waiter.reset() };
                Some(None)
            }
            // Still queued, paired, or already served: the next poll tells.
            Verdict::Pending | Verdict::NeedsWaker => None,
        }
    }

    /// One poll. The waker is registered when it returns `Pending`.
    pub(super) fn poll(
        self: Pin<&Self>,
        cases: &impl Cases,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, End)>> {
        loop {
            match self.waiter.phase() {
                Phase::Idle => {
                    // No waker is cloned for a select that need not wait.
                    if !self.tried.replace(false)
                        && let Verdict::Chosen(index, end) = self.try_each(cases)
                    {
                        return Poll::Ready(Some((index, end)));
                    }
                    return match self.enter(cases, cx.waker().clone()) {
                        Some(result) => Poll::Ready(result),
                        None => Poll::Pending,
                    };
                }
                Phase::Waiting => {
                    let mut waker = Some(cx.waker().clone());
                    if self.waiter.update_shared(&mut waker) {
                        return Poll::Pending;
                    }
                }
                Phase::Bound(index) => {
                    if self.update_bound(cases, index as usize, cx) {
                        return Poll::Pending;
                    }
                }
                Phase::Done(index, outcome) => {
                    if let Some(end) = self.conclude(cases, index as usize, outcome) {
                        return Poll::Ready(Some((index as usize, end)));
                    }
                }
            }
        }
    }

    /// Chooses a case, or queues: then the answer is `None`.
    fn enter(&self, cases: &impl Cases, waker: Waker) -> Option<Option<(usize, End)>> {
        self.tried.set(false);
        // SAFETY: this is the owner, in `Idle`.
        unsafe { self.waiter.set_waker(waker) };
        let result = match self.judge(cases, true, !self.give_up.get()) {
            Verdict::Pending => return None,
            Verdict::Chosen(index, end) => Some((index, end)),
            Verdict::Nothing | Verdict::NeedsWaker => None,
        };
        // SAFETY: nothing was queued, and no lock is held.
        unsafe { self.waiter.reset() };
        Some(result)
    }

    /// Leaves the present waker with a paired select. False if it has ended meanwhile.
    #[cold]
    fn update_bound(&self, cases: &impl Cases, index: usize, cx: &mut Context<'_>) -> bool {
        let Some((source, node, _)) = cases.case(index) else { return false };
        let mut waker: Option<Waker> = Some(cx.waker().clone());
        // The old waker, left in `waker`, is dropped after the unlock: it was declared first.
        let Some(_held) = source.lock().map(Held::take) else { return false };
        // Under this lock a peer that was committing has finished.
        let paired = node.home() == Home::Paired;
        if paired {
            // SAFETY: under its channel's lock it is still paired.
            unsafe { self.waiter.update_locked(&mut waker) };
        }
        paired
    }

    /// Leaves the other queues and translates the outcome. `None` means to begin again.
    fn conclude(&self, cases: &impl Cases, index: usize, outcome: Outcome) -> Option<End> {
        // Whoever ended the select has unlinked the node of the case that won, before the outcome was stored.
        leave_all(cases, Some(index));
        // SAFETY: the owner has read the outcome and left every queue; no lock is held.
        unsafe { self.waiter.reset() };
        self.drawn.set(None);
        let (_, node, slot) = cases.case(index)?;
        match outcome {
            Outcome::Delivered if slot.is_null() => Some(End::Held(node.ticket())),
            Outcome::Delivered => Some(End::Value),
            Outcome::Closed => Some(End::Closed),
            Outcome::Reserved => Some(End::Reserved),
            Outcome::Ticket => Some(End::Ticket(node.ticket())),
            Outcome::Ready => Some(End::Ready),
            Outcome::Retry => None,
        }
    }

    /// Leaves all queues. `Some` is a case that was chosen before that, for the caller to give back.
    pub(super) fn cancel(&self, cases: &impl Cases) -> Option<(usize, End)> {
        if self.waiter.phase() == Phase::Idle {
            return None;
        }
        leave_all(cases, None);
        // Every lock was taken since: a peer that was committing has finished, and none can begin.
        if let Phase::Done(index, outcome) = self.waiter.phase() {
            return Some((index as usize, self.conclude(cases, index as usize, outcome)?));
        }
        // SAFETY: this is the owner, no queue holds a node, no lock is held.
        unsafe { self.waiter.reset() };
        None
    }

    /// Phases 1 to 4. With `can_wait` the waiter has a waker and cases may be paired; with `park` nodes are
    /// queued if nothing is ready. If the select is queued already, it leaves the queues and tries anew.
    fn judge(&self, cases: &impl Cases, can_wait: bool, park: bool) -> Verdict {
        let count = cases.count();
        let mut wakes = Wakes::new();
        let (mut inline, mut heap) = ([std::ptr::null(); INLINE], Vec::new());
        let (mut order_inline, mut order_heap) = ([0; INLINE], Vec::new());
        let room = scratch(&mut order_inline, &mut order_heap, count);
        let locks = Locks::take(cases, scratch(&mut inline, &mut heap, count));
        match self.waiter.phase() {
            Phase::Idle => {}
            Phase::Waiting => {
                // With all locks held nobody can claim it in between.
                self.waiter.stop_waiting();
                each(cases, |source, node, _| {
                    // SAFETY: the lock is held; the node was given to this source only.
                    unsafe { source.dequeue(node) };
                });
            }
            Phase::Bound(_) | Phase::Done(..) => return Verdict::Pending,
        }
        // Under the locks a word that looks quiet is the truth.
        let ready = candidates(cases, room);
        let mut order = Order::new(&mut room[..ready], self.biased, self.drawn.take());
        let mut verdict = self.try_cases(cases, &mut order, can_wait, &mut wakes);
        if park && matches!(verdict, Verdict::Nothing) {
            self.waiter.start_waiting();
            for (index, place) in room.iter_mut().enumerate() {
                *place = index as u32;
            }
            // In random order where that matters: of several cases on one channel the first one queued is served.
            let mut order = Order::new(room, self.biased || locks.all_differ, None);
            while let Some(index) = order.next() {
                let Some((source, node, slot)) = cases.case(index as usize) else { continue };
                node.prepare(&self.waiter, index, slot);
                // SAFETY: the lock is held; the node is prepared, in no list. It and the waiter stay in place: both
                // are pinned or in the frame of `run`, whose owners cancel before they let go of them.
                unsafe { source.enqueue(node, &mut wakes) };
            }
            verdict = Verdict::Pending;
        }
        drop(locks);
        self.woke.set(wakes.wake());
        verdict
    }

    /// Tries the cases in their order until one is chosen. All locks are held.
    fn try_cases(
        &self,
        cases: &impl Cases,
        order: &mut Order<'_>,
        can_wait: bool,
        wakes: &mut Wakes,
    ) -> Verdict {
        while let Some(index) = order.next() {
            let Some((source, node, slot)) = cases.case(index as usize) else { continue };
            node.prepare(&self.waiter, index, slot);
            // SAFETY: the lock is held; the node is prepared, in no list, and stays in place if it gets paired,
            // as for queueing.
            match unsafe { source.attempt(node, can_wait, wakes) } {
                Attempt::NotReady => {}
                Attempt::Chosen(end) => return Verdict::Chosen(index as usize, end),
                Attempt::Paired => return Verdict::Pending,
                Attempt::NeedsWaker => {
                    self.drawn.set(Some(index));
                    return Verdict::NeedsWaker;
                }
            }
        }
        Verdict::Nothing
    }
}

/// Lists the cases that seem ready.
#[inline]
fn candidates(cases: &impl Cases, room: &mut [u32]) -> usize {
    let mut count = 0;
    for index in 0..room.len() {
        let Some((source, ..)) = cases.case(index) else { continue };
        if source.looks_ready() {
            room[count] = index as u32;
            count += 1;
        }
    }
    count
}

fn reason(cases: &impl Cases) -> WaitReason {
    if cases.count() == 0 { WaitReason::SelectNoCases } else { WaitReason::Select }
}

/// Runs `f` for each case that is not nil.
#[inline]
pub(super) fn each(cases: &impl Cases, mut f: impl FnMut(&dyn Selectable, &Node, *mut ())) {
    for index in 0..cases.count() {
        if let Some((source, node, slot)) = cases.case(index) {
            f(source, node, slot);
        }
    }
}

/// Takes the nodes out of their queues, one lock at a time, but for one that is out already.
#[inline]
fn leave_all(cases: &impl Cases, out: Option<usize>) {
    for index in (0..cases.count()).filter(|index| Some(*index) != out) {
        if let Some((source, node, _)) = cases.case(index) {
            // SAFETY: the node was given to this source only, and no lock is held.
            unsafe { source.leave(node) };
        }
    }
}

/// Cleans up if the wait unwinds.
struct Session<'e, C: Cases> {
    engine: Pin<&'e Engine>,
    cases: &'e C,
}

impl<C: Cases> Drop for Session<'_, C> {
    fn drop(&mut self) {
        if let Some((index, end)) = self.engine.cancel(self.cases)
            && let Some((source, _, _)) = self.cases.case(index)
        {
            source.undo(end);
        }
    }
}

/// The blocking form's future.
struct Drive<'e, C: Cases> {
    engine: Pin<&'e Engine>,
    cases: &'e C,
    limit: Limit,
    /// Until when it is waited for.
    until: Option<Instant>,
}

/// What a [`Drive`] came to.
enum Turn {
    /// The end of the select.
    End(Option<(usize, End)>),
    /// It is queued still, but there is another time to wait for: a timer among its cases was set.
    NewTime,
}

impl<C: Cases> Future for Drive<'_, C> {
    type Output = Turn;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn> {
        if let Poll::Ready(result) = self.engine.poll(self.cases, cx) {
            return Poll::Ready(Turn::End(result));
        }
        // After queueing: whoever sets a timer from now on wakes us.
        match self.engine.wake_time(self.cases, self.limit) == self.until {
            true => Poll::Pending,
            false => Poll::Ready(Turn::NewTime),
        }
    }
}

/// The async form's clock: none is made for a select without a time-out.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Box<Timer>>);

impl Alarm {
    /// Ready once `until` has passed; else the task is woken then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::new(Timer::new())).poll_deadline(cx, until)
    }
}
