//! Why a request has got no response.

use gosched::context::ContextError;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// Why a request has got no response; from [`Client::send`](super::Client::send).
///
/// ```
/// use gosched::context::background;
///
/// let error = gosched::run(|| gosched_http::get(&background(), "http://127.0.0.1:1/").unwrap_err());
/// assert!(error.is_connect() && !error.is_timeout());
/// ```
///
/// In Go: `url.Error`.
pub struct Error {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum Kind {
    Request(&'static str),
    Timeout(&'static str),
    Context(ContextError),
    Connect,
    Exchange,
    Redirects,
}

impl Error {
    pub(super) fn request(what: &'static str) -> Self {
        Self { kind: Kind::Request(what), source: None }
    }

    pub(super) fn timeout(what: &'static str) -> Self {
        Self { kind: Kind::Timeout(what), source: None }
    }

    pub(super) fn connect(error: io::Error) -> Self {
        Self { kind: Kind::Connect, source: Some(Box::new(error)) }
    }

    pub(super) fn exchange(error: hyper::Error) -> Self {
        Self { kind: Kind::Exchange, source: Some(Box::new(error)) }
    }

    pub(super) fn closed() -> Self {
        Self { kind: Kind::Exchange, source: None }
    }

    pub(super) fn redirects() -> Self {
        Self { kind: Kind::Redirects, source: None }
    }

    /// Some limit on time was exceeded, or the context's deadline.
    ///
    /// In Go: `Timeout()`.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, Kind::Timeout(_) | Kind::Context(ContextError::DeadlineExceeded))
    }

    /// The context was cancelled.
    pub fn is_canceled(&self) -> bool {
        matches!(self.kind, Kind::Context(ContextError::Canceled))
    }

    /// There is no connection to be had.
    pub fn is_connect(&self) -> bool {
        matches!(self.kind, Kind::Connect)
    }

    /// The request cannot be sent as it is.
    pub fn is_request(&self) -> bool {
        matches!(self.kind, Kind::Request(_))
    }
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        Self { kind: Kind::Context(error), source: None }
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
        match &self.kind {
            Kind::Request(what) => f.write_str(what),
            Kind::Timeout(what) => write!(f, "timed out {what}"),
            Kind::Context(error) => error.fmt(f),
            Kind::Connect => f.write_str("no connection"),
            Kind::Exchange => f.write_str("the connection has broken"),
            Kind::Redirects => f.write_str("stopped after too many redirects"),
        }?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
