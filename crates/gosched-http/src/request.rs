//! What handlers are given.

use crate::body::Body;
use crate::router::{Params, decode};
use crate::slot::{ConnInfo, Slot, Ticket};
use gosched::context::Context;
use http::{Extensions, HeaderMap, Method, Uri, Version, request::Parts};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A request: method, address, headers, body, and where it comes from.
///
/// For tests one is made of an [`http::Request`].
///
/// ```
/// use gosched_http::{Body, Handler, Request};
///
/// fn echo(request: Request) -> Body {
///     request.into_body()
/// }
/// let request = http::Request::post("/echo").body(Body::from("hello")).unwrap();
/// let mut response = echo.handle(Request::from(request));
/// assert_eq!(response.body_mut().text(100)?, "hello");
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.Request`.
pub struct Request {
    parts: Parts,
    slot: Arc<Slot>,
    ticket: Ticket,
    /// What few requests have. Behind a pointer, because requests are moved several times on their way.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    body: Body,
    params: Params,
    /// What stands in for the slot's.
    context: Option<Context>,
}

impl Request {
    #[inline(always)]
    pub(crate) fn new(parts: Parts, slot: Arc<Slot>, ticket: Ticket, body: Option<Body>) -> Self {
        let more = body.map(|body| Box::new(More { body, ..More::default() }));
        Self { parts, slot, ticket, more }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The method: GET, POST, and so on.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// What is asked for, as the client has written it.
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The path of what is asked for, as it was written (percent-encoded).
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The first value with this name in the query, decoded.
    ///
    /// ```
    /// # use gosched_http::{Body, Request};
    /// let request = Request::from(http::Request::get("/?q=a%20b+c&q=2").body(Body::empty()).unwrap());
    /// assert_eq!(request.query("q").as_deref(), Some("a b c"));
    /// assert_eq!(request.query("x"), None);
    /// ```
    ///
    /// In Go: `r.URL.Query().Get(name)`.
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.parts.uri.query()?.split('&');
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).find_map(|(key, value)| {
            (decode(&key.replace('+', " ")) == name).then(|| decode(&value.replace('+', " ")))
        })
    }

    /// The value of a parameter of the route's pattern, decoded.
    ///
    /// In Go: `r.PathValue(name)`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.more.as_ref()?.params.get(name)
    }

    pub(crate) fn set_params(&mut self, names: &Arc<[String]>, values: Vec<String>) {
        if !values.is_empty() {
            self.more().params = Params::new(names.clone(), values);
        } else if let Some(more) = &mut self.more {
            // Those of a router around this one.
            more.params = Params::default();
        }
    }

    /// The version of the protocol.
    pub fn version(&self) -> Version {
        self.parts.version
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The headers, for middleware that changes them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.parts.headers
    }

    /// The first value of a header, if it is there and text.
    ///
    /// In Go: `r.Header.Get(name)`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// What middleware has left for others, by type.
    pub fn extensions(&self) -> &Extensions {
        &self.parts.extensions
    }

    /// Where middleware leaves something for others, by type.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.parts.extensions
    }

    /// The body, to be read.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.more().body
    }

    /// The body alone.
    pub fn into_body(self) -> Body {
        self.into_parts().1
    }

    /// The request in the form that other crates know.
    pub fn into_parts(self) -> (Parts, Body) {
        (self.parts, self.more.map(|more| more.body).unwrap_or_default())
    }

    /// The request's context. It ends when the handler has returned, and before that when the client goes away
    /// ([`ClientGone`](crate::ClientGone) is the cause then) or resets the HTTP/2 stream.
    ///
    /// Over HTTP/1 that is seen once the body was read, and not if the client has sent another request before it went.
    /// A client that has shut its writing side down counts as gone.
    ///
    /// In Go: `r.Context()`.
    pub fn context(&self) -> Context {
        let own = self.more.as_ref().and_then(|more| more.context.clone());
        own.unwrap_or_else(|| self.slot.context(self.ticket))
    }

    /// Replaces the context, for middleware that adds a value or a deadline.
    ///
    /// In Go: `r.WithContext(ctx)`.
    pub fn set_context(&mut self, context: Context) {
        self.more().context = Some(context);
    }

    /// The connection it came on; `None` for one made by hand.
    pub fn connection(&self) -> Option<&ConnInfo> {
        self.slot.info.as_deref()
    }

    /// Where the client is; `None` for a request made by hand.
    ///
    /// In Go: `r.RemoteAddr`.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection().map(ConnInfo::peer_addr)
    }
}

impl From<http::Request<Body>> for Request {
    fn from(request: http::Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let slot = Slot::new(None);
        let ticket = slot.begin(false);
        Self::new(parts, Arc::new(slot), ticket, Some(body))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = Body::empty();
        f.debug_struct("Request")
            .field("method", self.method())
            .field("uri", self.uri())
            .field("version", &self.version())
            .field("headers", self.headers())
            .field("body", self.more.as_ref().map_or(&none, |more| &more.body))
            .finish_non_exhaustive()
    }
}
