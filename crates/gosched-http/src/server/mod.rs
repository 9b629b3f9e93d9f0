//! The server: listening, and ending.

mod config;
mod conn;
mod copies;
mod drive;
mod io;
mod service;
mod shared;

pub use config::{Builder, ConnState};

use crate::handler::Handler;
use crate::slot::ConnInfo;
use config::Config;
use gosched::context::{Context, ContextError};
use gosched::net::{TcpListener, TcpStream, ToSocketAddrs};
use gosched::sync::SemaphoreGuard;
use shared::Shared;
use std::fmt;
use std::io as stdio;
use std::net::SocketAddr;
use std::sync::Arc;

/// An HTTP server, for HTTP/1 and HTTP/2.
///
/// Each connection is a goroutine, without a stack while it waits for requests. Handlers are plain functions that may
/// block; see [`Handler`]. Clones are the same server.
///
/// # Limits
///
/// By default a request's head must come within 10 seconds and have 64 KiB at most; an idle connection is closed after two
/// minutes, one where nothing moves after one. See [`Builder`] for these and others.
///
/// A client that waits to be told to send its body (`Expect: 100-continue`) is told so when the body is first read; over
/// HTTP/2 it is not, and sends it when its patience is at an end.
///
/// # Example
///
/// ```
/// use gosched::net::{TcpListener, TcpStream};
/// use gosched_http::{Request, Server};
/// use std::io::{Read, Write};
///
/// gosched::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     let server = Server::new(|request: Request| format!("hello, {}", request.path()));
///     let serving = gosched::go({
///         let server = server.clone();
///         move || server.serve(listener)
///     });
///
///     let mut client = TcpStream::connect(addr)?;
///     client.write_all(b"GET /world HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer)?;
///     assert!(answer.ends_with("hello, /world"));
///
///     server.shutdown(&gosched::context::background()).unwrap();
///     serving.join().unwrap()
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.Server`.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server with the default settings.
    pub fn new(handler: impl Handler) -> Self {
        Self::builder().handler(handler)
    }

    /// Settings for a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn of(config: Config, handler: Arc<dyn Handler>) -> Self {
        Self { shared: Arc::new(Shared::new(config, handler)) }
    }

    /// Accepts connections and serves them, until the server is [shut down](Server::shutdown) or
    /// [closed](Server::close); then it returns at once, while requests may still be answered. One that was ended does not
    /// serve again: it closes the listener and returns.
    ///
    /// Several listeners may be served at once. When descriptors run out, accepting rests and goes on.
    ///
    /// # Errors
    ///
    /// The listener fails for good. Connections that were accepted go on.
    ///
    /// # Cancellation
    ///
    /// By `shutdown` and `close`.
    ///
    /// In Go: `Serve`, which returns `ErrServerClosed` then.
    #[track_caller]
    pub fn serve(&self, listener: TcpListener) -> stdio::Result<()> {
        let Some(accepting) = self.shared.add_listener(&listener) else {
            let _ = listener.close();
            return Ok(());
        };
        let result = self.accept(&listener);
        drop(accepting);
        if self.shared.is_ending() { Ok(()) } else { result }
    }

    #[track_caller]
    fn accept(&self, listener: &TcpListener) -> stdio::Result<()> {
        let shared = &self.shared;
        let base = shared.config.base(listener.local_addr()?);
        loop {
            let Some(place) = self.place() else { return Ok(()) };
            match listener.accept() {
                Ok((stream, peer)) => self.start(stream, peer, &base, place),
                Err(_) if shared.is_ending() => return Ok(()),
                Err(error) if passes(&error) => shared.config.log(format_args!("http: accept: {error}")),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there may be one connection more; `None` when the server ends.
    #[track_caller]
    fn place(&self) -> Option<Option<SemaphoreGuard>> {
        let Some(places) = &self.shared.places else { return Some(None) };
        if let Some(place) = places.try_acquire_guard(1) {
            return Some(Some(place));
        }
        let mut ended = std::pin::pin!(self.shared.stopped.recv_async());
        let mut place = std::pin::pin!(places.acquire_guard_async(1));
        gosched::wait(std::future::poll_fn(|cx| {
            use std::future::Future;
            if ended.as_mut().poll(cx).is_ready() {
                return std::task::Poll::Ready(None);
            }
            place.as_mut().poll(cx).map(|place| Some(Some(place)))
        }))
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, base: &Context, place: Option<SemaphoreGuard>) {
        let _ = stream.set_nodelay(true);
        // It has gone already.
        let Ok(local) = stream.local_addr() else { return };
        #[cfg(feature = "tls")]
        let secure = self.shared.config.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let secure = false;
        let mut info = ConnInfo { peer, local, secure, context: base.clone(), stream: stream.clone() };
        if let Some(make) = &self.shared.config.conn_context {
            info.context = make(base.clone(), &info);
        }
        drive::start(&self.shared, stream, info, place);
    }

    /// How many connections there are, with idle ones.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Calls `f` on a goroutine of its own when the server begins to end; at once if it has begun.
    ///
    /// In Go: `RegisterOnShutdown`.
    pub fn on_shutdown(&self, f: impl FnOnce() + Send + 'static) {
        self.shared.add_hook(Box::new(f));
    }

    /// Ends the server without breaking anything off: closes the listeners and idle connections, and waits until all
    /// requests that have begun are answered. A connection that has sent nothing yet is given five seconds.
    ///
    /// May be called several times, and by several goroutines; all wait.
    ///
    /// # Errors
    ///
    /// The context's, if it ends first; what runs goes on then, see [`close`](Server::close).
    ///
    /// # Cancellation
    ///
    /// By the context. The server stays ended.
    ///
    /// In Go: `Shutdown`.
    #[track_caller]
    pub fn shutdown(&self, ctx: &Context) -> Result<(), ContextError> {
        self.shared.end();
        ctx.wait(self.shared.drained.recv_async()).map(|_| ())
    }

    /// Ends the server at once: closes the listeners and all connections, whatever they do. Handlers that run are not
    /// interrupted, but their contexts end.
    ///
    /// In Go: `Close`.
    pub fn close(&self) {
        self.shared.close();
    }
}

/// Whether accepting may go on after this error: one connection's, or one that passes.
fn passes(error: &stdio::Error) -> bool {
    use stdio::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, OutOfMemory, PermissionDenied};
    // Out of descriptors has no kind of its own.
    const OUT_OF_DESCRIPTORS: [i32; 2] = [23, 24];
    const NO_BUFFERS: [i32; 2] = [55, 105];
    let code = error.raw_os_error().unwrap_or_default();
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | OutOfMemory | PermissionDenied)
        || OUT_OF_DESCRIPTORS.contains(&code)
        || NO_BUFFERS.contains(&code)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.shared.config)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Listens at `addr` and serves what comes, as long as the process runs.
///
/// # Errors
///
/// The address cannot be listened at; the listener fails for good.
///
/// # Cancellation
///
/// Cannot be told to stop; a [`Server`] can.
///
/// ```no_run
/// gosched::run(|| gosched_http::listen_and_serve("127.0.0.1:8080", |_: gosched_http::Request| "hello"))?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.ListenAndServe`.
#[track_caller]
pub fn listen_and_serve(addr: impl ToSocketAddrs, handler: impl Handler) -> stdio::Result<()> {
    Server::new(handler).serve(TcpListener::bind(addr)?)
}
