//! The way to a connection: TCP, perhaps a tunnel through a proxy, perhaps TLS; each for as long as it may take.

use super::error::Error;
use super::outgoing::Outgoing;
use super::proxy::{Endpoint, Proxy};
use super::stream::Stream;
#[cfg(feature = "tls")]
use super::tls;
use gosched::context::Context;
use gosched::net::TcpStream;
use gosched::time::timeout_async;
use http::{HeaderValue, Uri, header};
use hyper::client::conn::http1::{self, SendRequest};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long a proxy may take to open a tunnel (Go's).
const TUNNEL: Duration = Duration::from_secs(60);

/// Where a connection leads. Connections to the same target serve the same requests.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) secure: bool,
    /// As in an address: in lower case, IPv6 in brackets. Empty if a proxy is asked for all hosts alike.
    host: Box<str>,
    port: u16,
    pub(super) proxy: Option<Arc<Endpoint>>,
}

impl Target {
    pub(super) fn of(uri: &Uri, proxies: &Proxy) -> Result<Self, Error> {
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => {
                return Err(Error::request("https needs the feature `tls` of gosched-http"));
            }
            Some(scheme) => return Err(Error::request(format!("the scheme {scheme} is not one of http"))),
            None => return Err(Error::request("the address has no scheme: it should begin with http://")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Error::request("the address has no host"))?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(match proxies.of(secure, &host, port)? {
            // It is told with each request where that goes.
            Some(proxy) if !secure => Self { secure, host: "".into(), port: 0, proxy: Some(proxy.clone()) },
            proxy => Self { secure, host: host.into(), port, proxy: proxy.cloned() },
        })
    }

    /// The proxy that is told with each request where that goes.
    pub(super) fn forwards(&self) -> Option<&Endpoint> {
        self.proxy.as_deref().filter(|_| !self.secure)
    }

    fn addr(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.forwards() {
            Some(proxy) => write!(f, "the proxy {}", proxy.addr()),
            None => f.write_str(&self.addr()),
        }
    }
}

/// A connection, and the future that moves its bytes: somebody must see to that.
pub(super) type Dialled = (SendRequest<Outgoing>, http1::Connection<Stream, Outgoing>);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialer {
    pub(super) connect_timeout: Option<Duration>,
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(super) tls_timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
}

impl Dialer {
    pub(super) async fn dial(&self, ctx: &Context, to: &Target) -> Result<Dialled, Error> {
        let mut stream = match &to.proxy {
            Some(proxy) => self.tcp(ctx, &proxy.addr(), "the proxy ").await?,
            None => self.tcp(ctx, &to.addr(), "").await?,
        };
        if let Some(proxy) = &to.proxy {
            if proxy.secure {
                stream = self.tls(ctx, stream, &proxy.host, &format!("the proxy {}", proxy.addr())).await?;
            }
            if to.secure {
                let limit = Some(TUNNEL);
                let what = || format!("waiting for the proxy {} to connect to {to}", proxy.addr());
                stream = phase(ctx, limit, tunnel(stream, proxy, to), what).await??;
            }
        }
        if to.secure {
            stream = self.tls(ctx, stream, &to.host, &to.addr()).await?;
        }
        http1::handshake(stream).await.map_err(Error::exchange)
    }

    async fn tcp(&self, ctx: &Context, addr: &str, whose: &str) -> Result<Stream, Error> {
        let what = || format!("connecting to {whose}{addr}");
        let stream = phase(ctx, self.connect_timeout, TcpStream::connect_async(addr), what).await?;
        let failed =
            |error: io::Error| Error::connect(format!("cannot connect to {whose}{addr}")).because(error);
        let stream = stream.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let _ = stream.set_keepalive(Some(Duration::from_secs(15)));
        Ok(Stream::Plain(stream))
    }

    #[cfg(feature = "tls")]
    async fn tls(&self, ctx: &Context, stream: Stream, host: &str, whom: &str) -> Result<Stream, Error> {
        let config = match &self.tls {
            Some(config) => config.clone(),
            None => ctx.wait_async(tls::default_config()).await??,
        };
        let what = || format!("in the TLS handshake with {whom}");
        phase(ctx, self.tls_timeout, tls::handshake(config, stream, host, whom), what).await?
    }

    #[cfg(not(feature = "tls"))]
    async fn tls(&self, _: &Context, _: Stream, _: &str, _: &str) -> Result<Stream, Error> {
        // Addresses that would need it were refused before.
        Err(Error::request("https needs the feature `tls` of gosched-http"))
    }
}

/// Waits for `future`, but not longer than `limit` and the context allow.
async fn phase<T>(
    ctx: &Context,
    limit: Option<Duration>,
    future: impl Future<Output = T>,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    let waited = ctx.wait_async(future);
    Ok(match limit {
        Some(limit) => timeout_async(limit, waited).await.map_err(|_| Error::timeout(what()))?,
        None => waited.await,
    }?)
}

/// Asks a proxy for a tunnel.
async fn tunnel(stream: Stream, proxy: &Endpoint, to: &Target) -> Result<Stream, Error> {
    let failed = || Error::connect(format!("the proxy {} gives no tunnel to {to}", proxy.addr()));
    let (mut sender, conn) = http1::handshake(stream).await.map_err(|error| failed().because(error))?;
    let host = to.addr();
    let mut request = http::Request::connect(&host).header(header::HOST, &host);
    if let Some(auth) = &proxy.auth {
        request = request.header(header::PROXY_AUTHORIZATION, &**auth);
    }
    let request = request.body(Outgoing::new(().into())).map_err(|_| failed())?;
    let mut answer = pin!(sender.send_request(request));
    let mut conn = pin!(conn.without_shutdown());
    let mut parts = None;
    let answer = poll_fn(|cx| {
        if parts.is_none()
            && let Poll::Ready(ended) = conn.as_mut().poll(cx)
        {
            parts = Some(ended);
        }
        answer.as_mut().poll(cx)
    });
    let answer = answer.await.map_err(|error| failed().because(error))?;
    if !answer.status().is_success() {
        return Err(failed().because(format!("it answers {}", answer.status())));
    }
    drop(answer);
    let parts = match parts {
        Some(parts) => parts,
        None => conn.await,
    };
    let parts = parts.map_err(|error| failed().because(error))?;
    if !parts.read_buf.is_empty() {
        // With TLS we are the first to speak.
        return Err(failed().because("it sends what nobody has asked for"));
    }
    Ok(parts.io)
}

/// The value of `Proxy-Authorization` for requests that a proxy forwards.
pub(super) fn proxy_auth(to: &Target) -> Option<HeaderValue> {
    HeaderValue::from_str(to.forwards()?.auth.as_deref()?).ok()
}
