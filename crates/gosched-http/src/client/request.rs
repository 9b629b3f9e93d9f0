//! A request that is filled in.

use super::Client;
use super::encode::{add_pair, basic};
use super::error::Error;
use super::exchange;
use crate::body::Body;
use crate::response::Response;
use gosched::context::Context;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use std::time::Duration;

/// A request that is filled in, then sent; from [`Client::request`]. What is wrong with it is told when it is sent.
///
/// ```
/// use gosched::{context::background, net::TcpListener};
/// use gosched_http::{Client, Method, Request, RequestBuilder, Server};
///
/// # gosched::run(|| -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # let server = Server::new(|request: Request| request.query("q").unwrap_or_default());
/// # gosched::go(move || server.serve(listener));
/// let client = Client::new();
/// let request: RequestBuilder = client.request(Method::GET, &url).query("q", "fish & chips");
/// let mut response = request.header("accept", "text/plain").send(&background())?;
/// assert_eq!(response.body_mut().text(1000)?, "fish & chips");
/// # Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: what is done to an `http.Request` before `client.Do`.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder<'a> {
    client: &'a Client,
    /// The first thing that was wrong.
    request: Result<http::Request<Body>, Error>,
    timeout: Option<Duration>,
}

impl<'a> RequestBuilder<'a> {
    pub(super) fn new(client: &'a Client, method: Method, url: &str) -> Self {
        let request = match url.parse::<Uri>() {
            Ok(uri) => {
                let mut request = http::Request::new(Body::empty());
                *request.method_mut() = method;
                *request.uri_mut() = uri;
                Ok(request)
            }
            // Without what may be a password.
            Err(_) if url.contains('@') => Err(Error::request("the address is none")),
            Err(error) => Err(Error::request(format!("{url:?} is no address")).because(error)),
        };
        Self { client, request, timeout: client.inner.settings.timeout }
    }

    fn and(mut self, change: impl FnOnce(&mut http::Request<Body>) -> Result<(), Error>) -> Self {
        if let Ok(request) = &mut self.request
            && let Err(error) = change(request)
        {
            self.request = Err(error.about(request.method(), request.uri()));
        }
        self
    }

    /// Adds a header, beside others of this name.
    ///
    /// In Go: `req.Header.Add`.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        self.and(|request| {
            let name = name.try_into().map_err(|_| Error::request("a header's name is none"))?;
            let value = value.try_into();
            let value =
                value.map_err(|_| Error::request(format!("the value of the header {name} is none")))?;
            request.headers_mut().append(name, value);
            Ok(())
        })
    }

    /// Adds `name=value` to the query, escaped.
    ///
    /// In Go: `req.URL.Query().Add`, and what it takes to put that back.
    pub fn query(self, name: &str, value: &str) -> Self {
        self.and(|request| {
            let uri = request.uri().clone();
            let mut query = uri.query().unwrap_or_default().to_owned();
            add_pair(&mut query, name, value);
            let mut parts = uri.into_parts();
            let path = parts.path_and_query.as_ref().map_or("/", |both| both.path());
            let both = format!("{path}?{query}").parse();
            parts.path_and_query = Some(both.map_err(|_| Error::request("the query is none"))?);
            *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Error::request("the address is none"))?;
            Ok(())
        })
    }

    /// Tells who asks, with a password.
    ///
    /// In Go: `req.SetBasicAuth`.
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.authorization(basic(user, password))
    }

    /// Tells who asks, with a token.
    ///
    /// In Go: `req.Header.Set("Authorization", "Bearer "+token)`.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.authorization(format!("Bearer {token}"))
    }

    fn authorization(self, text: String) -> Self {
        self.and(|request| {
            let mut value =
                HeaderValue::try_from(text).map_err(|_| Error::request("the token cannot be in a header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
            Ok(())
        })
    }

    /// What the request carries. With `Expect: 100-continue` as a header it is not sent before the server has said that it
    /// wants it; see [`expect_continue_timeout`](super::ClientBuilder::expect_continue_timeout).
    ///
    /// In Go: the body of `http.NewRequest`.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.and(|request| {
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    fn body_of_type(self, content_type: HeaderValue, body: impl Into<Body>) -> Self {
        self.and(|request| {
            request.headers_mut().entry(header::CONTENT_TYPE).or_insert(content_type);
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    /// Carries the fields of a form.
    ///
    /// In Go: `client.PostForm`.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (name, value) in fields {
            add_pair(&mut text, name, value);
        }
        self.body_of_type(HeaderValue::from_static("application/x-www-form-urlencoded"), text)
    }

    /// Carries a value as JSON.
    ///
    /// In Go: `json.Marshal`, and a header.
    #[cfg(feature = "json")]
    pub fn json(self, value: &(impl serde::Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.body_of_type(crate::json::JSON, text),
            Err(error) => self.and(|_| Err(Error::request("the value cannot be JSON").because(error))),
        }
    }

    /// How long the whole exchange may take, in place of [what the client says](super::ClientBuilder::timeout).
    ///
    /// In Go: `context.WithTimeout`.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.timeout = limit.into();
        self
    }

    /// The request alone, for [`Client::send`].
    ///
    /// # Errors
    ///
    /// It cannot be sent as it is.
    pub fn build(self) -> Result<http::Request<Body>, Error> {
        self.request
    }

    /// Sends it, as [`Client::send`] does.
    ///
    /// # Errors
    ///
    /// As [`Client::send`]; the request cannot be sent as it is.
    ///
    /// # Cancellation
    ///
    /// As [`Client::send`].
    ///
    /// In Go: `client.Do`.
    #[track_caller]
    pub fn send(self, ctx: &Context) -> Result<Response, Error> {
        exchange::send(&self.client.inner, ctx, self.request?, self.timeout)
    }
}
