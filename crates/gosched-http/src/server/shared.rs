//! What a server's parts share: settings, the list of connections and listeners, how far it is with ending.

use super::config::Config;
use super::conn::Conn;
use crate::handler::Handler;
use crate::lock;
use gosched::chan::{Receiver, Sender, bounded};
use gosched::net::TcpListener;
use gosched::sync::Semaphore;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) places: Option<Semaphore>,
    /// Written under the lock, read anywhere.
    ending: AtomicBool,
    /// Connections are closed whatever they do.
    closed: AtomicBool,
    lists: Mutex<Lists>,
    /// Closed when it is ending.
    pub(super) stopped: Receiver<Infallible>,
    /// Closed when it is ending, and nobody accepts any more, and there are no connections left.
    pub(super) drained: Receiver<Infallible>,
}

struct Lists {
    next: u64,
    conns: HashMap<u64, Arc<Conn>>,
    listeners: HashMap<u64, TcpListener>,
    /// How many goroutines accept.
    accepting: usize,
    hooks: Vec<Box<dyn FnOnce() + Send>>,
    stop: Option<Sender<Infallible>>,
    drain: Option<Sender<Infallible>>,
}

impl Shared {
    pub(super) fn new(config: Config, handler: Arc<dyn Handler>) -> Self {
        let (stop, stopped) = bounded(0);
        let (drain, drained) = bounded(0);
        Self {
            places: config.limit_connections.map(Semaphore::new),
            config,
            handler,
            ending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            lists: Mutex::new(Lists {
                next: 0,
                conns: HashMap::new(),
                listeners: HashMap::new(),
                accepting: 0,
                hooks: Vec::new(),
                stop: Some(stop),
                drain: Some(drain),
            }),
            stopped,
            drained,
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        lock(&self.lists)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(super) fn connections(&self) -> usize {
        self.lists().conns.len()
    }

    /// Lists a listener as long as what is returned lives, unless it is too late.
    pub(super) fn add_listener(&self, listener: &TcpListener) -> Option<Accepting<'_>> {
        let mut lists = self.lists();
        if self.is_ending() {
            return None;
        }
        lists.next += 1;
        let id = lists.next;
        lists.listeners.insert(id, listener.clone());
        lists.accepting += 1;
        Some(Accepting { shared: self, id })
    }

    fn remove_listener(&self, id: u64) {
        let mut lists = self.lists();
        lists.accepting -= 1;
        let gone = lists.listeners.remove(&id);
        let drain = lists.take_drain(self.is_ending());
        drop(lists);
        drop((gone, drain));
    }

    /// Lists a connection, also of a server that is ending, as long as somebody accepts: it was accepted before, so its
    /// client expects an answer.
    pub(super) fn add(&self, conn: &Arc<Conn>) -> Option<u64> {
        let mut lists = self.lists();
        lists.drain.as_ref().filter(|_| !self.closed.load(Ordering::Acquire))?;
        lists.next += 1;
        let id = lists.next;
        lists.conns.insert(id, conn.clone());
        Some(id)
    }

    pub(super) fn remove(&self, id: u64) {
        let mut lists = self.lists();
        let conn = lists.conns.remove(&id);
        let drain = lists.take_drain(self.is_ending());
        drop(lists);
        drop((conn, drain));
    }

    /// Adds what is run when it begins to end; at once if it has.
    pub(super) fn add_hook(&self, hook: Box<dyn FnOnce() + Send>) {
        let mut lists = self.lists();
        if self.is_ending() {
            drop(lists);
            gosched::go(hook);
        } else {
            lists.hooks.push(hook);
        }
    }

    /// Closes the listeners, and lets each connection know that it is ending.
    pub(super) fn end(&self) {
        let mut lists = self.lists();
        self.ending.store(true, Ordering::Release);
        let stop = lists.stop.take();
        let drain = lists.take_drain(true);
        let listeners = std::mem::take(&mut lists.listeners);
        let hooks = std::mem::take(&mut lists.hooks);
        drop(lists);
        for listener in listeners.into_values() {
            let _ = listener.close();
        }
        drop((stop, drain));
        for hook in hooks {
            gosched::go(hook);
        }
        self.conns().iter().for_each(|conn| conn.wake());
    }

    /// Ends at once: closes all connections, and those that are just being accepted.
    pub(super) fn close(&self) {
        // Before the list is read: who is not in it will see this.
        self.closed.store(true, Ordering::Release);
        self.end();
        for conn in self.conns() {
            let _ = conn.info.stream.close();
        }
    }

    /// The connections that there are now.
    fn conns(&self) -> Vec<Arc<Conn>> {
        self.lists().conns.values().cloned().collect()
    }
}

/// Somebody accepts.
pub(super) struct Accepting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.shared.remove_listener(self.id);
    }
}

impl Lists {
    /// What is to be dropped if there is nothing left to wait for.
    fn take_drain(&mut self, ending: bool) -> Option<Sender<Infallible>> {
        if ending && self.conns.is_empty() && self.accepting == 0 { self.drain.take() } else { None }
    }
}
