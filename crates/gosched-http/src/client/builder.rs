//! A client's settings.

use super::dial::Dialer;
use super::pool::{Limits, Pool};
use super::proxy::Proxy;
use super::{Client, Inner};
#[cfg(feature = "compression")]
#[allow(unused_imports)] // for the docs
use crate::body::Body;
use std::sync::Arc;
use std::time::Duration;

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 10;

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
    dialer: Dialer,
    proxies: Option<Proxy>,
    settings: Settings,
}

/// What is set for each exchange.
#[derive(Debug)]
pub(super) struct Settings {
    /// For the whole of it.
    pub(super) timeout: Option<Duration>,
    pub(super) header_timeout: Option<Duration>,
    pub(super) continue_timeout: Option<Duration>,
    pub(super) redirects: usize,
    #[cfg(feature = "compression")]
    pub(super) decompress: bool,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            limits: Limits {
                max_idle: 100,
                max_idle_per_host: 2,
                max_per_host: 0,
                idle_timeout: Some(Duration::from_secs(90)),
            },
            dialer: Dialer {
                connect_timeout: Some(Duration::from_secs(30)),
                tls_timeout: Some(Duration::from_secs(10)),
                #[cfg(feature = "tls")]
                tls: None,
            },
            proxies: None,
            settings: Settings {
                timeout: None,
                header_timeout: None,
                continue_timeout: Some(Duration::from_secs(1)),
                redirects: MOST_REDIRECTS,
                #[cfg(feature = "compression")]
                decompress: true,
            },
        }
    }
}

impl ClientBuilder {
    /// How long a whole exchange may take: connecting, redirects, reading the body. No limit by default.
    ///
    /// In Go: `Client.Timeout`.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.timeout = limit.into();
        self
    }

    /// How long connecting may take. 30 seconds by default.
    ///
    /// In Go: `Dialer.Timeout`.
    pub fn connect_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.dialer.connect_timeout = limit.into();
        self
    }

    /// How long the TLS handshake may take. 10 seconds by default. Without the feature `tls` it has no meaning.
    ///
    /// In Go: `TLSHandshakeTimeout`.
    pub fn tls_handshake_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.dialer.tls_timeout = limit.into();
        self
    }

    /// Settings of TLS: whom to trust, and with what to tell who asks. By default those are trusted whom the system trusts
    /// (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded), which is looked up when first needed. The protocols that the
    /// settings offer (ALPN) are replaced by those that the client speaks.
    ///
    /// In Go: `TLSClientConfig`.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.dialer.tls = Some(config);
        self
    }

    /// Asks through a proxy. By default those of the [environment](Proxy::from_env) are asked.
    ///
    /// ```
    /// use gosched_http::{Client, Proxy};
    ///
    /// let client = Client::builder().proxy(Proxy::new("http://127.0.0.1:3128")?).build();
    /// # Ok::<(), gosched_http::Error>(())
    /// ```
    ///
    /// In Go: `Transport.Proxy`.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxies = Some(proxy);
        self
    }

    /// Asks through no proxy, whatever the environment says.
    ///
    /// In Go: a `Transport` without `Proxy`.
    pub fn no_proxy(self) -> Self {
        self.proxy(Proxy::none())
    }

    /// Whether responses may come compressed, and are read as what they were before. They may by default. It is asked for
    /// with `Accept-Encoding: gzip, br` unless the request has such a header of its own, or a `Range`, or is a HEAD; then
    /// what comes is left as it is. See [`Body::was_decompressed`].
    ///
    /// In Go: `!DisableCompression`.
    #[cfg(feature = "compression")]
    pub fn decompress(mut self, decompress: bool) -> Self {
        self.settings.decompress = decompress;
        self
    }

    /// How long a request with `Expect: 100-continue` waits with its body for the server's word. When it is over the body is
    /// sent all the same; with zero, at once. 1 second by default.
    ///
    /// In Go: `ExpectContinueTimeout`.
    pub fn expect_continue_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.continue_timeout = limit.into();
        self
    }

    /// How long the head of a response may take, from when the request was sent with its body. No limit by default.
    ///
    /// In Go: `ResponseHeaderTimeout`.
    pub fn response_header_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.header_timeout = limit.into();
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
        self.settings.redirects = count;
        self
    }

    /// The client. If nothing was said of proxies, the environment is read now.
    pub fn build(self) -> Client {
        let pool = Arc::new(Pool::new(self.limits, self.dialer));
        Client {
            inner: Arc::new(Inner {
                pool,
                proxies: self.proxies.unwrap_or_else(Proxy::from_env),
                settings: self.settings,
            }),
        }
    }
}
