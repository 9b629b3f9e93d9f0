//! What a request has of its connection: where it comes from, and its context.

use crate::lock;
use gosched::context::{CancelContext, Context};
use gosched::go_async;
use gosched::net::TcpStream;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

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
///
/// Over HTTP/1, where a connection has one request at a time, all of them have the same slot one after the other, and each
/// its own number there. A request that was kept longer than it was served finds that the number is not its own any more.
///
/// # The word
///
/// It is the number, whether nobody would see the client go, and the stage:
///
/// | stage | means | left by |
/// |---|---|---|
/// | OPEN | it is being served, and has no context | `context`, under the lock, to ASKED; `over` to RETURNED or GONE |
/// | ASKED | it is being served, and its context is there | `over`, under the lock, to RETURNED or GONE, with the context |
/// | RETURNED | the handler has returned, and the response was sent | `begin`, to OPEN with the next number |
/// | GONE | the client has gone away | `begin` |
///
/// The context comes and goes under the lock, with ASKED. A request changes the word only from what has its own number, so
/// one that is over changes nothing any more, and `begin` is the only one to write then.
pub(crate) struct Slot {
    pub(crate) info: Option<Arc<ConnInfo>>,
    word: AtomicU64,
    context: Mutex<Option<CancelContext>>,
}

const OPEN: u64 = 0;
const ASKED: u64 = 1;
const RETURNED: u64 = 2;
const GONE: u64 = 3;
const STAGE: u64 = 3;
/// The handler keeps the connection from being polled, so that nobody would see the client go.
const UNWATCHED: u64 = 4;
/// The number's lowest bit.
const ONE: u64 = 8;

/// Which request of a slot it is: the word as it was when that began.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl Slot {
    pub(crate) fn new(info: Option<Arc<ConnInfo>>) -> Self {
        Self { info, word: AtomicU64::new(RETURNED), context: Mutex::default() }
    }

    /// A request begins, and the one before is over, if nobody has said so. Always by the same goroutine.
    pub(crate) fn begin(&self, unwatched: bool) -> Ticket {
        let before = self.word.load(Ordering::Relaxed);
        if matches!(before & STAGE, OPEN | ASKED) {
            self.returned(Ticket(before & !STAGE));
        }
        let fresh = (before & !(ONE - 1)).wrapping_add(ONE) | if unwatched { UNWATCHED } else { 0 };
        // Nobody knows the number yet, so nobody looks for it.
        self.word.store(fresh, Ordering::Relaxed);
        Ticket(fresh)
    }

    /// The request's context.
    pub(crate) fn context(self: &Arc<Self>, ticket: Ticket) -> Context {
        let Some(info) = &self.info else { return gosched::context::background() };
        if let Some(made) = self.made(ticket, &lock(&self.context)) {
            return made;
        }
        // Not under the lock: it walks to its parents.
        let fresh = info.context.with_cancel();
        let context = (*fresh).clone();
        let mut place = lock(&self.context);
        if let Some(made) = self.made(ticket, &place) {
            drop(place);
            return made;
        }
        match self.pass(ticket.0, ticket.0 | ASKED) {
            Ok(()) => {
                *place = Some(fresh);
                drop(place);
                if ticket.0 & UNWATCHED != 0 {
                    self.watch(ticket, context.clone());
                }
            }
            Err(found) => {
                drop(place);
                end(&fresh, found == ticket.0 | GONE);
            }
        }
        context
    }

    /// The context that was made for this request, if it was and is not over. `place` is what is under the lock.
    fn made(&self, ticket: Ticket, place: &Option<CancelContext>) -> Option<Context> {
        let asked = self.word.load(Ordering::Relaxed) == ticket.0 | ASKED;
        place.as_ref().filter(|_| asked).map(|context| (**context).clone())
    }

    /// From one word to another; else what was found.
    fn pass(&self, from: u64, to: u64) -> Result<(), u64> {
        // Release and acquire: what was done for the request before it was over is seen by who finds it over.
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    /// Looks whether the client goes away while the handler runs, as Go's server does: by waiting for what comes next
    /// from it. Bytes are the next request, and end the look.
    fn watch(self: &Arc<Self>, ticket: Ticket, context: Context) {
        let slot = self.clone();
        go_async(async move {
            let Some(info) = &slot.info else { return };
            let mut byte = [0];
            if let Ok(Ok(0) | Err(_)) = context.wait_async(info.stream.peek_async(&mut byte)).await {
                slot.gone(ticket);
            }
        });
    }

    /// The handler has returned.
    pub(crate) fn returned(&self, ticket: Ticket) {
        self.over(ticket, RETURNED);
    }

    /// The client has gone.
    pub(crate) fn gone(&self, ticket: Ticket) {
        self.over(ticket, GONE);
    }

    fn over(&self, ticket: Ticket, stage: u64) {
        if self.pass(ticket.0, ticket.0 | stage) != Err(ticket.0 | ASKED) {
            return;
        }
        let mut place = lock(&self.context);
        let context = self.pass(ticket.0 | ASKED, ticket.0 | stage).ok().and_then(|()| place.take());
        drop(place);
        if let Some(context) = context {
            end(&context, stage == GONE);
        }
    }
}

fn end(context: &CancelContext, gone: bool) {
    if gone { context.cancel_cause(ClientGone) } else { context.cancel() }
}
