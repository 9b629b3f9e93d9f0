//! What a select needs of a thing it can wait for. Channels implement it; the select engine names none of them.

use super::list::Node;
use super::waiter::Wakes;
use crate::sys::lock::RawSpin;
use std::time::Instant;

/// What a chosen case got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Receive: the value is in the case's slot.
    Value,
    /// Receive: the value is kept by the channel under this ticket.
    Held(u64),
    /// Receive from a timer channel: the time it fired.
    Time(Instant),
    /// The channel is closed, or nobody is on its other side any more.
    Closed,
    /// Send: one place in the buffer is set aside.
    Reserved,
    /// Send: the receiver under this ticket waits for the value.
    Ticket(u64),
    /// Watched: the case is ready, nothing has moved.
    Ready,
}

/// What became of one case when it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Attempt {
    /// It would block.
    NotReady,
    /// It is chosen and committed.
    Chosen(End),
    /// It is chosen, and its value is promised by a peer: wait for the outcome.
    Paired,
    /// It could be chosen by someone who can wait for the peer's value; nothing was changed.
    NeedsWaker,
}

/// One end of something that can be a case of a select.
///
/// The select locks all its cases' locks in the order of their addresses, tries the cases, queues a node in
/// each if none is ready, and unlocks. What a method changes it also publishes, but for
/// [`Selectable::dequeue`].
pub(crate) trait Selectable {
    /// The lock that guards the case, if it has one.
    fn lock(&self) -> Option<&RawSpin>;

    /// A look without the lock: whether [`Selectable::attempt`] would probably succeed. False means that it was not
    /// ready at that instant. A source that time fills has nothing to look at: it must be tried.
    fn looks_ready(&self) -> bool;

    /// Whether the case may become ready by itself, at some time.
    fn is_timed(&self) -> bool;

    /// When it does, as things stand. Whoever makes that earlier while nodes are queued ends their operations with
    /// `Retry`; so a deadline that was read after queueing is not overslept.
    fn deadline(&self) -> Option<Instant>;

    /// Tries the case. With `can_wait` the node may be paired, and its waiter must have a waker.
    ///
    /// # Safety
    ///
    /// The caller holds the lock; the node is prepared, in no list, and stays in place if it gets paired.
    unsafe fn attempt(&self, node: &Node, can_wait: bool, wakes: &mut Wakes) -> Attempt;

    /// Queues the node.
    ///
    /// # Safety
    ///
    /// As for [`Selectable::attempt`]; the node and its waiter stay in place until dequeued.
    unsafe fn enqueue(&self, node: &Node, wakes: &mut Wakes);

    /// Takes the node out of whatever list it is in, if any. Who looks without the lock may go on seeing it there: a
    /// select that looks again has been waiting all the time.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and the node was given to this source only.
    unsafe fn dequeue(&self, node: &Node);

    /// The same with the lock not held, for everybody to see.
    ///
    /// # Safety
    ///
    /// The node was given to this source only; the caller holds no lock.
    unsafe fn leave(&self, node: &Node);

    /// Gives back what a chosen case got and nobody consumed. A value in the node's slot is not its business.
    fn undo(&self, end: End);
}
