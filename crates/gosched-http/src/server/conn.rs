//! What is known of a connection by those who have to do with it: its goroutine, its bytes, its requests, the server.
//!
//! Flags and counts are written in the connection's goroutine, but for the count of requests, which handlers lower when
//! they are dropped elsewhere; whoever does that wakes the goroutine.

use super::config::{Config, ConnState, StateFn};
use super::copies::Copies;
use super::shared::Shared;
use crate::body::Reader;
use crate::lock;
use crate::slot::{ConnInfo, Slot};
use gosched::time::now;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Instant;

/// See the module.
pub(super) struct Conn {
    pub(super) info: Arc<ConnInfo>,
    /// Of its requests, one after the other, over HTTP/1.
    pub(super) slot: Arc<Slot>,
    pub(super) shared: Arc<Shared>,
    /// Requests that are not answered yet, to the last byte, and bodies that are not read yet; but for a `single` one.
    requests: AtomicUsize,
    /// A request without a body, over HTTP/1, is not answered yet. There is one at a time, and nobody but the connection's
    /// goroutine has to do with its end.
    single: AtomicBool,
    /// Something was read since the last request has begun.
    read: AtomicBool,
    /// The last attempt to write has found no room.
    blocked: AtomicBool,
    /// Something was written, or tried to, since the goroutine looked.
    wrote: AtomicBool,
    copies: Copies,
    times: Mutex<Times>,
    state: AtomicU8,
    /// The connection's goroutine, which is always the same.
    waker: Mutex<Option<Waker>>,
    /// It is there: whoever takes it wakes the goroutine, so that this need not be exact.
    registered: AtomicBool,
}

/// Noted only where some limit needs it.
#[derive(Default)]
struct Times {
    /// When the first byte of the request to come was read.
    head: Option<Instant>,
    /// When the response must have been sent.
    write_until: Option<Instant>,
}

impl Reader for Conn {
    fn has_read(&self) {
        self.end(false);
        self.wake();
    }
}

impl Conn {
    pub(super) fn new(info: ConnInfo, shared: Arc<Shared>) -> Self {
        let info = Arc::new(info);
        Self {
            slot: Arc::new(Slot::new(Some(info.clone()))),
            shared,
            requests: AtomicUsize::new(0),
            single: AtomicBool::new(false),
            read: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            wrote: AtomicBool::new(false),
            copies: Copies::new(info.secure),
            times: Mutex::default(),
            state: AtomicU8::new(ConnState::New as u8),
            waker: Mutex::new(None),
            registered: AtomicBool::new(false),
            info,
        }
    }

    pub(super) fn copies(&self) -> &Copies {
        &self.copies
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        lock(&self.times)
    }

    // ---- reading and writing ----------------------------------------------------------------

    pub(super) fn note_read(&self) {
        if !self.read.load(Ordering::Relaxed) {
            self.read.store(true, Ordering::Relaxed);
            if self.config().read_timeout.is_some() {
                self.times().head = Some(now());
            }
        }
    }

    pub(super) fn note_write(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
        if !blocked {
            self.wrote.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the response may still be sent.
    #[inline]
    pub(super) fn check_write(&self) -> io::Result<()> {
        if self.config().write_timeout.is_none() { Ok(()) } else { self.check_time() }
    }

    fn check_time(&self) -> io::Result<()> {
        if self.write_until().is_some_and(|until| until <= now()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the response has taken too long"));
        }
        Ok(())
    }

    pub(super) fn write_until(&self) -> Option<Instant> {
        self.config().write_timeout?;
        self.times().write_until
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether something was written since the last call.
    pub(super) fn take_wrote(&self) -> bool {
        let wrote = self.wrote.load(Ordering::Relaxed);
        if wrote {
            self.wrote.store(false, Ordering::Relaxed);
        }
        wrote
    }

    /// Whether a part of a head was read.
    pub(super) fn has_begun(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    // ---- requests ---------------------------------------------------------------------------

    /// Whether nothing is to be answered, or to be read of a body.
    pub(super) fn is_quiet(&self) -> bool {
        // Acquire: what was done for a request comes before its end.
        !self.single.load(Ordering::Relaxed) && self.requests.load(Ordering::Acquire) == 0
    }

    /// A request has begun, with a body or without. Returns when it must have been read.
    pub(super) fn begin(&self, single: bool, body: bool) -> Option<Instant> {
        if single {
            self.single.store(true, Ordering::Relaxed);
        } else {
            self.requests.fetch_add(1 + usize::from(body), Ordering::Relaxed);
        }
        self.read.store(false, Ordering::Relaxed);
        self.set_state(ConnState::Active);
        self.copies.note_request(body);
        let config = self.config();
        if config.read_timeout.is_none() && config.write_timeout.is_none() {
            None
        } else {
            self.begin_times()
        }
    }

    fn begin_times(&self) -> Option<Instant> {
        let config = self.config();
        let start = now();
        let mut times = self.times();
        times.write_until = config.write_timeout.map(|limit| start + limit);
        let head = times.head.take().unwrap_or(start);
        config.read_timeout.map(|limit| head + limit)
    }

    /// A request was answered, or given up; or its body was.
    pub(super) fn end(&self, single: bool) {
        let last = if single {
            self.single.store(false, Ordering::Relaxed);
            self.requests.load(Ordering::Acquire) == 0
        } else {
            // Release: what was done for the request comes before whoever sees that it has ended.
            self.requests.fetch_sub(1, Ordering::Release) == 1
        };
        if last {
            // What was read since it began was of its body. (Or it was a part of the next one, sent at once: that is given
            // the time of an idle connection.)
            self.read.store(false, Ordering::Relaxed);
        }
    }

    // ---- its life ---------------------------------------------------------------------------

    pub(super) fn set_state(&self, state: ConnState) {
        if !self.is_state(state) {
            self.state.store(state as u8, Ordering::Relaxed);
            self.tell(state);
        }
    }

    pub(super) fn is_state(&self, state: ConnState) -> bool {
        self.state.load(Ordering::Relaxed) == state as u8
    }

    #[inline]
    pub(super) fn tell(&self, state: ConnState) {
        if let Some(told) = &self.config().on_state {
            self.tell_to(told, state);
        }
    }

    #[cold]
    fn tell_to(&self, told: &StateFn, state: ConnState) {
        // It is also told while a connection is dropped, where a panic must not go on.
        if catch_unwind(AssertUnwindSafe(|| told(&self.info, state))).is_err() {
            self.config().log(format_args!("http: on_state has panicked"));
        }
    }

    /// Leaves the waker of the connection's goroutine for [`wake`](Self::wake). Before it looks at the server's state.
    #[inline]
    pub(super) fn register(&self, waker: &Waker) {
        // If it is taken at this moment, the goroutine is woken and comes back here.
        if !self.registered.load(Ordering::Acquire) {
            self.register_anew(waker);
        }
    }

    fn register_anew(&self, waker: &Waker) {
        // Cloned and dropped without the lock.
        let fresh = waker.clone();
        let mut place = lock(&self.waker);
        let old = place.replace(fresh);
        self.registered.store(true, Ordering::Release);
        drop(place);
        drop(old);
    }

    /// Lets the connection's goroutine look at the server's state.
    pub(super) fn wake(&self) {
        let mut place = lock(&self.waker);
        let waker = place.take();
        self.registered.store(false, Ordering::Release);
        drop(place);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
