//! What the lock of a channel guards, and every transition of it.
//!
//! Invariants, at each unlock:
//! - a value in the buffer means that no claimable receiver is queued;
//! - a free place (`buffer.len() + reserved < limit`) means that no claimable sender is queued: a freed place
//!   belongs to the first waiting sender (C20), so no newcomer can get in between;
//! - both queues hold claimable waiters only when all of them belong to one select (S09);
//! - each node in `paired` has the ticket of exactly one chosen, unfinished send case.
//!
//! "Returned" values, those of receive futures dropped after a value had been handed to them, go to the front of
//! the buffer and may exceed the limit.
//!
//! Nothing here runs user code: values move, wakers are collected in [`Wakes`] and woken after the unlock.
//!
//! Values travel as `&mut Option<T>`, from their first place to their last in one move: a large message must not
//! leave a copy in every frame on the way, since goroutines have small stacks.

use super::word::Snapshot;
use crate::wait::list::{Home, Kind, List, Node};
use crate::wait::selectable::End;
use crate::wait::waiter::{Outcome, Wakes};
use std::collections::VecDeque;
use std::task::Waker;

/// The result of a receive under the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// The value is where it was to go.
    Value,
    /// Nothing to receive now.
    Empty,
    /// Nothing to receive ever.
    Closed,
    /// A select's send case was chosen; the node now waits for its value.
    Paired,
    /// A select's send case waits, but no node was given that could wait for its value.
    NeedsWaker,
}

/// The result of a send under the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// The value is the channel's, or a receiver's.
    Done,
    /// No place for the value, which was left where it is.
    Full,
    /// Nobody will ever receive it; it was left where it is.
    Closed,
}

/// The part of a channel that its lock guards.
#[derive(Debug)]
pub(super) struct State<T> {
    buffer: VecDeque<T>,
    /// Places set aside for chosen send cases of selects whose values do not exist yet.
    reserved: usize,
    limit: usize,
    closed: bool,
    abandoned: bool,
    receivers: List,
    senders: List,
    paired: List,
    receive_watchers: List,
    send_watchers: List,
    /// Values of chosen receive cases without a slot, by ticket. Rarely more than a few.
    held: Vec<(u64, T)>,
    last_ticket: u64,
}

impl<T> State<T> {
    pub(super) fn new(buffer: VecDeque<T>, limit: usize) -> Self {
        Self {
            buffer,
            reserved: 0,
            limit,
            closed: false,
            abandoned: false,
            receivers: List::new(),
            senders: List::new(),
            paired: List::new(),
            receive_watchers: List::new(),
            send_watchers: List::new(),
            held: Vec::new(),
            last_ticket: 0,
        }
    }

    #[inline]
    fn has_place(&self) -> bool {
        self.buffer.len() + self.reserved < self.limit
    }

    #[inline]
    fn rejects(&self) -> bool {
        self.closed || self.abandoned
    }

    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::new(
            self.buffer.len(),
            self.closed,
            self.abandoned,
            !self.receivers.is_empty(),
            !self.senders.is_empty(),
            !self.has_place(),
        )
    }

    /// Whether somebody waits for a value, or to be told of one.
    pub(super) fn has_waiting_receivers(&self) -> bool {
        !self.receivers.is_empty() || !self.receive_watchers.is_empty()
    }

    /// How many nodes are linked anywhere; for tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn queues_are_empty(&self) -> bool {
        self.receivers.is_empty()
            && self.senders.is_empty()
            && self.paired.is_empty()
            && self.receive_watchers.is_empty()
            && self.send_watchers.is_empty()
            && self.held.is_empty()
            && self.reserved == 0
    }

    /// How many receivers and how many senders wait and could be claimed; for tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn waiting(&self) -> (usize, usize) {
        // SAFETY: `self` exists only under the lock.
        unsafe { (self.receivers.claimable().len(), self.senders.claimable().len()) }
    }

    /// The first of the invariants in the module's head that does not hold; for tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn broken_invariant(&self) -> Option<&'static str> {
        // SAFETY: `self` exists only under the lock.
        let (receivers, senders) = unsafe { (self.receivers.claimable(), self.senders.claimable()) };
        if self.rejects() {
            // Those who wait are being released, some at a time.
            return None;
        }
        if !self.buffer.is_empty() && !receivers.is_empty() {
            return Some("a value is in the buffer while a receiver waits");
        }
        if self.has_place() && !senders.is_empty() {
            return Some("a place is free while a sender waits");
        }
        let mut both = receivers.iter().chain(&senders);
        let first = both.next();
        if !receivers.is_empty() && !senders.is_empty() && both.any(|waiter| Some(waiter) != first) {
            return Some("a receiver and a sender that is not the same select wait for each other");
        }
        None
    }

    fn new_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    // ---- receiving ----

    /// The commonest receive: a value is there and nobody waits for its place. False if it is not that easy.
    #[inline]
    pub(super) fn take_quick(&mut self, out: &mut Option<T>) -> bool {
        if self.senders.is_empty() && self.send_watchers.is_empty() {
            *out = self.buffer.pop_front();
        }
        out.is_some()
    }

    /// The commonest receive without a buffer: the first who waits is a plain sender. Its waker is the answer.
    #[inline]
    pub(super) fn take_direct(&mut self, out: &mut Option<T>) -> Option<Option<Waker>> {
        let first = self.senders.first()?;
        // SAFETY: linked nodes are in place, and `self` exists only under the lock.
        let sender = unsafe { first.as_ref() };
        if sender.kind() != Kind::Plain || !self.buffer.is_empty() || self.closed {
            return None;
        }
        // SAFETY: in this list, under its lock. A plain operation is claimed by being found.
        unsafe {
            self.senders.remove(sender);
            *out = Self::take_from(sender);
            Some(sender.waiter().finish(0, Outcome::Delivered))
        }
    }

    /// Receives. With a node, which must be prepared and unlinked, it may pair with a select's send case.
    /// `out` is empty before.
    pub(super) fn take(&mut self, out: &mut Option<T>, node: Option<&Node>, wakes: &mut Wakes) -> Take {
        *out = self.buffer.pop_front();
        if out.is_some() {
            self.place_freed(wakes);
            return Take::Value;
        }
        if self.closed {
            // Senders still in the queue are about to be told so; their values are theirs again.
            return Take::Closed;
        }
        loop {
            // SAFETY: this is the list's lock; `self` exists only under it.
            let Some(first) = (unsafe { self.senders.peek_claimable() }) else {
                return Take::Empty;
            };
            // SAFETY: the node is linked and the lock held.
            let sender = unsafe { first.as_ref() };
            let is_case = sender.kind() == Kind::Case;
            if is_case && node.is_none() {
                return Take::NeedsWaker;
            }
            // SAFETY: linked in this list, under its lock; its waiter is in place.
            unsafe {
                self.senders.remove(sender);
                if !sender.waiter().claim(sender.case()) {
                    continue;
                }
            }
            let Some(node) = node.filter(|_| is_case) else {
                // SAFETY: claimed and unlinked; a plain sender's slot holds its value.
                *out = unsafe { Self::take_from(sender) };
                // SAFETY: claimed and unlinked; not touched again.
                unsafe { sender.finish(Outcome::Delivered, wakes) };
                return Take::Value;
            };
            let ticket = self.new_ticket();
            sender.set_ticket(ticket);
            node.set_ticket(ticket);
            // SAFETY: the sender was claimed and unlinked. The receiver's node is the caller's, who keeps it in
            // place while paired; its waiter is idle or claimed by this caller.
            unsafe {
                sender.finish(Outcome::Ticket, wakes);
                self.paired.push_back(node, Home::Paired);
                node.waiter().pair(node.case());
            }
            return Take::Paired;
        }
    }

    /// Moves a plain sender's value out.
    ///
    /// # Safety
    ///
    /// The caller has claimed the sender and not ended it yet, and its kind is `Plain`.
    unsafe fn take_from(sender: &Node) -> Option<T> {
        // SAFETY: the slot of a plain sender is an `Option<T>` with its value; the claim makes it ours.
        let value = unsafe { (*sender.slot().cast::<Option<T>>()).take() };
        debug_assert!(value.is_some(), "a queued sender holds its value");
        value
    }

    /// Gives free places to waiting senders, first come first served; tells watchers if one is left.
    fn place_freed(&mut self, wakes: &mut Wakes) {
        while self.has_place() && !self.rejects() {
            // SAFETY: the lock is held, and the claimed sender is ended below.
            let Some(first) = (unsafe { self.senders.claim_first() }) else {
                self.notify_send_watchers(wakes);
                return;
            };
            // SAFETY: just claimed; in place until ended.
            let sender = unsafe { first.as_ref() };
            if sender.kind() == Kind::Case {
                self.reserved += 1;
                // SAFETY: claimed and unlinked; not touched again.
                unsafe { sender.finish(Outcome::Reserved, wakes) };
            } else {
                // SAFETY: claimed and plain, and not ended before the next statement.
                self.buffer.extend(unsafe { Self::take_from(sender) });
                // SAFETY: claimed and unlinked; not touched again.
                unsafe { sender.finish(Outcome::Delivered, wakes) };
            }
        }
    }

    /// Whether a receive would not block.
    pub(super) fn is_receivable(&mut self) -> bool {
        // SAFETY: `self` exists only under the lock.
        !self.buffer.is_empty() || self.closed || unsafe { self.senders.peek_claimable() }.is_some()
    }

    /// Queues a receiver's node, or a watcher's.
    ///
    /// # Safety
    ///
    /// The node is prepared, in no list, and stays in place until it is unlinked under this lock.
    pub(super) unsafe fn queue_receiver(&mut self, node: &Node, wakes: &mut Wakes) {
        // SAFETY: the caller vouches for the node; the lock is held.
        unsafe {
            if node.kind() == Kind::Watch {
                self.receive_watchers.push_back(node, Home::Watch);
                return;
            }
            self.receivers.push_back(node, Home::Queue);
        }
        // A receiver that waits makes an unbuffered channel ready for sending.
        self.notify_send_watchers(wakes);
    }

    /// Unlinks a receiver's or its watcher's node, wherever it is.
    ///
    /// # Safety
    ///
    /// The node was only ever given to this channel as a receiver.
    pub(super) unsafe fn unlink_receiver(&mut self, node: &Node) {
        // SAFETY: a node's `home` names the list it is in, and the lock is held.
        unsafe {
            match node.home() {
                Home::Nowhere => {}
                Home::Queue => self.receivers.remove(node),
                Home::Paired => self.paired.remove(node),
                Home::Watch => self.receive_watchers.remove(node),
            }
        }
    }

    /// Takes back a value that was handed over and not consumed: the next waiting receiver gets it, else the
    /// front of the buffer. Left where it is, to be dropped after the unlock, if nobody can receive any more.
    pub(super) fn put_front(&mut self, value: &mut Option<T>, wakes: &mut Wakes) {
        if self.abandoned || value.is_none() {
            return;
        }
        // SAFETY: the lock is held, and the claimed receiver is ended at once.
        match unsafe { self.receivers.claim_first() } {
            // SAFETY: just claimed and unlinked.
            Some(receiver) => unsafe { self.hand_over(receiver.as_ref(), value, wakes) },
            None => {
                if let Some(value) = value.take() {
                    self.buffer.push_front(value);
                }
                self.notify_receive_watchers(wakes);
            }
        }
    }

    /// Puts a value where a receive case finds it: its slot, or under a ticket.
    pub(super) fn deliver(&mut self, node: &Node, value: &mut Option<T>) -> End {
        let slot = node.slot().cast::<Option<T>>();
        if slot.is_null() {
            let ticket = self.new_ticket();
            node.set_ticket(ticket);
            self.held.extend(value.take().map(|value| (ticket, value)));
            End::Held(ticket)
        } else {
            // SAFETY: the slot of a receiver is an empty `Option<T>` in its owner's pinned memory, which the
            // owner does not touch while it is queued, claimed or inside `attempt`.
            unsafe { slot.write(value.take()) };
            End::Value
        }
    }

    /// Delivers to a claimed receiver and ends it.
    ///
    /// # Safety
    ///
    /// The caller has claimed the receiver, or found it paired, and unlinked it.
    unsafe fn hand_over(&mut self, receiver: &Node, value: &mut Option<T>, wakes: &mut Wakes) {
        self.deliver(receiver, value);
        // SAFETY: the caller vouches for it; not touched again.
        unsafe { receiver.finish(Outcome::Delivered, wakes) };
    }

    /// Takes the value kept under a ticket.
    pub(super) fn take_held(&mut self, ticket: u64) -> Option<T> {
        let at = self.held.iter().position(|(t, _)| *t == ticket)?;
        Some(self.held.swap_remove(at).1)
    }

    // ---- sending ----

    /// The commonest send: nobody waits and a place is free. False if it is not that easy.
    #[inline]
    pub(super) fn put_quick(&mut self, value: &mut Option<T>) -> bool {
        let easy = self.receivers.is_empty()
            && self.receive_watchers.is_empty()
            && self.has_place()
            && !self.rejects();
        if easy && let Some(value) = value.take() {
            self.buffer.push_back(value);
        }
        easy
    }

    /// The commonest send without a buffer: the first who waits is a plain receiver. Its waker is the answer.
    #[inline]
    pub(super) fn put_direct(&mut self, value: &mut Option<T>) -> Option<Option<Waker>> {
        let first = self.receivers.first()?;
        // SAFETY: linked nodes are in place, and `self` exists only under the lock.
        let receiver = unsafe { first.as_ref() };
        if receiver.kind() != Kind::Plain || self.rejects() {
            return None;
        }
        // SAFETY: in this list, under its lock. A plain operation is claimed by being found; its slot is an empty
        // `Option<T>`.
        unsafe {
            self.receivers.remove(receiver);
            receiver.slot().cast::<Option<T>>().write(value.take());
            Some(receiver.waiter().finish(0, Outcome::Delivered))
        }
    }

    /// Sends the value, which is there.
    pub(super) fn put(&mut self, value: &mut Option<T>, wakes: &mut Wakes) -> Put {
        if self.rejects() {
            return Put::Closed;
        }
        // SAFETY: the lock is held, and the claimed receiver is ended at once.
        if let Some(receiver) = unsafe { self.receivers.claim_first() } {
            // SAFETY: just claimed and unlinked.
            unsafe { self.hand_over(receiver.as_ref(), value, wakes) };
            return Put::Done;
        }
        if !self.has_place() {
            return Put::Full;
        }
        self.buffer.extend(value.take());
        self.notify_receive_watchers(wakes);
        Put::Done
    }

    /// Chooses a send case whose value does not exist yet: sets a place aside, or pairs with the first waiting
    /// receiver. `None` if the send would block.
    pub(super) fn choose_send(&mut self) -> Option<End> {
        if self.rejects() {
            return Some(End::Closed);
        }
        if self.has_place() {
            self.reserved += 1;
            return Some(End::Reserved);
        }
        // SAFETY: the lock is held, and the claimed receiver is paired at once.
        let first = unsafe { self.receivers.claim_first() }?;
        let ticket = self.new_ticket();
        // SAFETY: just claimed and unlinked; a receiver stays in place while paired.
        unsafe {
            let receiver = first.as_ref();
            receiver.set_ticket(ticket);
            self.paired.push_back(receiver, Home::Paired);
            receiver.waiter().pair(receiver.case());
        }
        Some(End::Ticket(ticket))
    }

    /// Whether a send would not block.
    pub(super) fn is_sendable(&mut self) -> bool {
        // SAFETY: `self` exists only under the lock.
        self.rejects() || self.has_place() || unsafe { self.receivers.peek_claimable() }.is_some()
    }

    /// Queues a sender's node, or a watcher's.
    ///
    /// # Safety
    ///
    /// As for [`State::queue_receiver`]; the slot of a plain sender holds its value.
    pub(super) unsafe fn queue_sender(&mut self, node: &Node, wakes: &mut Wakes) {
        // SAFETY: the caller vouches for the node; the lock is held.
        unsafe {
            if node.kind() == Kind::Watch {
                self.send_watchers.push_back(node, Home::Watch);
                return;
            }
            self.senders.push_back(node, Home::Queue);
        }
        // A sender that waits makes an unbuffered channel ready for receiving.
        self.notify_receive_watchers(wakes);
    }

    /// Unlinks a sender's or its watcher's node, wherever it is.
    ///
    /// # Safety
    ///
    /// The node was only ever given to this channel as a sender.
    pub(super) unsafe fn unlink_sender(&mut self, node: &Node) {
        // SAFETY: a node's `home` names the list it is in, and the lock is held.
        unsafe {
            match node.home() {
                Home::Nowhere => {}
                // Only receivers are ever paired.
                Home::Queue | Home::Paired => self.senders.remove(node),
                Home::Watch => self.send_watchers.remove(node),
            }
        }
    }

    /// Finishes a send case that owns a place. Fails if the channel was closed in between: a receiver may have
    /// been told that nothing comes any more.
    pub(super) fn finish_reserved(&mut self, value: &mut Option<T>, wakes: &mut Wakes) -> bool {
        self.reserved -= 1;
        if self.rejects() {
            return false;
        }
        // SAFETY: the lock is held, and the claimed receiver is ended at once.
        if let Some(receiver) = unsafe { self.receivers.claim_first() } {
            // SAFETY: just claimed and unlinked.
            unsafe { self.hand_over(receiver.as_ref(), value, wakes) };
            self.place_freed(wakes);
        } else {
            self.buffer.extend(value.take());
            self.notify_receive_watchers(wakes);
        }
        true
    }

    /// A send case that owns a place will not use it.
    pub(super) fn undo_reserved(&mut self, wakes: &mut Wakes) {
        self.reserved -= 1;
        self.place_freed(wakes);
    }

    /// Finishes a send case by handing its value to the receiver it was paired with. Fails if that receiver has
    /// withdrawn. The rendezvous was settled when the two were paired, so closing in between does not undo it.
    pub(super) fn finish_ticket(&mut self, ticket: u64, value: &mut Option<T>, wakes: &mut Wakes) -> bool {
        // SAFETY: `self` exists only under the lock.
        let Some(found) = (unsafe { self.paired.find_ticket(ticket) }) else {
            return false;
        };
        // SAFETY: found in this list under its lock; a paired receiver is ours to end.
        unsafe {
            self.paired.remove(found.as_ref());
            self.hand_over(found.as_ref(), value, wakes);
        }
        true
    }

    /// A send case will not serve the receiver it was paired with. A plain receiver is served by what has come
    /// meanwhile, or returns to the head of the queue; any other begins again by itself.
    pub(super) fn undo_ticket(&mut self, ticket: u64, wakes: &mut Wakes) {
        // SAFETY: `self` exists only under the lock.
        let Some(found) = (unsafe { self.paired.find_ticket(ticket) }) else {
            return;
        };
        // SAFETY: found in this list under its lock, so in place; paired, so ours to end or pair anew.
        unsafe {
            let receiver = found.as_ref();
            self.paired.remove(receiver);
            if receiver.kind() != Kind::Plain {
                receiver.finish(Outcome::Retry, wakes);
                return;
            }
            // Senders may have queued up while the receiver was away: it must not go back beside them.
            let mut value = None;
            match self.take(&mut value, Some(receiver), wakes) {
                Take::Value => self.hand_over(receiver, &mut value, wakes),
                Take::Closed => receiver.finish(Outcome::Closed, wakes),
                Take::Paired => {}
                Take::Empty | Take::NeedsWaker => {
                    receiver.waiter().unpair();
                    self.receivers.push_front(receiver, Home::Queue);
                    self.notify_send_watchers(wakes);
                }
            }
        }
    }

    // ---- watchers, closing ----

    #[inline]
    fn notify_receive_watchers(&mut self, wakes: &mut Wakes) {
        if !self.receive_watchers.is_empty() {
            // SAFETY: the lock is held; the caller drops `wakes` after releasing it.
            unsafe { self.receive_watchers.finish_some(usize::MAX, Outcome::Ready, wakes) };
        }
    }

    #[inline]
    fn notify_send_watchers(&mut self, wakes: &mut Wakes) {
        if !self.send_watchers.is_empty() {
            // SAFETY: the lock is held; the caller drops `wakes` after releasing it.
            unsafe { self.send_watchers.finish_some(usize::MAX, Outcome::Ready, wakes) };
        }
    }

    /// Closes for sending. False if it was closed already.
    pub(super) fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closed, true)
    }

    /// Gives up receiving: what is in the channel is returned, to be dropped after the unlock.
    pub(super) fn abandon(&mut self) -> VecDeque<T> {
        self.abandoned = true;
        std::mem::take(&mut self.buffer)
    }

    /// Ends up to `limit` of those who wait in vain since `close` or `abandon`. True when none is left.
    pub(super) fn release_some(&mut self, limit: usize, wakes: &mut Wakes) -> bool {
        if !self.rejects() {
            return true;
        }
        self.notify_send_watchers(wakes);
        if self.closed {
            self.notify_receive_watchers(wakes);
        }
        // SAFETY: the lock is held; the caller drops `wakes` after releasing it.
        unsafe {
            self.senders.finish_some(limit, Outcome::Closed, wakes)
                && (!self.closed || self.receivers.finish_some(limit, Outcome::Closed, wakes))
        }
    }
}
