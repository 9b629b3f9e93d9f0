//! What can be cancelled: the part that a context shares with those derived from it by a value.
//!
//! # Who holds whom
//!
//! ```text
//!   Context ─► Node ─► Node of the parent          handles hold what is above them
//!               │        │
//!               ▼        ▼
//!             Core ◄── Core of the parent          cores hold what is below them
//! ```
//!
//! A core lives as long as somebody can see it (its node) or can still cancel it to some effect: its parent
//! holds it, and its timer does. A core that nobody sees any more, not even by a clone of its channel, and below which
//! nobody waits to be told, leaves its parent and gives up its timer ([`Core::release`]); so a context that is merely
//! dropped costs nothing later. Upward there are weak references only, hence no cycles.
//!
//! # Cancelling
//!
//! A core is `Open`; then, once cancelled, `Spreading` until all below it are done; then `Over`. Whoever cancels
//! walks the tree, one lock at a time, so no two locks are ever held together and a cancel inside of a cancel
//! cannot deadlock (X23). One who finds a core `Spreading` by somebody else's hand does not wait, but walks the
//! same children too: so when *any* cancel returns, all below are done (X13), without anybody waiting.
//!
//! Two promises hold at once: who sees an error finds `done` closed (X14), and who finds `done` closed sees an
//! error. The error is stored first, then the channel is closed; and whoever reads the error in between closes
//! the channel himself.

use super::entries::{Entries, Entry, HasFuncs, Key};
use super::error::{Cause, ContextError, Reason};
use crate::chan::{Receiver, Sender, bounded};
use crate::clock::TimerKey;
use crate::clock::driver::fallback;
use crate::clock::manual::{self, Manual};
use crate::sys::global::{Mutex, OnceLock, lock};
use crate::sys::threads::discard_payload;
use std::convert::Infallible;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

const OPEN: u8 = 0;
const CANCELED: u8 = 1;
const DEADLINE_EXCEEDED: u8 = 2;

pub(super) struct Core {
    /// The error, for those who only ask. Written once, under the lock of `state`.
    status: AtomicU8,
    /// Made when somebody asks for it, and never dropped before the core.
    done: OnceLock<Done>,
    /// The earliest of its own and its ancestors'.
    deadline: Option<Instant>,
    /// The cause if it ends by its own deadline.
    deadline_cause: Option<Cause>,
    parent: Option<Weak<Core>>,
    state: Mutex<State>,
}

struct Done {
    tx: Sender<Infallible>,
    rx: Receiver<Infallible>,
}

struct State {
    phase: Phase,
    cause: Option<Cause>,
    /// Its own entry with the parent.
    key: Option<Key>,
    timer: Option<Alarm>,
    /// Whether its node is there, so that somebody may look at it.
    seen: bool,
}

enum Phase {
    Open(Entries),
    Spreading(Arc<[Arc<Core>]>),
    Over,
}

impl State {
    /// Nobody below it is to be told, and it has no node.
    fn is_unseen(&self) -> bool {
        !self.seen && matches!(&self.phase, Phase::Open(entries) if entries.len() == 0)
    }
}

/// The timer of a deadline.
enum Alarm {
    Machine(TimerKey),
    /// With the clock by which the goroutine, or the thread, went that made the context. Weak, since that clock's store
    /// holds the core.
    ByHand(Weak<Manual>, TimerKey),
}

/// Takes a timer off, outside of any lock: its waker is dropped.
fn take_off(timer: Option<Alarm>) {
    drop(match timer {
        None => None,
        Some(Alarm::Machine(key)) => fallback().cancel(key),
        Some(Alarm::ByHand(clock, key)) => clock.upgrade().and_then(|clock| clock.cancel(key)),
    });
}

/// A core that is done, whose children are to be visited.
struct Branch {
    core: Arc<Core>,
    children: Arc<[Arc<Core>]>,
    reason: Reason,
}

impl Core {
    /// A child of `parent`, if there is one, with a deadline of its own or not. It is done already if the parent is
    /// or the time has come.
    pub(super) fn new(parent: Option<&Arc<Core>>, own: Option<(Instant, Option<Cause>)>) -> Arc<Core> {
        let inherited = parent.and_then(|parent| parent.deadline);
        // A parent that ends earlier, or at the same time, makes the own deadline needless.
        let own = own.filter(|(own, _)| inherited.is_none_or(|inherited| *own < inherited));
        let (alarm, deadline_cause) = own.map_or((None, None), |(at, cause)| (Some(at), cause));
        let state =
            State { phase: Phase::Open(Entries::new()), cause: None, key: None, timer: None, seen: true };
        let core = Arc::new(Core {
            status: AtomicU8::new(OPEN),
            done: OnceLock::new(),
            deadline: alarm.or(inherited),
            deadline_cause,
            parent: parent.map(Arc::downgrade),
            state: Mutex::new(state),
        });
        match parent.map(|parent| parent.add(Entry::Child(core.clone()))) {
            None => {}
            Some(Ok(key)) => lock(&core.state).key = Some(key),
            Some(Err((_, reason))) => core.cancel(&reason),
        }
        if let Some(at) = alarm {
            core.arm(at);
        }
        core
    }

    fn arm(self: &Arc<Self>, at: Instant) {
        if super::now() >= at {
            return self.expire();
        }
        let (clock, waker) = (manual::here(), Waker::from(self.clone()));
        let timer = match &clock {
            Some(clock) => Alarm::ByHand(Arc::downgrade(clock), clock.insert(at, waker)),
            // The process's timer thread, not the runtime's timers: a context may outlive its runtime, and must end
            // in time also when all workers are busy and ask it whether they may stop.
            None => match fallback().insert(at, waker) {
                Ok(key) => Alarm::Machine(key),
                Err(error) => {
                    self.cancel(&Reason::CANCELED);
                    panic!("the timer thread cannot be started: {error}")
                }
            },
        };
        let mut state = lock(&self.state);
        let unneeded = match state.phase {
            Phase::Open(_) => state.timer.replace(timer),
            _ => Some(timer),
        };
        drop(state);
        take_off(unneeded);
        // That time may have come meanwhile.
        if let Some(clock) = clock {
            clock.fire();
        }
    }

    fn expire(self: &Arc<Self>) {
        let cause = self.deadline_cause.clone();
        self.cancel(&Reason { error: ContextError::DeadlineExceeded, cause });
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn error(&self) -> Option<ContextError> {
        // Acquire: what was done before the cancel is seen by whoever sees it.
        let error = self.peek()?;
        self.close_done();
        Some(error)
    }

    fn peek(&self) -> Option<ContextError> {
        match self.status.load(Ordering::Acquire) {
            OPEN => None,
            CANCELED => Some(ContextError::Canceled),
            _ => Some(ContextError::DeadlineExceeded),
        }
    }

    /// Why it is done, if it is; with the lock held.
    fn reason(&self, state: &State) -> Option<Reason> {
        Some(Reason { error: self.peek()?, cause: state.cause.clone() })
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        let reason = self.reason(&lock(&self.state))?;
        self.close_done();
        Some(reason.into_cause())
    }

    pub(super) fn done(&self) -> &Receiver<Infallible> {
        if let Some(done) = self.done.get() {
            return &done.rx;
        }
        let (tx, rx) = bounded(0);
        let mut made = Some(Done { tx, rx });
        // Under the lock, as the error is stored: either whoever stores it finds the channel, or it is closed before
        // anybody can have it.
        let state = lock(&self.state);
        let done = self.done.get_or_init(|| {
            let done = made.take().expect("it is made once");
            if self.peek().is_some() {
                // Nobody waits for it yet, so no foreign code runs here.
                done.tx.close();
            }
            done
        });
        drop(state);
        &done.rx
    }

    /// Closes the channel, if there is one. Called by everyone who has seen the error.
    fn close_done(&self) {
        let Some(done) = self.done.get() else { return };
        if done.tx.is_closed() {
            return;
        }
        // Foreign wakers are called here, batch by batch. One that panics, which its hook has reported, must not keep
        // the others from being told, nor those further down the tree: closing again goes on with the next batch.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| done.tx.close())) {
            discard_payload(payload);
        }
    }

    /// Adds one who is to be told, or gives it back with the reason for which the core is done.
    pub(super) fn add(&self, entry: Entry) -> Result<Key, (Entry, Reason)> {
        let mut state = lock(&self.state);
        match &mut state.phase {
            Phase::Open(entries) => Ok(entries.insert(entry)),
            _ => Err((entry, self.reason(&state).expect("a core that is not open is done"))),
        }
    }

    /// Takes out one who was to be told, if that has not begun.
    pub(super) fn remove(self: &Arc<Self>, key: Key) -> Option<Entry> {
        let (entry, own_key) = self.take_out(key);
        if let Some(own_key) = own_key {
            self.leave_parent(own_key);
        }
        entry
    }

    /// Takes an entry out. If nobody needs the core after that, returns also its key with its parent.
    fn take_out(&self, key: Key) -> (Option<Entry>, Option<Key>) {
        let mut state = lock(&self.state);
        let Phase::Open(entries) = &mut state.phase else { return (None, None) };
        let entry = entries.remove(key);
        if !self.is_idle(&state) {
            return (entry, None);
        }
        let (timer, own_key) = (state.timer.take(), state.key.take());
        drop(state);
        take_off(timer);
        (entry, own_key)
    }

    /// Leaves the parent, and on the way up whoever is not needed any more then. A loop: trees may be deep.
    fn leave_parent(&self, key: Key) {
        let mut next = Some(key);
        let mut above = self.parent.as_ref().and_then(Weak::upgrade);
        while let (Some(key), Some(parent)) = (next, above) {
            let (entry, parents_key) = parent.take_out(key);
            above = parent.parent.as_ref().and_then(Weak::upgrade);
            next = parents_key;
            drop(entry);
        }
    }

    /// Nobody needs it: there is no node, nobody below it, and no clone of its channel.
    fn is_idle(&self, state: &State) -> bool {
        state.is_unseen() && !self.is_watched()
    }

    /// Whether somebody has a clone of the channel. If nobody has, and there is no node, nobody can make one. Nobody tells
    /// us when it is dropped: a core without a node that is watched stays with its parent until either ends.
    fn is_watched(&self) -> bool {
        self.done.get().is_some_and(|done| done.rx.has_clones())
    }

    /// Its node has gone.
    pub(super) fn release(&self) {
        let mut state = lock(&self.state);
        state.seen = false;
        if !self.is_idle(&state) {
            return;
        }
        let (timer, key) = (state.timer.take(), state.key.take());
        drop(state);
        take_off(timer);
        if let Some(key) = key {
            self.leave_parent(key);
        }
    }

    /// Ends the core and all below it, unless they are done already. When it returns they are, in any case.
    pub(super) fn cancel(self: &Arc<Self>, reason: &Reason) {
        let mut branches = Vec::new();
        branches.extend(self.visit(reason));
        let mut at = 0;
        while let Some(Branch { children, reason, .. }) = branches.get(at) {
            let (children, reason) = (children.clone(), reason.clone());
            branches.extend(children.iter().filter_map(|child| child.visit(&reason)));
            at += 1;
        }
        for branch in &branches {
            // Others need not walk here any more.
            let spread = mem::replace(&mut lock(&branch.core.state).phase, Phase::Over);
            drop(spread);
        }
        let key = lock(&self.state).key.take();
        if let Some(key) = key {
            self.leave_parent(key);
        }
    }

    /// Ends this core alone, if it is open. Returns its children if they may not be done yet.
    fn visit(self: &Arc<Self>, reason: &Reason) -> Option<Branch> {
        let (mut funcs, mut timer) = (Vec::new(), None);
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Open(_))
            && let Phase::Open(entries) = mem::replace(&mut state.phase, Phase::Over)
        {
            let children;
            (children, funcs) = entries.split();
            if !children.is_empty() {
                state.phase = Phase::Spreading(children.into());
            }
            state.cause.clone_from(&reason.cause);
            timer = state.timer.take();
            let status = match reason.error {
                ContextError::Canceled => CANCELED,
                ContextError::DeadlineExceeded => DEADLINE_EXCEEDED,
            };
            // Release: see `error`.
            self.status.store(status, Ordering::Release);
        }
        let branch = match &state.phase {
            Phase::Spreading(children) => Some(Branch {
                core: self.clone(),
                children: children.clone(),
                // Its own: the children end for the reason their parent ended for, whoever tells them.
                reason: self.reason(&state).expect("it is done"),
            }),
            _ => None,
        };
        drop(state);
        take_off(timer);
        self.close_done();
        funcs.into_iter().for_each(|func| func.start());
        branch
    }

    /// Whether somebody waits for the end of this context or of one below it, or has a function run then.
    pub(super) fn is_awaited(self: &Arc<Self>) -> bool {
        let mut below = vec![self.clone()];
        while let Some(core) = below.pop() {
            if core.done.get().is_some_and(|done| done.rx.is_awaited()) {
                return true;
            }
            if let Phase::Open(entries) = &lock(&core.state).phase {
                match entries.only_children() {
                    Ok(children) => below.extend(children),
                    Err(HasFuncs) => return true,
                }
            }
        }
        false
    }

    /// How many are to be told.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        match &lock(&self.state).phase {
            Phase::Open(entries) => entries.len(),
            _ => 0,
        }
    }

    #[cfg(test)]
    pub(super) fn has_timer(&self) -> bool {
        lock(&self.state).timer.is_some()
    }
}

/// The deadline has come. The timer thread wakes nobody before the time.
impl Wake for Core {
    fn wake(self: Arc<Self>) {
        self.expire();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.peek().is_none()
            && self.is_watched()
            && let Some(done) = self.done.take()
        {
            // Nobody can end it any more, and to those who have a clone of the channel it must not look done. It costs
            // the channel's memory.
            mem::forget(done.tx);
        }
        // Nobody can see or cancel what is below any more. A loop: trees may be deep.
        let mut below = Vec::new();
        let mut phase = mem::replace(&mut lock(&self.state).phase, Phase::Over);
        loop {
            if let Phase::Open(entries) = phase {
                let (children, funcs) = entries.split();
                below.extend(children);
                drop(funcs);
            }
            let Some(next) = below.pop() else { return };
            match Arc::into_inner(next) {
                Some(core) => phase = mem::replace(&mut lock(&core.state).phase, Phase::Over),
                None => phase = Phase::Over,
            }
        }
    }
}
