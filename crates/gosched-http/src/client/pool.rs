//! Connections that are kept, and who waits for one. All under one lock, under which nothing is dialled, closed or waited
//! for.
//!
//! Who asks gets the idle connection that was used last; else queues, and a connection is dialled on its behalf if the
//! limit has room. The first in the queue gets what comes first: a connection that has become idle, or one that was
//! dialled for whomever.

use super::error::Error;
use crate::body::Body;
use gosched::chan::{self, Receiver, Sender};
use gosched::context::Context;
use gosched::go_async;
use gosched::net::TcpStream;
use gosched::time::{after_func, timeout_async};
use hyper::client::conn::http1::{self, SendRequest};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) max_idle: usize,
    pub(super) max_idle_per_host: usize,
    pub(super) max_per_host: usize,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
}

/// See the module.
pub(super) struct Pool {
    pub(super) limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By host and port.
    hosts: HashMap<Arc<str>, Host>,
    idle: usize,
    /// The last number that was given out.
    last: u64,
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
    conn: SendRequest<Body>,
    id: u64,
}

struct Waiter {
    id: u64,
    /// Has room for what it is sent, which is one thing.
    tx: Sender<Given>,
    ctx: Context,
    /// A connection is dialled on its behalf.
    dials: bool,
}

/// What a waiter is sent: a connection, and whether it was used before.
type Given = Result<(SendRequest<Body>, bool), Error>;

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, idle or new; and whether it was used before.
    pub(super) fn get(self: &Arc<Self>, ctx: &Context, host: &Arc<str>) -> Result<Lease, Error> {
        let mut closed = Vec::new();
        let mut state = self.lock();
        let found = state.take_idle(host, &mut closed);
        if let Some(conn) = found {
            drop(state);
            return Ok(self.lease(host, conn, true));
        }
        state.last += 1;
        let id = state.last;
        let (tx, rx) = chan::bounded(1);
        let entry = state.hosts.entry(host.clone()).or_default();
        entry.waiters.push_back(Waiter { id, tx, ctx: ctx.clone(), dials: false });
        let dials = entry.dials(self.limits.max_per_host);
        drop(state);
        drop(closed);
        self.dial_all(host, dials);
        let waiting = Waiting { pool: self, host, id, rx };
        match ctx.wait(waiting.rx.recv_async()) {
            Ok(Ok(Ok((conn, reused)))) => Ok(self.lease(host, conn, reused)),
            Ok(Ok(Err(error))) => Err(error),
            // The other side of the channel is dropped with the waiter only, which we are.
            Ok(Err(_)) => Err(Error::closed()),
            Err(error) => Err(error.into()),
        }
    }

    fn lease(self: &Arc<Self>, host: &Arc<str>, conn: SendRequest<Body>, reused: bool) -> Lease {
        Lease { pool: self.clone(), host: host.clone(), conn: Some(conn), reused }
    }

    fn dial_all(self: &Arc<Self>, host: &Arc<str>, dials: Vec<(u64, Context)>) {
        for (id, ctx) in dials {
            let (pool, host) = (self.clone(), host.clone());
            go_async(async move {
                let coming = Coming { pool: &pool, host: &host, done: false };
                match pool.dial(&ctx, &host).await {
                    Ok(conn) => {
                        pool.dialled(&host, id);
                        coming.arrived(conn, false);
                    }
                    Err(error) => {
                        drop(coming);
                        pool.fail(&host, id, error);
                    }
                }
            });
        }
    }

    async fn dial(&self, ctx: &Context, host: &str) -> Result<SendRequest<Body>, Error> {
        let connect = ctx.wait_async(TcpStream::connect_async(host));
        let stream = match self.limits.connect_timeout {
            Some(limit) => timeout_async(limit, connect).await.map_err(|_| Error::timeout("connecting"))?,
            None => connect.await,
        };
        let stream = stream?.map_err(Error::connect)?;
        let _ = stream.set_nodelay(true);
        let _ = stream.set_keepalive(Some(Duration::from_secs(15)));
        let (conn, driver) = http1::handshake(stream).await.map_err(Error::exchange)?;
        go_async(driver);
        Ok(conn)
    }

    /// Tells the waiter on whose behalf something has failed, if it still waits.
    fn fail(&self, host: &Arc<str>, id: u64, error: Error) {
        let mut state = self.lock();
        let Some(host) = state.hosts.get_mut(host) else { return };
        let Some(at) = host.waiters.iter().position(|waiter| waiter.id == id) else { return };
        let waiter = host.waiters.remove(at);
        drop(state);
        if let Some(waiter) = waiter {
            let _ = waiter.tx.try_send(Err(error));
        }
    }

    /// What was dialled on behalf of this waiter is there, and may go to another: then one may be dialled for it again.
    fn dialled(&self, host: &Arc<str>, id: u64) {
        let mut state = self.lock();
        let waiters = state.hosts.get_mut(host).map(|entry| &mut entry.waiters);
        if let Some(waiter) = waiters.and_then(|all| all.iter_mut().find(|waiter| waiter.id == id)) {
            waiter.dials = false;
        }
    }

    /// There is one connection less.
    fn gone(self: &Arc<Self>, host: &Arc<str>, coming: bool) {
        let mut state = self.lock();
        let Some(entry) = state.hosts.get_mut(host) else { return };
        entry.conns -= 1;
        entry.coming -= usize::from(coming);
        let dials = entry.dials(self.limits.max_per_host);
        state.forget_empty(host);
        drop(state);
        self.dial_all(host, dials);
    }

    /// A connection that was dialled, or has returned, goes to the first who waits, or becomes idle.
    fn offer(self: &Arc<Self>, host: &Arc<str>, conn: SendRequest<Body>, reused: bool) {
        if conn.is_closed() {
            return self.gone(host, true);
        }
        let mut state = self.lock();
        state.last += 1;
        let id = state.last;
        let Some(entry) = state.hosts.get_mut(host) else { return };
        entry.coming -= 1;
        // Those whose contexts have ended are passed over; they take themselves out of the queue.
        let first = entry.waiters.iter().position(|waiter| waiter.ctx.err().is_none());
        if let Some(waiter) = first.and_then(|at| entry.waiters.remove(at)) {
            // Sent under the lock, so that a waiter which finds itself gone from the queue finds this.
            let _ = waiter.tx.try_send(Ok((conn, reused)));
            let dials = entry.dials(self.limits.max_per_host);
            drop(state);
            self.dial_all(host, dials);
            return;
        }
        let mut closed = Vec::new();
        if entry.idle.len() < self.limits.max_idle_per_host {
            entry.idle.push(Idle { conn, id });
            state.idle += 1;
            if self.limits.max_idle > 0 && state.idle > self.limits.max_idle {
                closed.extend(state.evict());
            }
        } else {
            entry.conns -= 1;
            closed.push(conn);
        }
        state.forget_empty(host);
        drop(state);
        drop(closed);
        if let Some(limit) = self.limits.idle_timeout {
            let (pool, host) = (Arc::downgrade(self), host.clone());
            after_func(limit, move || {
                if let Some(pool) = pool.upgrade() {
                    pool.expire(&host, id);
                }
            });
        }
    }

    /// Closes a connection if it has been idle since it was given this number.
    fn expire(&self, host: &Arc<str>, id: u64) {
        let mut state = self.lock();
        let closed = state.remove_idle(host, id);
        state.forget_empty(host);
        drop(state);
        drop(closed);
    }

    /// Closes all idle connections.
    pub(super) fn close_idle(&self) {
        let mut state = self.lock();
        let mut closed = Vec::new();
        for host in state.hosts.values_mut() {
            host.conns -= host.idle.len();
            closed.append(&mut host.idle);
        }
        state.idle = 0;
        state.hosts.retain(|_, host| host.conns > 0 || !host.waiters.is_empty());
        drop(state);
        drop(closed);
    }

    /// How many there are, and how many of them are idle.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.hosts.values().map(|host| host.conns).sum(), state.idle)
    }
}

impl State {
    fn take_idle(
        &mut self,
        host: &Arc<str>,
        closed: &mut Vec<SendRequest<Body>>,
    ) -> Option<SendRequest<Body>> {
        let entry = self.hosts.get_mut(host)?;
        while let Some(Idle { conn, .. }) = entry.idle.pop() {
            self.idle -= 1;
            if conn.is_ready() {
                return Some(conn);
            }
            entry.conns -= 1;
            closed.push(conn);
        }
        None
    }

    fn remove_idle(&mut self, host: &Arc<str>, id: u64) -> Option<SendRequest<Body>> {
        let entry = self.hosts.get_mut(host)?;
        let at = entry.idle.iter().position(|idle| idle.id == id)?;
        entry.conns -= 1;
        self.idle -= 1;
        Some(entry.idle.remove(at).conn)
    }

    /// The one that has been idle for longest.
    fn evict(&mut self) -> Option<SendRequest<Body>> {
        let oldest = |host: &Host| host.idle.first().map(|idle| idle.id);
        let (host, id) = self
            .hosts
            .iter()
            .filter_map(|(host, entry)| Some((host.clone(), oldest(entry)?)))
            .min_by_key(|(_, id)| *id)?;
        let conn = self.remove_idle(&host, id);
        self.forget_empty(&host);
        conn
    }

    fn forget_empty(&mut self, host: &Arc<str>) {
        if self.hosts.get(host).is_some_and(|entry| entry.conns == 0 && entry.waiters.is_empty()) {
            self.hosts.remove(host);
        }
    }
}

impl Host {
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

/// Somebody in the queue; leaves it when it is dropped, and passes on what it was sent meanwhile.
struct Waiting<'a> {
    pool: &'a Arc<Pool>,
    host: &'a Arc<str>,
    id: u64,
    rx: Receiver<Given>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let mut gone = None;
        if let Some(entry) = state.hosts.get_mut(self.host) {
            let at = entry.waiters.iter().position(|waiter| waiter.id == self.id);
            gone = at.and_then(|at| entry.waiters.remove(at));
            state.forget_empty(self.host);
        }
        drop(state);
        drop(gone);
        if let Ok(Ok((conn, reused))) = self.rx.try_recv() {
            self.pool.lease(self.host, conn, reused).give_back();
        }
    }
}

/// A connection that is counted as coming.
struct Coming<'a> {
    pool: &'a Arc<Pool>,
    host: &'a Arc<str>,
    done: bool,
}

impl Coming<'_> {
    fn arrived(mut self, conn: SendRequest<Body>, reused: bool) {
        self.done = true;
        self.pool.offer(self.host, conn, reused);
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.pool.gone(self.host, true);
        }
    }
}

/// A connection in use; dropped, it is closed.
pub(super) struct Lease {
    pool: Arc<Pool>,
    host: Arc<str>,
    conn: Option<SendRequest<Body>>,
    pub(super) reused: bool,
}

impl Lease {
    pub(super) fn conn(&mut self) -> Option<&mut SendRequest<Body>> {
        self.conn.as_mut()
    }

    /// The response was read, or given up: hyper knows whether the connection is good for more, in a moment.
    pub(super) fn give_back(mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        let (pool, host) = (self.pool.clone(), self.host.clone());
        if let Some(entry) = pool.lock().hosts.get_mut(&host) {
            entry.coming += 1;
        }
        if conn.is_ready() {
            return pool.offer(&host, conn, true);
        }
        go_async(async move {
            let coming = Coming { pool: &pool, host: &host, done: false };
            if conn.ready().await.is_ok() {
                coming.arrived(conn, true);
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(conn);
            self.pool.gone(&self.host, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gosched::context::background;
    use gosched::net::UnixStream;

    /// What is dialled for the second one comes first, and goes to the first one, whose own dial is then given up.
    #[test]
    fn h05_who_was_passed_over_is_dialled_for_again() {
        gosched::run(|| {
            let limits = Limits {
                max_idle: 0,
                max_idle_per_host: 2,
                max_per_host: 0,
                idle_timeout: None,
                connect_timeout: None,
            };
            let pool = Arc::new(Pool::new(limits));
            // Nobody listens there.
            let host: Arc<str> = "127.0.0.1:1".into();
            let mut entry = Host { conns: 2, coming: 2, ..Host::default() };
            let [first, second] = [1, 2].map(|id| {
                let (tx, rx) = chan::bounded(1);
                entry.waiters.push_back(Waiter { id, tx, ctx: background(), dials: true });
                rx
            });
            pool.lock().hosts.insert(host.clone(), entry);

            let (near, _far) = UnixStream::pair().unwrap();
            let (conn, driver) = gosched::wait(http1::handshake(near)).unwrap();
            go_async(driver);
            pool.dialled(&host, 2);
            pool.offer(&host, conn, false);
            assert!(first.try_recv().unwrap().is_ok());
            assert!(second.try_recv().is_err());
            pool.gone(&host, true);
            let answer = second.recv_timeout(Duration::from_secs(60)).expect("nobody dials for it");
            assert!(answer.unwrap_err().is_connect());
        });
    }
}
