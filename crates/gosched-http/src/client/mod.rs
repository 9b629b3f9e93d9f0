//! The client: requests, redirects, retries.

mod error;
mod pool;
mod redirect;

pub use error::Error;

use crate::body::{Body, Exchange, Reader};
use crate::response::Response;
use gosched::context::Context;
use gosched::time::timeout_async;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use pool::{Lease, Limits, Pool};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 10;

/// An HTTP/1.1 client that keeps connections. Clones share them.
///
/// A connection is kept for the next request when the response's body was read to its end. Where the server has closed a
/// kept connection meanwhile, a request that can be repeated is sent again on another.
///
/// `https` is not spoken yet.
///
/// # Example
///
/// ```
/// use gosched::{context::background, net::TcpListener};
/// use gosched_http::{Client, Request, Server};
///
/// gosched::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let url = format!("http://{}/world", listener.local_addr()?);
///     let server = Server::new(|request: Request| format!("hello, {}", request.path()));
///     gosched::go(move || server.serve(listener));
///
///     let client = Client::new();
///     let mut response = client.get(&background(), &url)?;
///     assert_eq!(response.status(), 200);
///     assert_eq!(response.body_mut().text(1000)?, "hello, /world");
///     Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.Client` with its `http.Transport`.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Arc<Pool>,
    timeout: Option<Duration>,
    header_timeout: Option<Duration>,
    redirects: usize,
}

/// Settings of a [`Client`]; from [`Client::builder`]. The defaults are those of Go's.
///
/// ```
/// use gosched_http::Client;
/// use std::time::Duration;
///
/// let client = Client::builder().timeout(Duration::from_secs(10)).max_per_host(4).build();
/// ```
///
/// In Go: the fields of `http.Client` and `http.Transport`.
#[derive(Debug)]
#[must_use = "settings do nothing without `build`"]
pub struct ClientBuilder {
    limits: Limits,
    timeout: Option<Duration>,
    header_timeout: Option<Duration>,
    redirects: usize,
}

impl ClientBuilder {
    /// How long a whole exchange may take: connecting, redirects, reading the body. No limit by default.
    ///
    /// In Go: `Client.Timeout`.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.timeout = limit.into();
        self
    }

    /// How long connecting may take. 30 seconds by default.
    ///
    /// In Go: `Dialer.Timeout`.
    pub fn connect_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.limits.connect_timeout = limit.into();
        self
    }

    /// How long the head of a response may take, from when the request is sent. No limit by default.
    ///
    /// In Go: `ResponseHeaderTimeout`.
    pub fn response_header_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.header_timeout = limit.into();
        self
    }

    /// How long a connection is kept that nobody uses. 90 seconds by default.
    ///
    /// In Go: `IdleConnTimeout`.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.limits.idle_timeout = limit.into();
        self
    }

    /// How many connections are kept that nobody uses, over all hosts; the one that has been idle for longest is closed. 100
    /// by default; 0 for no limit.
    ///
    /// In Go: `MaxIdleConns`.
    pub fn max_idle(mut self, count: usize) -> Self {
        self.limits.max_idle = count;
        self
    }

    /// How many connections to one host are kept that nobody uses. 2 by default; with 0 none is kept.
    ///
    /// In Go: `MaxIdleConnsPerHost`, where 0 means 2.
    pub fn max_idle_per_host(mut self, count: usize) -> Self {
        self.limits.max_idle_per_host = count;
        self
    }

    /// How many connections to one host there are, being dialled, in use and idle. Requests wait in their order when there
    /// are so many. No limit by default, nor with 0.
    ///
    /// In Go: `MaxConnsPerHost`.
    pub fn max_per_host(mut self, count: usize) -> Self {
        self.limits.max_per_host = count;
        self
    }

    /// How many redirects are followed; with 0 the first one is the response. 10 by default.
    ///
    /// In Go: `CheckRedirect`.
    pub fn redirects(mut self, count: usize) -> Self {
        self.redirects = count;
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        let Self { limits, timeout, header_timeout, redirects } = self;
        let pool = Arc::new(Pool::new(limits));
        Client { inner: Arc::new(Inner { pool, timeout, header_timeout, redirects }) }
    }
}

impl Client {
    /// One with the default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings for a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            limits: Limits {
                max_idle: 100,
                max_idle_per_host: 2,
                max_per_host: 0,
                idle_timeout: Some(Duration::from_secs(90)),
                connect_timeout: Some(Duration::from_secs(30)),
            },
            timeout: None,
            header_timeout: None,
            redirects: MOST_REDIRECTS,
        }
    }

    /// Asks for what is at `url`.
    ///
    /// # Errors
    ///
    /// As [`send`](Client::send); the address is none.
    ///
    /// # Cancellation
    ///
    /// As [`send`](Client::send).
    ///
    /// In Go: `client.Get`.
    #[track_caller]
    pub fn get(&self, ctx: &Context, url: &str) -> Result<Response, Error> {
        self.send(ctx, request(Method::GET, url, Body::empty())?)
    }

    /// Sends `body` to `url`.
    ///
    /// # Errors
    ///
    /// As [`get`](Client::get).
    ///
    /// # Cancellation
    ///
    /// As [`send`](Client::send).
    ///
    /// In Go: `client.Post`.
    #[track_caller]
    pub fn post(&self, ctx: &Context, url: &str, body: impl Into<Body>) -> Result<Response, Error> {
        self.send(ctx, request(Method::POST, url, body.into())?)
    }

    /// Sends a request and waits for the head of the response; its body is read from that. Redirects are followed, as long
    /// as the body can be sent again.
    ///
    /// # Errors
    ///
    /// No connection, none in time, or it breaks. A response that tells of an error is no error.
    ///
    /// # Cancellation
    ///
    /// By the context, also while the body is read: the connection is closed then.
    ///
    /// In Go: `client.Do(req.WithContext(ctx))`.
    #[track_caller]
    pub fn send(&self, ctx: &Context, request: http::Request<Body>) -> Result<Response, Error> {
        let ctx = match self.inner.timeout {
            Some(limit) => ctx.with_timeout(limit),
            None => ctx.with_cancel(),
        };
        let (mut parts, mut body) = request.into_parts();
        let mut followed = 0;
        loop {
            let again = body.again();
            let (mut response, lease) =
                self.round_trip(&ctx, &parts.method, &parts.uri, &parts.headers, body)?;
            let next = redirect::method(response.status(), &parts.method)
                .filter(|_| self.inner.redirects > 0)
                .zip(redirect::target(&parts.uri, response.headers()));
            let next = match next {
                // The body went with the request, and must go with the next.
                Some((method, _)) if method == parts.method && again.is_none() => None,
                next => next,
            };
            let Some((method, uri)) = next else {
                let reader = Arc::new(Kept(Mutex::new(Some(lease))));
                response.body_mut().of_client(Exchange { ctx }, reader);
                return Ok(response);
            };
            followed += 1;
            if followed > self.inner.redirects {
                return Err(Error::redirects());
            }
            // A short rest is read, so that the connection can be kept; else it is closed.
            if ctx.wait(drain(response.body_mut()))? {
                drop(response);
                lease.give_back();
            }
            body = if method == parts.method { again.unwrap_or_default() } else { Body::empty() };
            if method != parts.method {
                parts.headers.remove(header::CONTENT_TYPE);
                parts.headers.remove(header::CONTENT_LENGTH);
            }
            if uri.authority() != parts.uri.authority() {
                redirect::strip(&mut parts.headers);
            }
            parts.headers.remove(header::HOST);
            (parts.method, parts.uri) = (method, uri);
        }
    }

    /// One request, on as many connections as turn out to be closed.
    #[track_caller]
    fn round_trip(
        &self,
        ctx: &Context,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<(Response, Lease), Error> {
        let host = address(uri)?;
        loop {
            let mut lease = self.inner.pool.get(ctx, &host)?;
            let again = body.again();
            let request = wire(method, uri, headers, body)?;
            if let Some(error) = ctx.err() {
                // Too late, but the connection is good.
                lease.give_back();
                return Err(error.into());
            }
            let Some(conn) = lease.conn() else { return Err(Error::closed()) };
            let sent = conn.try_send_request(request);
            let sent = match self.inner.header_timeout {
                Some(limit) => ctx
                    .wait(timeout_async(limit, sent))?
                    .map_err(|_| Error::timeout("waiting for the response"))?,
                None => ctx.wait(sent)?,
            };
            let mut failed = match sent {
                Ok(response) => return Ok((response.map(Body::response), lease)),
                Err(failed) => failed,
            };
            let unsent = failed.take_message().map(|request| request.into_body());
            let error = failed.into_error();
            // Nothing was written; or perhaps it was, but doing it twice does no harm.
            let repeat = unsent.or_else(|| again.filter(|_| method.is_idempotent()));
            match repeat {
                Some(repeat) if lease.reused && ctx.err().is_none() => body = repeat,
                _ => return Err(Error::exchange(error)),
            }
        }
    }

    /// Closes the connections that nobody uses.
    ///
    /// In Go: `CloseIdleConnections`.
    pub fn close_idle_connections(&self) {
        self.inner.pool.close_idle();
    }

    /// How many connections there are, idle ones among them.
    pub fn connections(&self) -> usize {
        self.inner.pool.counts().0
    }

    /// How many connections are kept that nobody uses.
    pub fn idle_connections(&self) -> usize {
        self.inner.pool.counts().1
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("limits", &self.inner.pool.limits).finish_non_exhaustive()
    }
}

/// Gives a connection back when the body was read, or is not wanted any more.
struct Kept(Mutex<Option<Lease>>);

impl Reader for Kept {
    fn has_read(&self) {
        let lease = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease) = lease {
            lease.give_back();
        }
    }
}

/// Reads what is left if it is not much; whether it has come to the end.
async fn drain(body: &mut Body) -> bool {
    let mut left = 64 * 1024_usize;
    loop {
        match body.next_chunk_async().await {
            Ok(None) => return true,
            Ok(Some(chunk)) if chunk.len() <= left => left -= chunk.len(),
            _ => return false,
        }
    }
}

fn request(method: Method, url: &str, body: Body) -> Result<http::Request<Body>, Error> {
    let uri: Uri = url.parse().map_err(|_| Error::request("the address is none"))?;
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    Ok(request)
}

/// Host and port to connect to.
fn address(uri: &Uri) -> Result<Arc<str>, Error> {
    if uri.scheme_str() != Some("http") {
        return Err(Error::request("the address is not one of http"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(Error::request("the address has no host"))?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80)).into())
}

/// The request as it is written: with a path alone, and the host as a header.
fn wire(method: &Method, uri: &Uri, headers: &HeaderMap, body: Body) -> Result<http::Request<Body>, Error> {
    let mut request = http::Request::new(body);
    *request.method_mut() = method.clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::request("the path is none"))?;
    *request.headers_mut() = headers.clone();
    if !headers.contains_key(header::HOST) {
        // Without what may stand before it: that is no part of the host.
        let host = match (uri.host().unwrap_or_default(), uri.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let host = HeaderValue::from_str(&host).map_err(|_| Error::request("the host is none"))?;
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

/// Asks for what is at `url`, with a client that is made when it is first needed and shared by all who call this.
///
/// # Errors
///
/// As [`Client::get`].
///
/// # Cancellation
///
/// As [`Client::send`].
///
/// ```no_run
/// use gosched::context::background;
///
/// let mut response = gosched_http::get(&background(), "http://example.com/")?;
/// println!("{}", response.body_mut().text(1 << 20)?);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.Get`.
#[track_caller]
pub fn get(ctx: &Context, url: &str) -> Result<Response, Error> {
    static CLIENT: LazyLock<Client> = LazyLock::new(Client::new);
    CLIENT.get(ctx, url)
}
