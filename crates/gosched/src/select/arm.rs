//! What `select!` expands to: arms that own their wait nodes, and the calls that run them.
//!
//! Everything here is safe to call, in whatever order: an arm that was not chosen says so, one that was chosen
//! and is not consumed gives back what it got.

use super::engine::{Alarm, Cases, Engine, Limit};
use super::operand::{RecvOperand, SendOperand};
use super::order::INLINE;
use super::random::{Dice, random};
use crate::chan::{Receiver, RecvError, SendError, Sender, now};
use crate::sys::prim::UnsafeCell;
use crate::wait::list::{Kind, Node};
use crate::wait::selectable::{End, Selectable};
use crate::wait::{Place, WaitReason};
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a select waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has a `default` case.
    Try,
    /// It has none.
    Forever,
    /// It has a `default(timeout)` case.
    Timeout(Duration),
}

impl Wait {
    fn limit(self) -> Limit {
        match self {
            Self::Try | Self::Timeout(Duration::ZERO) => Limit::Try,
            Self::Forever => Limit::Forever,
            // Later than any clock can tell: never.
            Self::Timeout(timeout) => now().checked_add(timeout).map_or(Limit::Forever, Limit::Until),
        }
    }
}

/// An arm as the engine sees it.
#[derive(Clone, Copy)]
pub struct Parts<'a>(Option<(&'a dyn Selectable, &'a Node, *mut ())>);

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Parts { .. }")
    }
}

/// What a chosen arm got.
#[derive(Clone, Copy, Debug)]
pub struct Chosen(End);

mod sealed {
    /// # Safety
    ///
    /// `parts` yields the same things for as long as the arm is neither moved nor settled.
    pub unsafe trait Sealed {
        fn parts(&self) -> super::Parts<'_>;
        fn settle(&mut self, chosen: super::Chosen);
        fn is_settled(&self) -> bool;
        /// Whether it would probably be chosen, from one look at the channel.
        fn seems_ready(&self) -> bool;
        /// Chooses this arm, which is not chosen yet, if that is as simple as `try_recv`. If not, the engine is to try it.
        fn try_now(&mut self) -> bool;
        /// Gives back what it got, if anything. It is in no queue.
        fn give_back(&mut self);
    }

    /// # Safety
    ///
    /// As for [`Sealed`], for each index.
    pub unsafe trait SealedList {
        const COUNT: usize;
        fn parts(&self, index: usize) -> super::Parts<'_>;
        fn settle(&mut self, index: usize, chosen: super::Chosen);
        fn any_settled(&self) -> bool;
    }
}

use sealed::{Sealed, SealedList};

/// One arm of a select.
pub trait Arm: Sealed {}

/// A `recv` arm.
pub struct RecvArm<'a, T> {
    receiver: Option<&'a Receiver<T>>,
    node: Node,
    slot: UnsafeCell<Option<T>>,
    end: Option<End>,
    _pinned: std::marker::PhantomPinned,
}

// SAFETY: the slot is the only place with a `T`, and senders reach it only under the channel's lock, which moves a
// `T` between threads just as the channel does; the node is `Send`.
unsafe impl<T: Send> Send for RecvArm<'_, T> {}

impl<'a, T> RecvArm<'a, T> {
    /// An arm that receives from the operand.
    #[inline]
    pub fn new<O: RecvOperand<Item = T> + ?Sized>(operand: &'a O) -> Self {
        Self::of(operand.__recv_needs_a_receiver())
    }

    /// An arm that receives from this receiver; `None` is a nil channel.
    #[inline]
    pub fn of(receiver: Option<&'a Receiver<T>>) -> Self {
        Self {
            // From a nil channel and from `never()` alike nothing ever comes.
            receiver: receiver.filter(|receiver| !receiver.is_nil()),
            node: Node::new(Kind::Case),
            slot: UnsafeCell::new(None),
            end: None,
            _pinned: std::marker::PhantomPinned,
        }
    }

    /// The message of a chosen arm.
    ///
    /// # Panics
    ///
    /// If the arm was not chosen.
    pub fn take(mut self) -> Result<T, RecvError> {
        self.take_result()
    }

    #[inline]
    fn take_result(&mut self) -> Result<T, RecvError> {
        let end = self.end.take().expect("a `recv` case was completed that had not been chosen");
        let value = match end {
            // SAFETY: the arm is settled, so no channel knows its node, and the slot is ours.
            End::Value => self.slot.with_mut(|slot| unsafe { (*slot).take() }),
            _ => self.receiver.and_then(|receiver| receiver.take_case(end)),
        };
        value.ok_or(RecvError)
    }
}

// SAFETY: node and slot are parts of the arm, source and slot are the same each time.
unsafe impl<T> Sealed for RecvArm<'_, T> {
    fn parts(&self) -> Parts<'_> {
        Parts(self.receiver.map(|receiver| {
            (receiver as &dyn Selectable, &self.node, self.slot.with_mut(|slot| slot.cast()))
        }))
    }

    fn settle(&mut self, chosen: Chosen) {
        self.end = Some(chosen.0);
    }

    fn is_settled(&self) -> bool {
        self.end.is_some()
    }

    #[inline]
    fn seems_ready(&self) -> bool {
        self.receiver.is_some_and(Selectable::looks_ready)
    }

    fn try_now(&mut self) -> bool {
        /// Whoever made a place for the next sender may be unwound by its waker.
        struct PutBack<'s, T>(&'s Receiver<T>, &'s mut Option<T>);
        impl<T> Drop for PutBack<'_, T> {
            fn drop(&mut self) {
                self.0.untake_case(self.1);
            }
        }
        assert!(self.end.is_none(), "{USED}");
        let Some(receiver) = self.receiver else { return false };
        // SAFETY: an arm is borrowed mutably only before or after it is in queues.
        let put_back = PutBack(receiver, unsafe { self.slot.with_mut(|slot| &mut *slot) });
        let end = receiver.try_case(put_back.1);
        std::mem::forget(put_back);
        self.end = end;
        end.is_some()
    }

    fn give_back(&mut self) {
        let (Some(receiver), end) = (self.receiver, self.end.take()) else { return };
        // SAFETY: an arm is borrowed mutably only before or after it is in queues.
        let slot = unsafe { self.slot.with_mut(|slot| &mut *slot) };
        if slot.is_some() {
            receiver.untake_case(slot);
        } else if let Some(end) = end {
            receiver.undo(end);
        }
    }
}

impl<T> Arm for RecvArm<'_, T> {}

impl<T> Drop for RecvArm<'_, T> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<T> fmt::Debug for RecvArm<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvArm { .. }")
    }
}

/// A `send` arm. Its message is made after it has been chosen.
pub struct SendArm<'a, T> {
    sender: Option<&'a Sender<T>>,
    node: Node,
    end: Option<End>,
    _pinned: std::marker::PhantomPinned,
}

impl<'a, T> SendArm<'a, T> {
    /// An arm that sends to the operand.
    #[inline]
    pub fn new<O: SendOperand<Item = T> + ?Sized>(operand: &'a O) -> Self {
        Self::of(operand.__send_needs_a_sender())
    }

    /// An arm that sends to this sender; `None` is a nil channel.
    #[inline]
    pub fn of(sender: Option<&'a Sender<T>>) -> Self {
        Self { sender, node: Node::new(Kind::Case), end: None, _pinned: std::marker::PhantomPinned }
    }

    fn chosen(&mut self) -> (&'a Sender<T>, End) {
        let end = self.end.take().expect("a `send` case was completed that had not been chosen");
        (self.sender.expect("a nil channel is never chosen"), end)
    }

    /// Sends the message of a chosen arm.
    ///
    /// # Panics
    ///
    /// If the arm was not chosen.
    #[track_caller]
    pub fn finish(mut self, msg: T) -> Result<(), SendError<T>> {
        let (sender, end) = self.chosen();
        sender.finish_case(end, msg)
    }

    /// The same without blocking.
    ///
    /// # Panics
    ///
    /// If the arm was not chosen.
    pub async fn finish_async(mut self, msg: T) -> Result<(), SendError<T>> {
        let (sender, end) = self.chosen();
        sender.finish_case_async(end, msg).await
    }
}

// SAFETY: the node is part of the arm, the source is the same each time.
unsafe impl<T> Sealed for SendArm<'_, T> {
    fn parts(&self) -> Parts<'_> {
        Parts(self.sender.map(|sender| (sender as &dyn Selectable, &self.node, std::ptr::null_mut())))
    }

    fn settle(&mut self, chosen: Chosen) {
        self.end = Some(chosen.0);
    }

    fn is_settled(&self) -> bool {
        self.end.is_some()
    }

    #[inline]
    fn seems_ready(&self) -> bool {
        self.sender.is_some_and(Selectable::looks_ready)
    }

    fn try_now(&mut self) -> bool {
        assert!(self.end.is_none(), "{USED}");
        self.end = self.sender.and_then(Sender::try_case);
        self.end.is_some()
    }

    fn give_back(&mut self) {
        if let (Some(sender), Some(end)) = (self.sender, self.end.take()) {
            sender.undo(end);
        }
    }
}

impl<T> Arm for SendArm<'_, T> {}

impl<T> Drop for SendArm<'_, T> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<T> fmt::Debug for SendArm<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendArm { .. }")
    }
}

const USED: &str = "a select was given an arm that is chosen already";

/// The arms of a blocking select.
struct Slice<'s, 'r, 'a>(&'s [&'r mut (dyn Arm + 'a)]);

// SAFETY: `run` borrows the arms mutably for as long as they are queued, so none is moved or settled.
unsafe impl Cases for Slice<'_, '_, '_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn case(&self, index: usize) -> Option<(&dyn Selectable, &Node, *mut ())> {
        self.0[index].parts().0
    }
}

/// Up to how many arms are asked for their parts once instead of at each step.
const FEW: usize = INLINE;

/// The parts of a few arms: most selects have no more, and go over them a dozen times.
struct Few<'s> {
    parts: [Option<(&'s dyn Selectable, &'s Node, *mut ())>; FEW],
    count: usize,
}

impl<'s> Few<'s> {
    /// At most [`FEW`] arms.
    #[inline]
    fn of(arms: &'s [&mut dyn Arm]) -> Self {
        let mut few = Self { parts: [None; FEW], count: arms.len() };
        for (part, arm) in few.parts.iter_mut().zip(arms) {
            *part = arm.parts().0;
        }
        few
    }
}

// SAFETY: as for `Slice`; what an arm says of its parts it says each time.
unsafe impl Cases for Few<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn case(&self, index: usize) -> Option<(&dyn Selectable, &Node, *mut ())> {
        self.parts[index]
    }
}

/// The cases that seem ready, of 64 at most.
#[derive(Debug)]
pub struct Ready(u64);

impl Ready {
    /// None so far.
    #[inline]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(0)
    }

    /// Notes whether this case is ready.
    #[inline]
    pub fn note(&mut self, case: u32, ready: bool) {
        self.0 |= u64::from(ready) << case;
    }

    /// One of them: each with the same chances or, when biased, the first.
    #[inline]
    pub fn draw(&self, biased: bool) -> Option<usize> {
        let mut cases = self.0;
        if cases == 0 {
            return None;
        }
        // No dice are thrown for one.
        if !biased && !cases.is_power_of_two() {
            for _ in 0..Dice::new(random()).below(cases.count_ones()) {
                cases &= cases - 1;
            }
        }
        Some(cases.trailing_zeros() as usize)
    }
}

/// An arm of a blocking select, in its frame: one that was not chosen holds nothing and is not dropped, so that the
/// borrow of its channel ends with its last use.
#[derive(Debug)]
pub struct Local<A>(ManuallyDrop<A>);

impl<A: Arm> Local<A> {
    /// An arm that is not chosen yet.
    #[inline]
    pub fn of(arm: A) -> Self {
        Self(ManuallyDrop::new(arm))
    }

    /// Whether it would probably be chosen, from one look at the channel.
    #[inline]
    pub fn seems_ready(&self) -> bool {
        self.0.seems_ready()
    }

    /// Chooses this arm if that is simple. If not, the engine is to try it.
    ///
    /// # Panics
    ///
    /// If it is chosen already.
    #[inline]
    pub fn try_now(&mut self) -> bool {
        self.0.try_now()
    }

    /// What a select borrows.
    #[inline]
    pub fn arm(&mut self) -> &mut A {
        &mut self.0
    }

    /// The arm, which was chosen.
    #[inline]
    pub fn won(self) -> A {
        ManuallyDrop::into_inner(self.0)
    }
}

impl<T> Local<RecvArm<'_, T>> {
    /// As [`RecvArm::take`].
    ///
    /// # Panics
    ///
    /// As there.
    #[inline]
    pub fn take(&mut self) -> Result<T, RecvError> {
        self.0.take_result()
    }
}

/// Lets arms give back what they got if the select unwinds, as it does when a foreign waker panics.
struct Rescue<'s, 'r, 'a>(&'s mut [&'r mut (dyn Arm + 'a)]);

impl Drop for Rescue<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|arm| arm.give_back());
    }
}

/// Blocks until an arm is chosen; `None` is the default case.
///
/// # Panics
///
/// If an arm is chosen already.
#[track_caller]
#[inline(always)]
pub fn run(arms: &mut [&mut dyn Arm], biased: bool, wait: Wait) -> Option<usize> {
    let limit = wait.limit();
    run_engine(arms, Engine::new(biased, limit), limit)
}

/// The same when this arm was drawn and could not be chosen at once, or when none seemed ready a moment ago.
///
/// # Panics
///
/// If an arm is chosen already.
#[track_caller]
#[inline(always)]
pub fn run_drawn(arms: &mut [&mut dyn Arm], biased: bool, wait: Wait, drawn: Option<usize>) -> Option<usize> {
    let limit = wait.limit();
    run_engine(arms, Engine::with_drawn(biased, limit, drawn), limit)
}

#[track_caller]
#[inline(always)]
fn run_engine(arms: &mut [&mut dyn Arm], engine: Engine, limit: Limit) -> Option<usize> {
    assert!(!arms.iter().any(|arm| arm.is_settled()), "{USED}");
    let rescue = Rescue(arms);
    let engine = pin!(engine);
    let chosen = if rescue.0.len() <= FEW {
        engine.as_ref().run(&Few::of(rescue.0), limit)
    } else {
        engine.as_ref().run(&Slice(rescue.0), limit)
    };
    if let Some((index, end)) = chosen {
        rescue.0[index].settle(Chosen(end));
    }
    // Nothing unwinds any more, and those that were not chosen have nothing.
    std::mem::forget(rescue);
    chosen.map(|(index, _)| index)
}

/// The arms of an async select: nested pairs that end in `()`.
pub trait Arms: SealedList {}

impl Arms for () {}
impl<H: Arm, T: Arms> Arms for (H, T) {}

// SAFETY: there is no index.
unsafe impl SealedList for () {
    const COUNT: usize = 0;

    fn parts(&self, _: usize) -> Parts<'_> {
        Parts(None)
    }

    fn settle(&mut self, _: usize, _: Chosen) {}

    fn any_settled(&self) -> bool {
        false
    }
}

// SAFETY: index 0 is the arm's own promise, the others are the rest's.
unsafe impl<H: Arm, T: Arms> SealedList for (H, T) {
    const COUNT: usize = 1 + T::COUNT;

    fn parts(&self, index: usize) -> Parts<'_> {
        if index == 0 { self.0.parts() } else { self.1.parts(index - 1) }
    }

    fn settle(&mut self, index: usize, chosen: Chosen) {
        if index == 0 { self.0.settle(chosen) } else { self.1.settle(index - 1, chosen) }
    }

    fn any_settled(&self) -> bool {
        self.0.is_settled() || self.1.any_settled()
    }
}

struct Nested<'s, A>(&'s A);

// SAFETY: the future that owns the arms is pinned, and lets go of them only after it has left all queues.
unsafe impl<A: Arms> Cases for Nested<'_, A> {
    fn count(&self) -> usize {
        A::COUNT
    }

    fn case(&self, index: usize) -> Option<(&dyn Selectable, &Node, *mut ())> {
        self.0.parts(index).0
    }
}

/// An async select. It resolves to the index of the chosen arm, `None` being the default case, and the arms.
///
/// # Cancellation
///
/// Dropping it before that gives back whatever it had been handed.
#[must_use = "futures do nothing unless polled"]
pub struct SelectFuture<A: Arms> {
    /// `None` after the end.
    arms: Option<A>,
    engine: Engine,
    alarm: Alarm,
    limit: Limit,
    place: Place,
}

/// Starts an async select.
///
/// # Panics
///
/// If an arm is chosen already.
#[track_caller]
pub fn select_async<A: Arms>(biased: bool, wait: Wait, arms: A) -> SelectFuture<A> {
    assert!(!arms.any_settled(), "{USED}");
    let limit = wait.limit();
    let engine = Engine::new(biased, limit);
    SelectFuture { arms: Some(arms), engine, alarm: Alarm::default(), limit, place: Place::here() }
}

impl<A: Arms> Future for SelectFuture<A> {
    type Output = (Option<usize>, A);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out while it may be queued: the arms leave after the engine has reported its
        // end, and the engine stays.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: the engine is part of this pinned future and never moves.
        let engine = unsafe { Pin::new_unchecked(&this.engine) };
        let cases = Nested(this.arms.as_ref().expect("a select was polled after it had ended"));
        let result = loop {
            if let Poll::Ready(result) = engine.poll(&cases, cx) {
                break result;
            }
            let Some(until) = engine.wake_time(&cases, this.limit) else {
                return this.place.note(WaitReason::Select, cx, Poll::Pending);
            };
            if this.alarm.poll(cx, until).is_pending() {
                return this.place.note(WaitReason::Select, cx, Poll::Pending);
            }
            if let Some(result) = engine.time_passed(&cases, this.limit) {
                break result;
            }
        };
        let mut arms = this.arms.take().expect("looked at above");
        if let Some((index, end)) = result {
            arms.settle(index, Chosen(end));
        }
        Poll::Ready((result.map(|(index, _): (usize, End)| index), arms))
    }
}

impl<A: Arms> Drop for SelectFuture<A> {
    fn drop(&mut self) {
        if let Some(arms) = &mut self.arms
            && let Some((index, end)) = self.engine.cancel(&Nested(arms))
        {
            // The arm gives it back when it is dropped.
            arms.settle(index, Chosen(end));
        }
    }
}

impl<A: Arms> fmt::Debug for SelectFuture<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectFuture { .. }")
    }
}
