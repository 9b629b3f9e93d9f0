//! Senders and receivers as cases of a select.
//!
//! A receive case gets its value when it is chosen. A send case is chosen first and finished with a value later,
//! since the message expression runs only then: until that it owns a place in the buffer, or the promise of one
//! receiver to wait for it (a ticket).

use super::core::NoValue;
use super::receiver::Flavor;
use super::state::Take;
use super::{Receiver, Sender};
use crate::sys::lock::RawSpin;
use crate::wait::list::{Kind, Node};
use crate::wait::selectable::{Attempt, End, Selectable};
use crate::wait::waiter::Wakes;
use std::time::Instant;

impl<T> Receiver<T> {
    /// Takes the value of a chosen receive case that has no slot of its own; `None` if the channel was closed.
    pub(crate) fn take_case(&self, end: End) -> Option<T> {
        match (end, &self.flavor) {
            (End::Held(ticket), _) => self.chan()?.take_held(ticket),
            (End::Time(time), Flavor::Timer(timer)) => Some(timer.convert(time)),
            (End::Closed, Flavor::Chan(_)) => {
                self.chan()?.ended();
                None
            }
            _ => None,
        }
    }

    /// Chooses a receive case, with its value in `slot`, if that takes no more than `try_recv` does.
    #[inline]
    pub(crate) fn try_case(&self, slot: &mut Option<T>) -> Option<End> {
        match self.chan()?.try_take(slot) {
            Ok(()) => Some(End::Value),
            Err(NoValue::Closed) => Some(End::Closed),
            Err(NoValue::Empty | NoValue::NeedsWaker) => None,
        }
    }

    /// Takes back the value of a chosen receive case that nobody consumed.
    pub(crate) fn untake_case(&self, value: &mut Option<T>) {
        if let Some(chan) = self.chan() {
            chan.put_front(value);
        }
    }

    /// Whether a case with this receiver can never be chosen.
    pub(crate) fn is_nil(&self) -> bool {
        matches!(self.flavor, Flavor::Never)
    }
}

impl<T> Selectable for Receiver<T> {
    fn lock(&self) -> Option<&RawSpin> {
        match &self.flavor {
            // SAFETY: the receiver's count keeps the channel in place.
            Flavor::Chan(chan) => Some(unsafe { chan.as_ref() }.raw_lock()),
            Flavor::Timer(timer) => Some(timer.raw_lock()),
            Flavor::Never => None,
        }
    }

    #[inline]
    fn looks_ready(&self) -> bool {
        match &self.flavor {
            Flavor::Chan(chan) => {
                // SAFETY: the receiver's count keeps the channel in place.
                let seen = unsafe { chan.as_ref() }.look();
                seen.may_have_value() || seen.is_closed()
            }
            Flavor::Timer(_) => true,
            Flavor::Never => false,
        }
    }

    fn is_timed(&self) -> bool {
        matches!(self.flavor, Flavor::Timer(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.flavor {
            Flavor::Timer(timer) => timer.due(),
            _ => None,
        }
    }

    unsafe fn attempt(&self, node: &Node, can_wait: bool, wakes: &mut Wakes) -> Attempt {
        let chan = match &self.flavor {
            // SAFETY: the receiver's count keeps the channel in place.
            Flavor::Chan(chan) => unsafe { chan.as_ref() },
            // SAFETY: the caller holds the lock.
            Flavor::Timer(timer) => return unsafe { timer.attempt(node) },
            Flavor::Never => return Attempt::NotReady,
        };
        // SAFETY: the caller holds the lock, and the closure stays with the state it is given.
        unsafe {
            chan.held(|state| {
                if node.kind() == Kind::Watch {
                    let ready = state.is_receivable();
                    return if ready { Attempt::Chosen(End::Ready) } else { Attempt::NotReady };
                }
                let mut value = None;
                match state.take(&mut value, can_wait.then_some(node), wakes) {
                    Take::Value => Attempt::Chosen(state.deliver(node, &mut value)),
                    Take::Closed => Attempt::Chosen(End::Closed),
                    Take::Paired => Attempt::Paired,
                    Take::NeedsWaker => Attempt::NeedsWaker,
                    Take::Empty => Attempt::NotReady,
                }
            })
        }
    }

    unsafe fn enqueue(&self, node: &Node, wakes: &mut Wakes) {
        // SAFETY: the receiver's count keeps the channel in place; the caller holds the lock and vouches for the node.
        unsafe {
            match &self.flavor {
                Flavor::Chan(chan) => chan.as_ref().held(|state| state.queue_receiver(node, wakes)),
                Flavor::Timer(timer) => timer.queue(node),
                Flavor::Never => {}
            }
        }
    }

    unsafe fn dequeue(&self, node: &Node) {
        // SAFETY: the receiver's count keeps the channel in place; the caller holds the lock; the node was given to
        // this channel as a receiver.
        unsafe {
            match &self.flavor {
                Flavor::Chan(chan) => chan.as_ref().unlink_held(|state| state.unlink_receiver(node)),
                Flavor::Timer(timer) => timer.unlink(node),
                Flavor::Never => {}
            }
        }
    }

    unsafe fn leave(&self, node: &Node) {
        // SAFETY: the receiver's count keeps the channel in place; the node was given to this channel as a receiver.
        unsafe {
            match &self.flavor {
                Flavor::Chan(chan) => chan.as_ref().locked(|state, _| state.unlink_receiver(node)),
                Flavor::Timer(timer) => timer.leave(node),
                Flavor::Never => {}
            }
        }
    }

    fn undo(&self, end: End) {
        match (end, &self.flavor) {
            (End::Held(ticket), Flavor::Chan(_)) => {
                if let Some(chan) = self.chan() {
                    chan.undo_held(ticket);
                }
            }
            (End::Time(time), Flavor::Timer(timer)) => timer.untake(time),
            _ => {}
        }
    }
}

impl<T> Sender<T> {
    /// Chooses a send case if it is ready.
    #[inline]
    pub(crate) fn try_case(&self) -> Option<End> {
        self.chan().choose_send()
    }
}

impl<T> Selectable for Sender<T> {
    fn lock(&self) -> Option<&RawSpin> {
        Some(self.chan().raw_lock())
    }

    #[inline]
    fn looks_ready(&self) -> bool {
        let seen = self.chan().look();
        seen.may_have_place() || seen.rejects()
    }

    fn is_timed(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    unsafe fn attempt(&self, node: &Node, _can_wait: bool, _wakes: &mut Wakes) -> Attempt {
        // SAFETY: the caller holds the lock, and the closure stays with the state it is given.
        let end = unsafe {
            self.chan().held(|state| {
                if node.kind() == Kind::Watch {
                    state.is_sendable().then_some(End::Ready)
                } else {
                    state.choose_send()
                }
            })
        };
        end.map_or(Attempt::NotReady, Attempt::Chosen)
    }

    unsafe fn enqueue(&self, node: &Node, wakes: &mut Wakes) {
        // SAFETY: the caller holds the lock and vouches for the node.
        unsafe { self.chan().held(|state| state.queue_sender(node, wakes)) };
    }

    unsafe fn dequeue(&self, node: &Node) {
        // SAFETY: the caller holds the lock; the node was given to this channel as a sender.
        unsafe { self.chan().unlink_held(|state| state.unlink_sender(node)) };
    }

    unsafe fn leave(&self, node: &Node) {
        // SAFETY: the node was given to this channel as a sender.
        self.chan().locked(|state, _| unsafe { state.unlink_sender(node) });
    }

    fn undo(&self, end: End) {
        self.chan().undo_send(end);
    }
}
