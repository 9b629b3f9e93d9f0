//! The client.

mod builder;
mod dial;
mod encode;
mod error;
mod exchange;
mod outgoing;
mod pool;
mod proxy;
mod redirect;
mod request;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub use builder::ClientBuilder;
use builder::Settings;
pub use error::Error;
pub use proxy::Proxy;
pub use request::RequestBuilder;

use crate::body::Body;
use crate::response::Response;
use gosched::context::Context;
use http::Method;
use pool::Pool;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// An HTTP/1.1 client that keeps connections. Clones share them.
///
/// A connection is kept for the next request when the response's body was read to its end. Where the server has closed a
/// kept connection meanwhile, a request that can be repeated is sent again on another.
///
/// With the feature `tls` it speaks `https`, and trusts whom the system trusts unless it is told otherwise. With the feature
/// `compression` responses may come compressed by gzip or brotli, and are read as what they were before. Proxies are taken
/// from [the environment](Proxy::from_env).
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
    proxies: Proxy,
    settings: Settings,
}

impl Client {
    /// One with the default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings for a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
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
        self.request(Method::GET, url).send(ctx)
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
        self.request(Method::POST, url).body(body).send(ctx)
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
        exchange::send(&self.inner, ctx, request, self.inner.settings.timeout)
    }

    /// A request to be filled in and sent.
    ///
    /// ```no_run
    /// # use gosched::context::background;
    /// use gosched_http::{Client, Method};
    ///
    /// # let ctx = background();
    /// let response = Client::new()
    ///     .request(Method::PUT, "http://example.com/things/7")
    ///     .header("if-match", "\"1\"")
    ///     .query("notify", "yes & no")
    ///     .body("a thing")
    ///     .send(&ctx)?;
    /// # Ok::<(), gosched_http::Error>(())
    /// ```
    ///
    /// In Go: `http.NewRequestWithContext`.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder<'_> {
        RequestBuilder::new(self, method, url)
    }

    /// Sends a value as JSON to `url`.
    ///
    /// # Errors
    ///
    /// As [`get`](Client::get); the value cannot be JSON.
    ///
    /// # Cancellation
    ///
    /// As [`send`](Client::send).
    ///
    /// ```no_run
    /// # use gosched::context::background;
    /// # let client = gosched_http::Client::new();
    /// let mut response = client.post_json(&background(), "http://example.com/sum", &[1, 2, 3])?;
    /// let sum: u32 = response.body_mut().json(1000)?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: `client.Post(url, "application/json", body)`.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn post_json(
        &self,
        ctx: &Context,
        url: &str,
        value: &(impl serde::Serialize + ?Sized),
    ) -> Result<Response, Error> {
        self.request(Method::POST, url).json(value).send(ctx)
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
