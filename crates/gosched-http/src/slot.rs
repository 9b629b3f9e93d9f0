//! What a request has of its connection: where it comes from, and its context.

use crate::lock;
use gosched::context::{CancelContext, Context};
use gosched::go_async;
use gosched::net::TcpStream;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A connection, as a server's callbacks and requests see it.
///
/// ```
/// use gosched_http::{ConnInfo, Request, Server};
///
/// struct Tenant(u16);
///
/// let server = Server::builder()
///     .conn_context(|ctx, info: &ConnInfo| ctx.with_value(Tenant(info.peer_addr().port())))
///     .handler(|request: Request| request.context().value::<Tenant>().unwrap().0.to_string());
/// ```
///
/// In Go: the `net.Conn` that `ConnState` and `ConnContext` are given.
pub struct ConnInfo {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) secure: bool,
    /// What requests' contexts are children of.
    pub(crate) context: Context,
    /// Another handle on the connection: to close it, and to look whether the client is there.
    pub(crate) stream: TcpStream,
}

impl ConnInfo {
    /// Where the client is.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Where the client has found us.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether it is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Debug for ConnInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, local, secure, .. } = self;
        f.debug_struct("ConnInfo")
            .field("peer", peer)
            .field("local", local)
            .field("secure", secure)
            .finish_non_exhaustive()
    }
}

/// Why a request's context has ended, if the client has gone away or has reset the stream: its
/// [cause](Context::cause).
///
/// ```
/// use gosched_http::{ClientGone, Request};
///
/// fn handler(request: Request) {
///     let ctx = request.context();
///     let _ = ctx.done().recv();
///     if ctx.cause().is_some_and(|cause| cause.is::<ClientGone>()) {
///         println!("nobody waits for the answer");
///     }
/// }
/// # let _ = handler;
/// ```
///
/// In Go: nothing; the context's error is `context.Canceled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientGone;

impl fmt::Display for ClientGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has gone away")
    }
}

impl Error for ClientGone {}

/// Shared by a request and by what runs its handler. The context is made when somebody asks for it: most handlers do not.
pub(crate) struct Slot {
    pub(crate) info: Option<Arc<ConnInfo>>,
    state: Mutex<State>,
}

struct State {
    /// The handler keeps the connection from being polled, so that nobody would see the client go.
    unwatched: bool,
    over: Over,
    context: Option<CancelContext>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    No,
    Returned,
    Gone,
}

impl Slot {
    pub(crate) fn new(info: Option<Arc<ConnInfo>>, unwatched: bool) -> Self {
        Self { info, state: Mutex::new(State { unwatched, over: Over::No, context: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// For the next request, by whoever has the only reference.
    pub(crate) fn reset(&mut self, unwatched: bool) {
        *self.state.get_mut().unwrap_or_else(PoisonError::into_inner) =
            State { unwatched, over: Over::No, context: None };
    }

    /// The request's context.
    pub(crate) fn context(self: &Arc<Self>) -> Context {
        let base = match &self.info {
            Some(info) => info.context.clone(),
            None => return gosched::context::background(),
        };
        if let Some(made) = &self.lock().context {
            return (**made).clone();
        }
        // Not under the lock: it walks to its parents.
        let fresh = base.with_cancel();
        let mut state = self.lock();
        if let Some(made) = &state.context {
            let context = (**made).clone();
            drop(state);
            return context;
        }
        let context = (*fresh).clone();
        match state.over {
            Over::No => {
                state.context = Some(fresh);
                let watch = state.unwatched;
                drop(state);
                if watch {
                    self.watch(context.clone());
                }
            }
            over => {
                drop(state);
                end(&fresh, over);
            }
        }
        context
    }

    /// Looks whether the client goes away while the handler runs, as Go's server does: by waiting for what comes next
    /// from it. Bytes are the next request, and end the look.
    fn watch(self: &Arc<Self>, context: Context) {
        let slot = self.clone();
        go_async(async move {
            let Some(info) = &slot.info else { return };
            let mut byte = [0];
            if let Ok(Ok(0) | Err(_)) = context.wait_async(info.stream.peek_async(&mut byte)).await {
                slot.gone();
            }
        });
    }

    /// The handler has returned.
    pub(crate) fn returned(&self) {
        self.over(Over::Returned);
    }

    /// The client has gone.
    pub(crate) fn gone(&self) {
        self.over(Over::Gone);
    }

    fn over(&self, over: Over) {
        let mut state = self.lock();
        if state.over != Over::No {
            return;
        }
        state.over = over;
        let context = state.context.take();
        drop(state);
        if let Some(context) = context {
            end(&context, over);
        }
    }
}

fn end(context: &CancelContext, over: Over) {
    match over {
        Over::Gone => context.cancel_cause(ClientGone),
        _ => context.cancel(),
    }
}
