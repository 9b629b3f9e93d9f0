//! The limit of a group: places, given away first come first served.

use crate::sys::global::{Mutex, lock};
use crate::wait::queue::wake_quietly;
use crate::wait::waiter::Wakes;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Places for goroutines.
///
/// Who gives a place back while others wait hands it to the first of them, so `active` never exceeds the limit and
/// nobody overtakes. Somebody waits only while all places are taken.
#[derive(Debug)]
pub(super) struct Places {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: Option<usize>,
    active: usize,
    next_ticket: u64,
    /// Those who wait, by ticket. One who finds his ticket gone has been given a place.
    waiting: BTreeMap<u64, Waker>,
}

impl State {
    fn has_place(&self) -> bool {
        self.limit.is_none_or(|limit| self.active < limit)
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Taken(Arc<Places>);

impl Places {
    pub(super) fn new() -> Arc<Self> {
        let state = State { limit: None, active: 0, next_ticket: 0, waiting: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Sets the limit, or says how many places are taken.
    pub(super) fn set_limit(&self, limit: Option<usize>) -> Result<(), usize> {
        // Wakes all of them, also behind one whose waker, being foreign, panics.
        let mut admitted = Wakes::new();
        let mut state = lock(&self.state);
        if state.active > 0 {
            return Err(state.active);
        }
        state.limit = limit;
        while state.has_place()
            && let Some((_, waker)) = state.waiting.pop_first()
        {
            state.active += 1;
            admitted.push(Some(waker));
        }
        drop(state);
        admitted.wake();
        Ok(())
    }

    pub(super) fn try_take(self: &Arc<Self>) -> Option<Taken> {
        let mut state = lock(&self.state);
        if !state.has_place() {
            return None;
        }
        state.active += 1;
        Some(Taken(self.clone()))
    }

    pub(super) fn take(self: &Arc<Self>) -> Take {
        Take { places: self.clone(), ticket: None }
    }

    pub(super) fn active(&self) -> usize {
        lock(&self.state).active
    }

    fn give_back(&self) {
        let mut state = lock(&self.state);
        let Some((_, waker)) = state.waiting.pop_first() else {
            state.active -= 1;
            return;
        };
        drop(state);
        // Places are given back while goroutines unwind, too; and a foreign waker's panic is not theirs.
        wake_quietly(Some(waker));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Waits for a place.
#[derive(Debug)]
pub(super) struct Take {
    places: Arc<Places>,
    ticket: Option<u64>,
}

impl Future for Take {
    type Output = Taken;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Taken> {
        let this = &mut *self;
        let Some(ticket) = this.ticket else {
            if let Some(taken) = this.places.try_take() {
                return Poll::Ready(taken);
            }
            // Cloned before the lock: it may be foreign code.
            let waker = cx.waker().clone();
            let mut state = lock(&this.places.state);
            if state.has_place() {
                state.active += 1;
                drop(state);
                return Poll::Ready(Taken(this.places.clone()));
            }
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.insert(ticket, waker);
            this.ticket = Some(ticket);
            return Poll::Pending;
        };
        let waker = cx.waker().clone();
        let mut state = lock(&this.places.state);
        let old = match state.waiting.get_mut(&ticket) {
            Some(entry) => std::mem::replace(entry, waker),
            None => {
                drop(state);
                this.ticket = None;
                return Poll::Ready(Taken(this.places.clone()));
            }
        };
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let waker = lock(&self.places.state).waiting.remove(&ticket);
        if waker.is_none() {
            // It was given a place that it has not seen.
            self.places.give_back();
        }
    }
}
