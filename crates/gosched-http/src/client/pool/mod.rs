//! Connections that are kept, and who waits for one. All under one lock, under which nothing is dialled, closed or waited
//! for.
//!
//! Who asks gets the idle connection that was used last; else queues, and a connection is dialled on its behalf if the
//! limit has room. The first in the queue gets what comes first: a connection that has become idle, or one that was
//! dialled for whomever.

mod lease;

pub(super) use lease::Lease;

use super::dial::{Dialer, Target};
use super::error::Error;
use crate::lock;
use gosched::chan::{self, Sender};
use gosched::context::Context;
use gosched::goroutine;
use gosched::time::{FuncTimer, after_func, now};
use lease::{Conn, Dial, Waiting};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) max_idle: usize,
    pub(super) max_idle_per_host: usize,
    pub(super) max_per_host: usize,
    pub(super) idle_timeout: Option<Duration>,
}

/// See the module.
pub(super) struct Pool {
    pub(super) limits: Limits,
    dialer: Dialer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: HashMap<Arc<Target>, Host>,
    idle: usize,
    /// The last number that was given out.
    last: u64,
    /// Closes what has been idle for too long; and when it looks next. One for all, and it is not put off: a connection
    /// that serves many requests is idle many times.
    sweeper: Option<FuncTimer>,
    sweeps_at: Option<Instant>,
}

#[derive(Default)]
struct Host {
    /// In the order in which they became idle.
    idle: Vec<Idle>,
    /// All that there are: idle, in use, returning, being dialled.
    conns: usize,
    /// How many will be offered to those who wait: being dialled, or about to return.
    coming: usize,
    waiters: VecDeque<Waiter>,
}

struct Idle {
    conn: Conn,
    id: u64,
    since: Instant,
}

struct Waiter {
    id: u64,
    /// Has room for what it is sent, which is one thing.
    tx: Sender<Given>,
    ctx: Context,
    /// A connection is dialled on its behalf.
    dials: bool,
}

/// What a waiter is sent.
enum Given {
    /// A connection, and whether it was used before.
    Conn(Conn, bool),
    Failed(Error),
    /// Who was to dial for it is no more; it has to see to that itself.
    AskAgain,
}

impl Pool {
    pub(super) fn new(limits: Limits, dialer: Dialer) -> Self {
        Self { limits, dialer, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A connection, idle or new; and whether it was used before.
    #[track_caller]
    pub(super) fn get(self: &Arc<Self>, ctx: &Context, to: &Arc<Target>) -> Result<Lease, Error> {
        loop {
            let mut closed = Vec::new();
            let mut state = self.lock();
            if let Some(conn) = state.take_idle(to, &mut closed) {
                drop(state);
                return Ok(Lease::new(self, to, conn, true));
            }
            state.last += 1;
            let id = state.last;
            let (tx, rx) = chan::bounded(1);
            let entry = state.hosts.entry(to.clone()).or_default();
            entry.waiters.push_back(Waiter { id, tx, ctx: ctx.clone(), dials: false });
            let dials = entry.dials(self.limits.max_per_host);
            drop(state);
            drop(closed);
            let waiting = Waiting { pool: self, to, id, rx };
            self.dial_all(to, dials)
                .map_err(|error| Error::connect("no goroutine can be started").because(error))?;
            return match ctx.wait(waiting.rx.recv_async())? {
                Ok(Given::Conn(conn, reused)) => Ok(Lease::new(self, to, conn, reused)),
                Ok(Given::Failed(error)) => Err(error),
                Ok(Given::AskAgain) => continue,
                // The other side of the channel is dropped with the waiter only, which we are.
                Err(_) => Err(Error::closed()),
            };
        }
    }

    /// Fails if the runtime takes no more goroutines; those who wait have been told then, when `dial` was dropped.
    fn dial_all(self: &Arc<Self>, to: &Arc<Target>, dials: Vec<(u64, Context)>) -> io::Result<()> {
        let mut started = Ok(());
        for (id, ctx) in dials {
            let dial = Dial::new(self, to, id);
            let dialling = goroutine::Builder::new().spawn_async(async move {
                let dialled = dial.pool.dialer.dial(&ctx, &dial.to).await;
                dial.end(dialled);
            });
            started = started.and(dialling.map(drop));
        }
        started
    }

    /// Tells the waiter on whose behalf something has failed, if it still waits.
    fn fail(&self, to: &Arc<Target>, id: u64, error: Error) {
        let mut state = self.lock();
        let Some(entry) = state.hosts.get_mut(to) else { return };
        let Some(at) = entry.waiters.iter().position(|waiter| waiter.id == id) else { return };
        let waiter = entry.waiters.remove(at);
        drop(state);
        if let Some(waiter) = waiter {
            let _ = waiter.tx.try_send(Given::Failed(error));
        }
    }

    /// A dial has come to no end, because its runtime has: perhaps that of others who wait has not.
    fn forsake(&self, to: &Arc<Target>) {
        let mut state = self.lock();
        let Some(entry) = state.hosts.get_mut(to) else { return };
        entry.conns -= 1;
        entry.coming -= 1;
        let waiters = std::mem::take(&mut entry.waiters);
        state.forget_empty(to);
        drop(state);
        for waiter in waiters {
            let _ = waiter.tx.try_send(Given::AskAgain);
        }
    }

    /// The other side has closed some connection, perhaps one that nobody uses.
    fn reap(&self, to: &Arc<Target>) {
        let mut closed = Vec::new();
        let mut state = self.lock();
        let Some(entry) = state.hosts.get_mut(to) else { return };
        closed.extend(entry.idle.extract_if(.., |idle| idle.conn.sender.is_closed()));
        entry.conns -= closed.len();
        state.idle -= closed.len();
        state.forget_empty(to);
        drop(state);
        drop(closed);
    }

    /// What was dialled on behalf of this waiter is there, and may go to another: then one may be dialled for it again.
    fn dialled(&self, to: &Arc<Target>, id: u64) {
        let mut state = self.lock();
        let waiters = state.hosts.get_mut(to).map(|entry| &mut entry.waiters);
        if let Some(waiter) = waiters.and_then(|all| all.iter_mut().find(|waiter| waiter.id == id)) {
            waiter.dials = false;
        }
    }

    /// There is one connection less.
    fn gone(self: &Arc<Self>, to: &Arc<Target>, coming: bool) {
        let mut state = self.lock();
        let Some(entry) = state.hosts.get_mut(to) else { return };
        entry.conns -= 1;
        entry.coming -= usize::from(coming);
        let dials = entry.dials(self.limits.max_per_host);
        state.forget_empty(to);
        drop(state);
        let _ = self.dial_all(to, dials);
    }

    /// A connection that was dialled, or has returned, goes to the first who waits, or becomes idle.
    fn offer(self: &Arc<Self>, to: &Arc<Target>, conn: Conn, reused: bool) {
        // A new one that has closed is for whom it was dialled to find out: another might be no better.
        if reused && conn.sender.is_closed() {
            return self.gone(to, true);
        }
        let mut state = self.lock();
        state.last += 1;
        let id = state.last;
        let Some(entry) = state.hosts.get_mut(to) else { return };
        entry.coming -= 1;
        // Those whose contexts have ended are passed over; they take themselves out of the queue.
        let first = entry.waiters.iter().position(|waiter| waiter.ctx.err().is_none());
        if let Some(waiter) = first.and_then(|at| entry.waiters.remove(at)) {
            // Sent under the lock, so that a waiter which finds itself gone from the queue finds this.
            let _ = waiter.tx.try_send(Given::Conn(conn, reused));
            let dials = entry.dials(self.limits.max_per_host);
            drop(state);
            let _ = self.dial_all(to, dials);
            return;
        }
        let mut closed = Vec::new();
        let since = now();
        // If it closes after this, `reap` finds it.
        if entry.idle.len() < self.limits.max_idle_per_host && !conn.sender.is_closed() {
            entry.idle.push(Idle { conn, id, since });
            state.idle += 1;
            if self.limits.max_idle > 0 && state.idle > self.limits.max_idle {
                closed.extend(state.evict());
            }
        } else {
            entry.conns -= 1;
            closed.push(conn);
        }
        state.forget_empty(to);
        // A sweep that is due and has not come may have gone with its runtime.
        let sweeps = state.idle > 0 && state.sweeps_at.is_none_or(|at| at <= since);
        let at = self.limits.idle_timeout.filter(|_| sweeps).and_then(|limit| since.checked_add(limit));
        if at.is_some() {
            state.sweeps_at = at;
        }
        drop(state);
        drop(closed);
        if let Some(at) = at {
            self.sweep_at(at);
        }
    }

    fn sweep_at(self: &Arc<Self>, at: Instant) {
        let pool = Arc::downgrade(self);
        let timer = after_func(at.saturating_duration_since(now()), move || {
            if let Some(pool) = pool.upgrade() {
                pool.sweep();
            }
        });
        let last = self.lock().sweeper.replace(timer);
        drop(last);
    }

    /// Closes what has been idle for too long.
    fn sweep(self: &Arc<Self>) {
        let Some(limit) = self.limits.idle_timeout else { return };
        let mut closed = Vec::new();
        let mut state = self.lock();
        let late = now();
        let is_over = |idle: &Idle| idle.since.checked_add(limit).is_some_and(|until| until <= late);
        for entry in state.hosts.values_mut() {
            let over = entry.idle.iter().take_while(|idle| is_over(idle)).count();
            closed.extend(entry.idle.drain(..over).map(|idle| idle.conn));
            entry.conns -= over;
        }
        state.idle -= closed.len();
        state.forget_all_empty();
        let oldest = state.hosts.values().filter_map(|entry| Some(entry.idle.first()?.since)).min();
        state.sweeps_at = oldest.and_then(|since| since.checked_add(limit));
        let next = state.sweeps_at;
        drop(state);
        drop(closed);
        if let Some(next) = next {
            self.sweep_at(next);
        }
    }

    /// Closes all idle connections.
    pub(super) fn close_idle(&self) {
        let mut state = self.lock();
        let mut closed = Vec::new();
        for entry in state.hosts.values_mut() {
            entry.conns -= entry.idle.len();
            closed.append(&mut entry.idle);
        }
        state.idle = 0;
        state.forget_all_empty();
        state.sweeps_at = None;
        let sweeper = state.sweeper.take();
        drop(state);
        drop(closed);
        if let Some(sweeper) = sweeper {
            sweeper.stop();
        }
    }

    /// How many there are, and how many of them are idle.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.hosts.values().map(|host| host.conns).sum(), state.idle)
    }
}

impl State {
    fn take_idle(&mut self, to: &Arc<Target>, closed: &mut Vec<Conn>) -> Option<Conn> {
        let entry = self.hosts.get_mut(to)?;
        while let Some(Idle { conn, .. }) = entry.idle.pop() {
            self.idle -= 1;
            if conn.sender.is_ready() {
                return Some(conn);
            }
            entry.conns -= 1;
            closed.push(conn);
        }
        None
    }

    fn remove_idle(&mut self, to: &Arc<Target>, id: u64) -> Option<Conn> {
        let entry = self.hosts.get_mut(to)?;
        let at = entry.idle.iter().position(|idle| idle.id == id)?;
        entry.conns -= 1;
        self.idle -= 1;
        Some(entry.idle.remove(at).conn)
    }

    /// The one that has been idle for longest.
    fn evict(&mut self) -> Option<Conn> {
        let oldest = |entry: &Host| entry.idle.first().map(|idle| idle.id);
        let (to, id) = self
            .hosts
            .iter()
            .filter_map(|(to, entry)| Some((to.clone(), oldest(entry)?)))
            .min_by_key(|(_, id)| *id)?;
        let conn = self.remove_idle(&to, id);
        self.forget_empty(&to);
        conn
    }

    fn forget_empty(&mut self, to: &Arc<Target>) {
        if self.hosts.get(to).is_some_and(Host::is_empty) {
            self.hosts.remove(to);
        }
    }

    fn forget_all_empty(&mut self) {
        self.hosts.retain(|_, entry| !entry.is_empty());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(sweeper) = state.sweeper.take() {
            sweeper.stop();
        }
    }
}

impl Host {
    fn is_empty(&self) -> bool {
        self.conns == 0 && self.waiters.is_empty()
    }

    /// On whose behalf connections are to be dialled; they are counted already.
    fn dials(&mut self, max: usize) -> Vec<(u64, Context)> {
        let mut dials = Vec::new();
        while self.waiters.len() > self.coming && (max == 0 || self.conns < max) {
            let Some(waiter) = self.waiters.iter_mut().find(|waiter| !waiter.dials) else { break };
            waiter.dials = true;
            self.conns += 1;
            self.coming += 1;
            dials.push((waiter.id, waiter.ctx.clone()));
        }
        dials
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::proxy::Proxy;
    use gosched::context::background;
    use gosched::net::UnixStream;
    use hyper::client::conn::http1;

    /// What is dialled for the second one comes first, and goes to the first one, whose own dial is then given up.
    #[test]
    fn h05_who_was_passed_over_is_dialled_for_again() {
        gosched::run(|| {
            let limits = Limits { max_idle: 0, max_idle_per_host: 2, max_per_host: 0, idle_timeout: None };
            let pool = Arc::new(Pool::new(limits, Dialer::default()));
            // Nobody listens there.
            let to = Target::of(&"http://127.0.0.1:1/".parse().unwrap(), &Proxy::none()).unwrap();
            let to = Arc::new(to);
            let mut entry = Host { conns: 2, coming: 2, ..Host::default() };
            let [first, second] = [1, 2].map(|id| {
                let (tx, rx) = chan::bounded(1);
                entry.waiters.push_back(Waiter { id, tx, ctx: background(), dials: true });
                rx
            });
            pool.lock().hosts.insert(to.clone(), entry);

            let (near, _far) = UnixStream::pair().unwrap();
            let (conn, driver) = gosched::wait(http1::handshake(near)).unwrap();
            gosched::go_async(driver);
            pool.dialled(&to, 2);
            pool.offer(&to, Conn::new(conn).0, false);
            assert!(matches!(first.try_recv(), Ok(Given::Conn(..))));
            assert!(second.try_recv().is_err());
            pool.gone(&to, true);
            let answer = second.recv_timeout(Duration::from_secs(60)).expect("nobody dials for it");
            assert!(matches!(answer, Given::Failed(error) if error.is_connect()));
        });
    }

    /// Who dials has gone with its runtime: that of the others may be there still.
    #[test]
    fn h04_who_waited_for_a_dial_that_is_no_more_asks_again() {
        let limits = Limits { max_idle: 0, max_idle_per_host: 2, max_per_host: 1, idle_timeout: None };
        let pool = Arc::new(Pool::new(limits, Dialer::default()));
        let to = Target::of(&"http://127.0.0.1:1/".parse().unwrap(), &Proxy::none()).unwrap();
        let to = Arc::new(to);
        let mut entry = Host { conns: 1, coming: 1, ..Host::default() };
        let [first, second] = [1, 2].map(|id| {
            let (tx, rx) = chan::bounded(1);
            entry.waiters.push_back(Waiter { id, tx, ctx: background(), dials: id == 1 });
            rx
        });
        pool.lock().hosts.insert(to.clone(), entry);
        drop(Dial::new(&pool, &to, 1));
        for waiter in [first, second] {
            assert!(matches!(waiter.try_recv(), Ok(Given::AskAgain)));
        }
        assert_eq!(pool.counts(), (0, 0));
        assert!(pool.lock().hosts.is_empty());
    }
}
