//! The reactor: who waits for the system to say that a descriptor is ready.
//!
//! There is one for the process, made with the first socket. So a socket may be used from any runtime, from plain threads
//! and from foreign executors, and which of them comes first does not matter.
//!
//! # Who polls
//!
//! One at a time, in the *seat*:
//!
//! - a worker with nothing to do: it sleeps in the poll instead of parking, with the same time-out. So a goroutine whose
//!   socket becomes ready is queued by the very worker that runs it, as a rule, without another thread in between;
//! - a worker that has run out of goroutines, at a glance before it sleeps, and a busy one every [`GLANCE`];
//! - the monitor, if nobody has polled from one of its looks to the next, that is for 5 to 10 ms: it calls a sleeper to take
//!   the seat, or glances itself where all workers are busy;
//! - where no runtime is alive, a thread of its own ([`fallback`]), for plain threads and foreign executors. It gets out of
//!   the seat when a worker wants it.
//!
//! # No readiness is forgotten
//!
//! While somebody waits for a descriptor, somebody sits in the seat, or somebody is awake who will look:
//!
//! - A worker that goes to sleep takes the seat, unless another has it. If that one only glances, it is awake itself and
//!   will want to sleep later, or is the monitor.
//! - A worker that leaves the seat is awake, and stirs the monitor as after any sleep. The monitor does not sleep while the
//!   seat is empty and there are descriptors.
//! - A runtime that ends calls somebody else to the seat ([`ensure_polled`]). So does everybody who begins to wait outside
//!   of a goroutine: no worker goes to sleep after that by itself.
//!
//! # How somebody in the seat is woken
//!
//! A worker says `in_poll`, then looks at its sleep state, then polls. Whoever wakes it changes that state, then looks at
//! `in_poll`: if it is set the wake goes to the poll (an eventfd, which remembers it), else to the thread's parking token
//! ([`super::remote`]). All four are sequentially consistent, so either the worker sees the new state, or the other one sees
//! that it polls. A wake that comes when the seat has passed to another makes that one look for nothing.
//!
//! # Numbers that come again
//!
//! The system hands out the numbers of closed descriptors again. An event carries the slot of its source and that slot's
//! generation, which goes up when the source leaves: late events of the old one are recognised.

pub(crate) mod fallback;
pub(crate) mod source;

use super::{monitor, wakes};
use crate::clock::{real_now, to_nanos};
use crate::sys::census;
use crate::sys::global::{Mutex, OnceLock, lock};
use crate::sys::prim::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use source::Source;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// How many nanoseconds a busy worker goes on without a look at the descriptors.
const GLANCE: u64 = 500_000;
/// Events of one poll.
const EVENTS: usize = 256;
/// The token of the eventfd.
const WAKE: Token = Token(usize::MAX);
/// How many bits of a token are the slot; the rest is its generation.
const SLOT_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };

/// Who is in the seat.
const EMPTY: u32 = 0;
/// Somebody awake, who looks without waiting.
const AWAKE: u32 = 1;
/// A worker that sleeps.
const WORKER: u32 = 2;
/// The thread of its own.
const FALLBACK: u32 = 3;

static REACTOR: OnceLock<Reactor> = OnceLock::new();
/// How many descriptors are watched.
static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// The reactor, if there is something to poll for. One load in a program without sockets.
#[inline]
pub(super) fn active() -> Option<&'static Reactor> {
    if WATCHED.load(Ordering::Relaxed) == 0 { None } else { REACTOR.get() }
}

/// Wakes whoever sleeps in the seat.
#[cold]
pub(super) fn wake_poller() {
    if let Some(reactor) = REACTOR.get() {
        reactor.wake();
    }
}

/// Sees to it that somebody polls, for the sake of those whom no worker serves.
pub(crate) fn ensure_polled() {
    let Some(reactor) = active() else { return };
    if !matches!(reactor.seat.load(Ordering::SeqCst), EMPTY | AWAKE) {
        return;
    }
    if monitor::call_to_poll() {
        // If all workers are busy: it will look for itself.
        monitor::stir();
    } else {
        fallback::wanted();
    }
}

/// By the monitor, at each look. False if it may sleep itself.
pub(super) fn supervise(polls_before: &mut u32) -> bool {
    let Some(reactor) = active() else { return false };
    let polls = reactor.polls.load(Ordering::Relaxed);
    let neglected = reactor.seat.load(Ordering::SeqCst) == EMPTY && polls == *polls_before;
    *polls_before = polls;
    if neglected {
        ensure_polled();
        let mut woken = Vec::new();
        if reactor.glance(&mut woken) {
            wake_all(&mut woken);
        }
    }
    is_neglected()
}

/// Whether nobody waits in the poll though there is something to wait for.
pub(super) fn is_neglected() -> bool {
    active().is_some_and(|reactor| matches!(reactor.seat.load(Ordering::SeqCst), EMPTY | AWAKE))
}

/// Whether somebody waits for a descriptor: a goroutine, which may wait for something else besides, or a thread.
fn is_awaited() -> bool {
    let Some(reactor) = active() else { return false };
    let sources = lock(&reactor.sources);
    sources.slots.iter().filter_map(|slot| slot.source.as_ref()).any(|source| source.is_awaited())
}

/// Wakes those whose events have come. True if there were any. A foreign waker may panic: its message is printed; neither
/// the others nor the caller must suffer.
pub(super) fn wake_all(woken: &mut Vec<Waker>) -> bool {
    let count = woken.len();
    if count == 0 {
        return false;
    }
    wakes::wake_all(woken);
    // Once for all of them: every worker writes it.
    census::end_deliveries(count);
    true
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reactor {
    registry: Registry,
    waker: mio::Waker,
    seat: AtomicU32,
    /// Of whoever is in the seat.
    polling: Mutex<Polling>,
    /// Counts the polls.
    polls: AtomicU32,
    /// When the last one ended.
    last: AtomicU64,
    sources: Mutex<Sources>,
}

#[derive(Debug)]
struct Polling {
    poll: Poll,
    events: Events,
}

#[derive(Debug, Default)]
struct Sources {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    source: Option<Arc<Source>>,
}

impl Reactor {
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKE)?;
        Ok(Self {
            registry,
            waker,
            seat: AtomicU32::new(EMPTY),
            polling: Mutex::new(Polling { poll, events: Events::with_capacity(EVENTS) }),
            polls: AtomicU32::new(0),
            last: AtomicU64::new(0),
            sources: Mutex::new(Sources::default()),
        })
    }

    /// The process's, made if there is none.
    fn get() -> io::Result<&'static Self> {
        static MAKING: Mutex<()> = Mutex::new(());
        if let Some(reactor) = REACTOR.get() {
            return Ok(reactor);
        }
        let _making = lock(&MAKING);
        if REACTOR.get().is_none() {
            let _ = REACTOR.set(Self::new()?);
            census::enter_probe(is_awaited);
        }
        Ok(REACTOR.get().expect("just made"))
    }

    fn wake(&self) {
        // It fails only if the descriptor were gone.
        let _ = self.waker.wake();
    }

    fn take_seat(&self, who: u32) -> bool {
        // A look first: it is often taken, and a failed exchange takes the cache line from who has it.
        self.seat.load(Ordering::SeqCst) == EMPTY
            && self.seat.compare_exchange(EMPTY, who, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn leave_seat(&self) {
        self.seat.store(EMPTY, Ordering::SeqCst);
    }

    /// Takes the seat for a worker that goes to sleep. If the fallback thread has it, that one is asked to make room, and
    /// will call a sleeper.
    pub(super) fn sit_down(&self) -> bool {
        if self.take_seat(WORKER) {
            return true;
        }
        if self.seat.load(Ordering::SeqCst) == FALLBACK {
            self.wake();
        }
        false
    }

    /// Polls in the seat, and leaves it.
    pub(super) fn sleep(&self, limit: Option<Duration>, woken: &mut Vec<Waker>) {
        self.poll(limit, woken);
        self.leave_seat();
    }

    /// Leaves the seat without a poll.
    pub(super) fn stand_up(&self) {
        self.leave_seat();
    }

    /// Looks without waiting, if nobody else is polling. True if there was something.
    pub(super) fn glance(&self, woken: &mut Vec<Waker>) -> bool {
        if !self.take_seat(AWAKE) {
            return false;
        }
        self.poll(Some(Duration::ZERO), woken);
        self.leave_seat();
        !woken.is_empty()
    }

    /// Whether a busy worker should look.
    pub(super) fn is_due(&self) -> bool {
        self.seat.load(Ordering::Relaxed) == EMPTY
            && to_nanos(real_now()).saturating_sub(self.last.load(Ordering::Relaxed)) >= GLANCE
    }

    /// Waits for events, no longer than `limit` (but perhaps shorter), and collects the wakers of those concerned.
    fn poll(&self, limit: Option<Duration>, woken: &mut Vec<Waker>) {
        let mut polling = lock(&self.polling);
        let Polling { poll, events } = &mut *polling;
        self.polls.fetch_add(1, Ordering::Relaxed);
        // An error is an interruption by a signal, and then there are no events.
        if wait_for_events(poll, events, limit).is_err() {
            events.clear();
        }
        self.last.store(to_nanos(real_now()), Ordering::Relaxed);
        if events.is_empty() {
            return;
        }
        // A source has two directions, and each a caller from the queue and a watcher.
        woken.reserve(EVENTS * 4);
        // Those who are to be woken: by `wake_all`, when a worker that counts as asleep has left the seat.
        let before = woken.len();
        census::begin_deliveries(1);
        let sources = lock(&self.sources);
        for event in events.iter() {
            if let Some(source) = sources.find(event.token()) {
                deliver(event, source, woken);
            }
        }
        census::begin_deliveries(woken.len() - before);
        census::end_deliveries(1);
    }

    fn add(&self, fd: RawFd) -> io::Result<(Token, Arc<Source>)> {
        let source = Arc::new(Source::new());
        let token = lock(&self.sources).add(source.clone());
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut SourceFd(&fd), token, interest) {
            drop(lock(&self.sources).remove(token));
            return Err(error);
        }
        Ok((token, source))
    }
}

fn deliver(event: &Event, source: &Source, woken: &mut Vec<Waker>) {
    // An error is for whoever asks first, in either direction.
    let error = event.is_error();
    if event.is_readable() || event.is_read_closed() || error {
        source.read.event(event.is_read_closed(), woken);
    }
    if event.is_writable() || event.is_write_closed() || error {
        source.write.event(event.is_write_closed(), woken);
    }
}

/// mio counts time in milliseconds and rounds up, which is too coarse for those who also wait for timers. So long waits are
/// cut down to whole milliseconds, after which the caller finds that it has some time left; and short ones wait for the
/// poll's descriptor to become readable, with a finer clock.
fn wait_for_events(poll: &mut Poll, events: &mut Events, limit: Option<Duration>) -> io::Result<()> {
    const COARSE: Duration = Duration::from_millis(2);
    match limit {
        #[cfg(target_os = "linux")]
        Some(limit) if !limit.is_zero() && limit < COARSE => {
            wait_readable(poll, limit)?;
            poll.poll(events, Some(Duration::ZERO))
        }
        Some(limit) if limit >= COARSE => {
            poll.poll(events, Some(Duration::from_millis(limit.as_millis() as u64)))
        }
        limit => poll.poll(events, limit),
    }
}

#[cfg(target_os = "linux")]
fn wait_readable(poll: &Poll, limit: Duration) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let mut fd = libc::pollfd { fd: poll.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = libc::timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
    // SAFETY: one record, and a time, both valid while the call looks at them; no signal mask.
    match unsafe { libc::ppoll(&raw mut fd, 1, &raw const limit, std::ptr::null()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

impl Sources {
    fn add(&mut self, source: Arc<Source>) -> Token {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 0, source: None });
                u32::try_from(self.slots.len() - 1).expect("fewer descriptors than 2^32")
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.source = Some(source);
        token(slot, entry.generation)
    }

    fn find(&self, wanted: Token) -> Option<&Arc<Source>> {
        let slot = slot(wanted);
        let entry = self.slots.get(slot as usize)?;
        (token(slot, entry.generation) == wanted).then_some(entry.source.as_ref()).flatten()
    }

    /// Its late events are ignored from now on. What comes back is dropped after the lock.
    fn remove(&mut self, token: Token) -> Option<Arc<Source>> {
        let slot = slot(token);
        let entry = self.slots.get_mut(slot as usize)?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        entry.source.take()
    }
}

fn token(slot: u32, generation: u32) -> Token {
    Token(slot as usize | (generation as usize) << SLOT_BITS)
}

fn slot(token: Token) -> u32 {
    (token.0 & ((1 << SLOT_BITS) - 1)) as u32
}

/// A descriptor's being watched. Its owner ends that before it closes the descriptor.
#[derive(Debug)]
pub(crate) struct Registration {
    reactor: &'static Reactor,
    token: Token,
    source: Arc<Source>,
}

impl Registration {
    /// Watches a non-blocking descriptor from now on.
    ///
    /// # Errors
    ///
    /// The system's: no reactor can be made, or no more descriptors can be watched.
    pub(crate) fn new(fd: RawFd) -> io::Result<Self> {
        let reactor = Reactor::get()?;
        // First: a worker that goes to sleep from now on takes the seat.
        WATCHED.fetch_add(1, Ordering::SeqCst);
        match reactor.add(fd) {
            Ok((token, source)) => Ok(Self { reactor, token, source }),
            Err(error) => {
                WATCHED.fetch_sub(1, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    #[inline]
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Watches the descriptor no more. Before it is closed, and once.
    pub(crate) fn end(&self, fd: RawFd) {
        // It fails only if the descriptor was closed behind our back, and then there is nothing to watch.
        let _ = self.reactor.registry.deregister(&mut SourceFd(&fd));
        let source = lock(&self.reactor.sources).remove(self.token);
        WATCHED.fetch_sub(1, Ordering::SeqCst);
        drop(source);
    }
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests;
