//! Who has to do with the pool's counts: whoever waits, dials, or uses a connection. Each settles its account when it is
//! dropped, at whatever moment that is.

use super::{Given, Pool};
use crate::client::dial::{Dialled, Target};
use crate::client::error::Error;
use crate::client::outgoing::Outgoing;
use gosched::chan::{self, Receiver, Sender};
use gosched::goroutine;
use gosched::time::timeout_async;
use hyper::client::conn::http1::SendRequest;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

/// How long a connection whose response was read may still be busy with the request's body before it is given up (Go's).
const WRITES_ON: Duration = Duration::from_millis(50);

/// Somebody in the queue; leaves it when it is dropped, and passes on what it was sent meanwhile.
pub(super) struct Waiting<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) to: &'a Arc<Target>,
    pub(super) id: u64,
    pub(super) rx: Receiver<Given>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let mut gone = None;
        if let Some(entry) = state.hosts.get_mut(self.to) {
            let at = entry.waiters.iter().position(|waiter| waiter.id == self.id);
            gone = at.and_then(|at| entry.waiters.remove(at));
            state.forget_empty(self.to);
        }
        drop(state);
        drop(gone);
        if let Ok(Given::Conn(conn, reused)) = self.rx.try_recv() {
            Lease::new(self.pool, self.to, conn, reused).give_back();
        }
    }
}

/// A connection that is dialled on somebody's behalf; it is counted as coming until this is dropped.
pub(super) struct Dial {
    pub(super) pool: Arc<Pool>,
    pub(super) to: Arc<Target>,
    id: u64,
    done: bool,
}

impl Dial {
    pub(super) fn new(pool: &Arc<Pool>, to: &Arc<Target>, id: u64) -> Self {
        Self { pool: pool.clone(), to: to.clone(), id, done: false }
    }

    pub(super) fn end(mut self, dialled: Result<Dialled, Error>) {
        self.done = true;
        match dialled {
            Ok((sender, driver)) => {
                let (conn, broken) = Conn::new(sender);
                let driven = Driven { pool: Arc::downgrade(&self.pool), to: self.to.clone() };
                // If it cannot be started the connection is closed by that, which is found out.
                let _ = goroutine::Builder::new().spawn_async(async move {
                    let _driven = driven;
                    drive(driver, broken).await;
                });
                self.pool.dialled(&self.to, self.id);
                self.pool.offer(&self.to, conn, false);
            }
            Err(error) => {
                self.pool.gone(&self.to, true);
                self.pool.fail(&self.to, self.id, error);
            }
        }
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        if !self.done {
            self.pool.forsake(&self.to);
        }
    }
}

/// Moves a connection's bytes until it ends or is broken off.
async fn drive(driver: impl Future, broken: Receiver<()>) {
    let (mut driver, mut broken) = (pin!(driver), pin!(broken.recv_async()));
    let mut listens = true;
    poll_fn(|cx| {
        if listens && let Poll::Ready(told) = broken.as_mut().poll(cx) {
            if told.is_ok() {
                return Poll::Ready(());
            }
            listens = false;
        }
        driver.as_mut().poll(cx).map(drop)
    })
    .await
}

/// Dropped after a connection's bytes are moved no more.
struct Driven {
    pool: Weak<Pool>,
    to: Arc<Target>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.reap(&self.to);
        }
    }
}

/// A connection. Dropped when it is idle it is closed as it should be; else hyper would go on with what it is at, for as
/// long as the request's body takes, if nobody broke it off.
pub(super) struct Conn {
    pub(super) sender: SendRequest<Outgoing>,
    broken: Sender<()>,
}

impl Conn {
    pub(super) fn new(sender: SendRequest<Outgoing>) -> (Self, Receiver<()>) {
        let (broken, told) = chan::bounded(1);
        (Self { sender, broken }, told)
    }

    fn break_off(self) {
        let _ = self.broken.try_send(());
    }
}

/// A connection that is about to return; it is counted as coming until this is dropped.
struct Returning {
    pool: Arc<Pool>,
    to: Arc<Target>,
    conn: Option<Conn>,
}

impl Returning {
    fn returned(mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.offer(&self.to, conn, true);
        }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            conn.break_off();
            self.pool.gone(&self.to, true);
        }
    }
}

/// A connection in use; dropped, it is broken off.
pub(in crate::client) struct Lease {
    pool: Arc<Pool>,
    to: Arc<Target>,
    conn: Option<Conn>,
    pub(in crate::client) reused: bool,
    again: bool,
}

impl Lease {
    pub(super) fn new(pool: &Arc<Pool>, to: &Arc<Target>, conn: Conn, reused: bool) -> Self {
        Self { pool: pool.clone(), to: to.clone(), conn: Some(conn), reused, again: true }
    }

    pub(in crate::client) fn conn(&mut self) -> Option<&mut SendRequest<Outgoing>> {
        self.conn.as_mut().map(|conn| &mut conn.sender)
    }

    /// It serves no other request: this one's body will never be sent.
    pub(in crate::client) fn not_again(&mut self) {
        self.again = false;
    }

    /// The response was read, or given up: hyper knows whether the connection is good for more, in a moment. Not so if the
    /// request's body is still being sent, by whoever writes it; nobody waits for that.
    pub(in crate::client) fn give_back(mut self) {
        if !self.again {
            return;
        }
        let Some(conn) = self.conn.take() else { return };
        let is_ready = conn.sender.is_ready();
        if let Some(entry) = self.pool.lock().hosts.get_mut(&self.to) {
            entry.coming += 1;
        }
        let mut returning = Returning { pool: self.pool.clone(), to: self.to.clone(), conn: Some(conn) };
        if is_ready {
            return returning.returned();
        }
        let _ = goroutine::Builder::new().spawn_async(async move {
            let Some(conn) = &mut returning.conn else { return };
            if let Ok(Ok(())) = timeout_async(WRITES_ON, conn.sender.ready()).await {
                returning.returned();
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            conn.break_off();
            self.pool.gone(&self.to, false);
        }
    }
}
