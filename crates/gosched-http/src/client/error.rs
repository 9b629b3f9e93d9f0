//! Why a request has got no response.

use gosched::context::ContextError;
use http::{Method, Uri};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// Why a request has got no response; from [`Client::send`](super::Client::send).
///
/// Its text names the request and the host, and what the system or the other side has said:
///
/// ```
/// use gosched::context::background;
///
/// let error = gosched::run(|| gosched_http::get(&background(), "http://127.0.0.1:1/x").unwrap_err());
/// assert!(error.is_connect() && !error.is_timeout());
/// let text = error.to_string();
/// assert!(text.starts_with("GET http://127.0.0.1:1/x: cannot connect to 127.0.0.1:1: Connection refused"));
/// ```
///
/// In Go: `url.Error`.
pub struct Error {
    // Boxed, as it travels in the results of all that is done to send a request.
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    /// The request: its method, and its address without a password.
    about: Option<(Method, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum Kind {
    Request(Cow<'static, str>),
    /// What has taken too long.
    Timeout(String),
    Context(ContextError),
    /// What could not be done on the way to a connection.
    Connect(String),
    Exchange,
    Redirects(usize),
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self { inner: Box::new(Inner { kind, about: None, source: None }) }
    }
}

impl Error {
    pub(super) fn request(what: impl Into<Cow<'static, str>>) -> Self {
        Kind::Request(what.into()).into()
    }

    pub(super) fn timeout(what: impl Into<String>) -> Self {
        Kind::Timeout(what.into()).into()
    }

    /// `what` could not be done: "cannot connect to host:80".
    pub(super) fn connect(what: impl Into<String>) -> Self {
        Kind::Connect(what.into()).into()
    }

    pub(super) fn exchange(error: hyper::Error) -> Self {
        Self::closed().because(error)
    }

    pub(super) fn closed() -> Self {
        Kind::Exchange.into()
    }

    pub(super) fn redirects(followed: usize) -> Self {
        Kind::Redirects(followed).into()
    }

    /// With what has led to it.
    pub(super) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// With the request that it is about.
    pub(super) fn about(mut self, method: &Method, uri: &Uri) -> Self {
        self.inner.about = Some((method.clone(), without_password(uri)));
        self
    }

    /// Some limit on time was exceeded, or the context's deadline.
    ///
    /// In Go: `Timeout()`.
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, Kind::Timeout(_) | Kind::Context(ContextError::DeadlineExceeded))
    }

    /// The context was cancelled.
    pub fn is_canceled(&self) -> bool {
        matches!(self.inner.kind, Kind::Context(ContextError::Canceled))
    }

    /// There is no connection to be had: nobody answers there, its certificate is not trusted, the proxy refuses.
    pub fn is_connect(&self) -> bool {
        matches!(self.inner.kind, Kind::Connect(_))
    }

    /// The request cannot be sent as it is.
    pub fn is_request(&self) -> bool {
        matches!(self.inner.kind, Kind::Request(_))
    }

    /// The context's deadline was the end of it.
    pub(super) fn is_deadline(&self) -> bool {
        matches!(self.inner.kind, Kind::Context(ContextError::DeadlineExceeded))
    }

    /// The address of the request, without a password; the last one if redirects were followed.
    ///
    /// In Go: `url.Error.URL`.
    pub fn url(&self) -> Option<&str> {
        self.inner.about.as_ref().map(|(_, url)| &**url)
    }
}

/// The address for texts that others may read.
pub(super) fn without_password(uri: &Uri) -> String {
    let text = uri.to_string();
    let userinfo = uri.authority().and_then(|authority| Some(authority.as_str().rsplit_once('@')?.0));
    match userinfo.and_then(|userinfo| Some((userinfo, userinfo.split_once(':')?.0))) {
        Some((userinfo, user)) => text.replacen(&format!("{userinfo}@"), &format!("{user}:***@"), 1),
        None => text,
    }
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        Kind::Context(error).into()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = if error.is_timeout() {
            io::ErrorKind::TimedOut
        } else if error.is_request() {
            io::ErrorKind::InvalidInput
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((method, url)) = &self.inner.about {
            write!(f, "{method} {url}: ")?;
        }
        match &self.inner.kind {
            Kind::Request(what) => f.write_str(what),
            Kind::Timeout(what) => write!(f, "timed out {what}"),
            Kind::Context(error) => error.fmt(f),
            Kind::Connect(what) => f.write_str(what),
            Kind::Exchange => f.write_str("the connection has broken"),
            Kind::Redirects(followed) => write!(f, "stopped after {followed} redirects"),
        }?;
        // hyper says in its own error what kind it is, and in the one below why.
        let mut source = self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static));
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = if error.is::<hyper::Error>() { error.source() } else { None };
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("about", &self.inner.about)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[test]
fn addresses_are_shown_without_passwords() {
    let shown = |text: &str| without_password(&text.parse().unwrap());
    assert_eq!(shown("http://me:secret@host:81/p@q:r"), "http://me:***@host:81/p@q:r");
    assert_eq!(shown("http://me@host/"), "http://me@host/");
    assert_eq!(shown("http://p:@host/"), "http://p:***@host/");
    assert_eq!(shown("http://host/a:b@c"), "http://host/a:b@c");
}
