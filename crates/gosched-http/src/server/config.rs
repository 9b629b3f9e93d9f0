//! A server's settings.

use super::Server;
use crate::handler::Handler;
use crate::slot::ConnInfo;
use gosched::context::{Context, background};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) type StateFn = dyn Fn(&ConnInfo, ConnState) + Send + Sync;
type ContextFn = dyn Fn(Context, &ConnInfo) -> Context + Send + Sync;
type BaseFn = dyn Fn(SocketAddr) -> Context + Send + Sync;
type LogFn = dyn Fn(fmt::Arguments<'_>) + Send + Sync;

/// How a connection is, as [`Builder::on_state`] is told.
///
/// ```
/// use gosched_http::{ConnState, Request, Server};
///
/// let server = Server::builder()
///     .on_state(|info, state| {
///         if state == ConnState::New {
///             println!("{} has connected", info.peer_addr());
///         }
///     })
///     .handler(|_: Request| "hello");
/// ```
///
/// In Go: `http.ConnState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnState {
    /// It was accepted, and has sent no request yet.
    New,
    /// A request has come and is not answered yet.
    Active,
    /// All requests were answered; it is kept for the next one.
    Idle,
    /// It is gone, or nothing more is done with it.
    Closed,
}

/// Settings of a [`Server`]; from [`Server::builder`].
///
/// Times may be given as a `Duration` or as `None`, for no limit.
///
/// ```
/// use gosched_http::{Request, Server};
/// use std::time::Duration;
///
/// let server = Server::builder()
///     .read_header_timeout(Duration::from_secs(2))
///     .idle_timeout(None)
///     .limit_connections(10_000)
///     .handler(|_: Request| "hello");
/// ```
///
/// In Go: the fields of `http.Server`.
#[must_use = "settings do nothing without `handler`"]
pub struct Builder {
    pub(super) config: Config,
}

pub(super) struct Config {
    pub(super) read_header_timeout: Option<Duration>,
    pub(super) read_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) max_header_bytes: usize,
    pub(super) max_headers: Option<usize>,
    #[cfg(feature = "http2")]
    pub(super) max_streams: u32,
    pub(super) limit_connections: Option<usize>,
    pub(super) base_context: Option<Box<BaseFn>>,
    pub(super) conn_context: Option<Box<ContextFn>>,
    pub(super) on_state: Option<Box<StateFn>>,
    pub(super) log: Box<LogFn>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            config: Config {
                read_header_timeout: Some(Duration::from_secs(10)),
                read_timeout: None,
                write_timeout: None,
                idle_timeout: Some(Duration::from_secs(120)),
                stall_timeout: Some(Duration::from_secs(60)),
                max_header_bytes: 64 * 1024,
                max_headers: None,
                #[cfg(feature = "http2")]
                max_streams: 250,
                limit_connections: None,
                base_context: None,
                conn_context: None,
                on_state: None,
                log: Box::new(|line| eprintln!("{line}")),
                #[cfg(feature = "tls")]
                tls: None,
            },
        }
    }

    /// How long the head of a request may take, from its first byte; that of the first one from when the connection was
    /// accepted. 10 seconds by default; with `None` the [`read_timeout`](Self::read_timeout) counts. When it is over the
    /// connection is closed.
    ///
    /// In Go: `ReadHeaderTimeout`, where none is the default.
    pub fn read_header_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.config.read_header_timeout = limit.into();
        self
    }

    /// How long a whole request may take with its body, from its first byte. None by default. When it is over, reading the
    /// body fails with [`TimedOut`](std::io::ErrorKind::TimedOut).
    ///
    /// In Go: `ReadTimeout`.
    pub fn read_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.config.read_timeout = limit.into();
        self
    }

    /// How long it may take from a request's head to the end of the response; what is sent later fails. None by default.
    ///
    /// In Go: `WriteTimeout`.
    pub fn write_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.config.write_timeout = limit.into();
        self
    }

    /// How long a connection is kept between two requests. 120 seconds by default; with `None` the
    /// [`read_timeout`](Self::read_timeout) counts.
    ///
    /// In Go: `IdleTimeout`, where none is the default.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.config.idle_timeout = limit.into();
        self
    }

    /// How long nothing may move while the server waits for the client: for the next bytes of a body, or for room to send
    /// a response. 60 seconds by default. Unlike the other limits it does not count how long the whole takes.
    ///
    /// In Go: nothing.
    pub fn stall_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.config.stall_timeout = limit.into();
        self
    }

    /// How large the head of a request may be; a larger one is answered with 431. 64 KiB by default, which no browser
    /// exceeds; 8 KiB at least.
    ///
    /// In Go: `MaxHeaderBytes`, 1 MiB by default.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.config.max_header_bytes = bytes.max(8192);
        self
    }

    /// How many headers an HTTP/1 request may have; one with more is answered with 431. 100 by default. (Setting it costs
    /// an allocation for each request.)
    ///
    /// In Go: `MaxHeaderValueCount`, 500 by default.
    pub fn max_headers(mut self, count: usize) -> Self {
        self.config.max_headers = Some(count);
        self
    }

    /// How many requests of one HTTP/2 connection are answered at once. 250 by default.
    ///
    /// In Go: `HTTP2Config.MaxConcurrentStreams`.
    #[cfg(feature = "http2")]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.config.max_streams = streams;
        self
    }

    /// How many connections there are at once. When there are so many, others wait to be accepted. No limit by default.
    ///
    /// # Panics
    ///
    /// Zero.
    ///
    /// In Go: `netutil.LimitListener`.
    #[track_caller]
    pub fn limit_connections(mut self, connections: usize) -> Self {
        assert!(connections > 0, "a server without connections serves nobody");
        self.config.limit_connections = Some(connections);
        self
    }

    /// Makes the context that those of all requests are children of; it is given the address of the listener.
    ///
    /// In Go: `BaseContext`.
    pub fn base_context(mut self, make: impl Fn(SocketAddr) -> Context + Send + Sync + 'static) -> Self {
        self.config.base_context = Some(Box::new(make));
        self
    }

    /// Makes the context that those of a connection's requests are children of, from the base context.
    ///
    /// In Go: `ConnContext`.
    pub fn conn_context(
        mut self,
        make: impl Fn(Context, &ConnInfo) -> Context + Send + Sync + 'static,
    ) -> Self {
        self.config.conn_context = Some(Box::new(make));
        self
    }

    /// Is told when a connection changes: [`New`](ConnState::New), then in turns [`Active`](ConnState::Active) and
    /// [`Idle`](ConnState::Idle), at last [`Closed`](ConnState::Closed).
    ///
    /// In Go: `ConnState`.
    pub fn on_state(mut self, told: impl Fn(&ConnInfo, ConnState) + Send + Sync + 'static) -> Self {
        self.config.on_state = Some(Box::new(told));
        self
    }

    /// Where handlers' panics and errors of accepting are written, a line for each; standard error by default.
    ///
    /// In Go: `ErrorLog`.
    pub fn error_log(mut self, log: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static) -> Self {
        self.config.log = Box::new(log);
        self
    }

    /// Speaks TLS. Where the settings offer no protocols by ALPN, HTTP/2 (with the feature `http2`) and HTTP/1.1 are
    /// offered. The handshake must be done in the time for [a head](Self::read_header_timeout).
    ///
    /// In Go: `TLSConfig` and `ServeTLS`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<Arc<tokio_rustls::rustls::ServerConfig>>) -> Self {
        let mut config = config.into();
        if config.alpn_protocols.is_empty() {
            let config = Arc::make_mut(&mut config);
            if cfg!(feature = "http2") {
                config.alpn_protocols.push(b"h2".to_vec());
            }
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        self.config.tls = Some(config.into());
        self
    }

    /// A server with these settings and this handler.
    pub fn handler(self, handler: impl Handler) -> Server {
        Server::of(self.config, Arc::new(handler))
    }
}

impl Config {
    pub(super) fn header_limit(&self) -> Option<Duration> {
        match (self.read_header_timeout, self.read_timeout) {
            (Some(header), Some(all)) => Some(header.min(all)),
            (header, all) => header.or(all),
        }
    }

    pub(super) fn idle_limit(&self) -> Option<Duration> {
        self.idle_timeout.or(self.read_timeout)
    }

    pub(super) fn base(&self, listener: SocketAddr) -> Context {
        self.base_context.as_ref().map_or_else(background, |make| make(listener))
    }

    pub(super) fn log(&self, line: fmt::Arguments<'_>) {
        (self.log)(line);
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("read_header_timeout", &self.read_header_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("max_header_bytes", &self.max_header_bytes)
            .field("limit_connections", &self.limit_connections)
            .finish_non_exhaustive()
    }
}
