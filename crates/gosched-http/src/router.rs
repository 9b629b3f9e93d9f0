//! Which handler answers which path.

use crate::handler::Handler;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use std::fmt;
use std::sync::Arc;

/// Handlers by method and path.
///
/// A pattern is a path whose segments are literal, `{name}` for any one segment, or, as the last one, `{*name}` for all
/// that follow. A literal segment goes before a named one, that before the rest; so the order of routes does not matter.
/// Handlers get the values by [`Request::param`], decoded. A pattern with a `/` at its end is another than without.
///
/// What no pattern matches is answered with 404, a method that a path does not have with 405 and `Allow`. HEAD goes to
/// GET's handler if it has none.
///
/// # Example
///
/// ```
/// use gosched_http::{Body, Handler, Request, Router, StatusCode};
///
/// fn user(request: Request) -> String {
///     format!("user {}", request.param("id").unwrap())
/// }
/// let router = Router::new().get("/users/{id}", user).get("/users/me", |_: Request| "you");
///
/// let ask = |path: &str| router.handle(http::Request::get(path).body(Body::empty()).unwrap().into());
/// assert_eq!(ask("/users/a%20b").body_mut().text(100)?, "user a b");
/// assert_eq!(ask("/users/me").body_mut().text(100)?, "you");
/// assert_eq!(ask("/").status(), StatusCode::NOT_FOUND);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `http.ServeMux`.
#[derive(Default)]
pub struct Router {
    root: Node,
    fallback: Option<Arc<dyn Handler>>,
}

#[derive(Default)]
struct Node {
    literal: Vec<(String, Node)>,
    named: Option<Box<Node>>,
    /// What ends here.
    routes: Option<Routes>,
    /// What takes the rest of the path.
    rest: Option<Routes>,
}

struct Routes {
    pattern: String,
    /// Names of the parameters, in the order of the path.
    names: Arc<[String]>,
    /// `None` is any method.
    handlers: Vec<(Option<Method>, Arc<dyn Handler>)>,
}

impl Router {
    /// One without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for GET, and for HEAD if that gets none.
    ///
    /// # Panics
    ///
    /// As [`route`](Router::route).
    #[track_caller]
    pub fn get(self, pattern: &str, handler: impl Handler) -> Self {
        self.route(Method::GET, pattern, handler)
    }

    /// Adds a handler for POST.
    ///
    /// # Panics
    ///
    /// As [`route`](Router::route).
    #[track_caller]
    pub fn post(self, pattern: &str, handler: impl Handler) -> Self {
        self.route(Method::POST, pattern, handler)
    }

    /// Adds a handler for PUT.
    ///
    /// # Panics
    ///
    /// As [`route`](Router::route).
    #[track_caller]
    pub fn put(self, pattern: &str, handler: impl Handler) -> Self {
        self.route(Method::PUT, pattern, handler)
    }

    /// Adds a handler for DELETE.
    ///
    /// # Panics
    ///
    /// As [`route`](Router::route).
    #[track_caller]
    pub fn delete(self, pattern: &str, handler: impl Handler) -> Self {
        self.route(Method::DELETE, pattern, handler)
    }

    /// Adds a handler for a method.
    ///
    /// # Panics
    ///
    /// The pattern does not begin with `/`, has a name twice or an empty one, or goes on after the rest; there is a
    /// handler for it already.
    ///
    /// In Go: `mux.Handle("GET /path", handler)`.
    #[track_caller]
    pub fn route(mut self, method: Method, pattern: &str, handler: impl Handler) -> Self {
        self.root.add(pattern, Some(method), Arc::new(handler));
        self
    }

    /// Adds a handler for all methods that get none of their own.
    ///
    /// # Panics
    ///
    /// As [`route`](Router::route).
    #[track_caller]
    pub fn any(mut self, pattern: &str, handler: impl Handler) -> Self {
        self.root.add(pattern, None, Arc::new(handler));
        self
    }

    /// Answers what no pattern matches, in place of 404.
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallback = Some(Arc::new(handler));
        self
    }
}

impl Handler for Router {
    fn handle(&self, mut request: Request) -> Response {
        let mut values = Vec::new();
        let path = request.path().strip_prefix('/').unwrap_or_default();
        let Some(routes) = self.root.find(path, &mut values) else {
            return match &self.fallback {
                Some(handler) => handler.handle(request),
                None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
            };
        };
        match routes.handler(request.method()) {
            Some(handler) => {
                request.set_params(&routes.names, values);
                handler.handle(request)
            }
            None => {
                let mut response = (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n").into_response();
                if let Ok(allow) = HeaderValue::from_str(&routes.allowed()) {
                    response.headers_mut().insert(ALLOW, allow);
                }
                response
            }
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut patterns = Vec::new();
        self.root.patterns(&mut patterns);
        f.debug_struct("Router").field("patterns", &patterns).finish_non_exhaustive()
    }
}

impl Routes {
    fn handler(&self, method: &Method) -> Option<&Arc<dyn Handler>> {
        let of = |wanted: Option<&Method>| {
            self.handlers.iter().find(|(method, _)| method.as_ref() == wanted).map(|(_, handler)| handler)
        };
        let get = || (method == Method::HEAD).then(|| of(Some(&Method::GET))).flatten();
        of(Some(method)).or_else(get).or_else(|| of(None))
    }

    fn allowed(&self) -> String {
        let mut methods: Vec<&str> =
            self.handlers.iter().filter_map(|(method, _)| Some(method.as_ref()?.as_str())).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }
}

impl Node {
    #[track_caller]
    fn add(&mut self, pattern: &str, method: Option<Method>, handler: Arc<dyn Handler>) {
        let path =
            pattern.strip_prefix('/').unwrap_or_else(|| panic!("the pattern {pattern:?} begins without a /"));
        let mut names: Vec<String> = Vec::new();
        let mut node = self;
        let mut segments = path.split('/');
        let place = loop {
            let Some(segment) = segments.next() else { break &mut node.routes };
            let Some(name) = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
                node = node.literal_child(segment);
                continue;
            };
            let bare = name.strip_prefix('*').unwrap_or(name);
            assert!(!bare.is_empty(), "the pattern {pattern:?} has a name that is empty");
            assert!(
                !names.iter().any(|other| other == bare),
                "the pattern {pattern:?} has the name {bare:?} twice"
            );
            names.push(bare.to_owned());
            if bare.len() < name.len() {
                assert!(segments.next().is_none(), "the pattern {pattern:?} goes on after the rest");
                break &mut node.rest;
            }
            node = node.named.get_or_insert_default();
        };
        let routes = place.get_or_insert_with(|| Routes {
            pattern: pattern.to_owned(),
            names: names.as_slice().into(),
            handlers: Vec::new(),
        });
        assert!(*routes.names == *names, "the pattern {pattern:?} is {:?} with other names", routes.pattern);
        assert!(
            !routes.handlers.iter().any(|(other, _)| *other == method),
            "the pattern {pattern:?} has a handler already"
        );
        routes.handlers.push((method, handler));
    }

    fn literal_child(&mut self, segment: &str) -> &mut Node {
        let at = match self.literal.iter().position(|(literal, _)| literal == segment) {
            Some(at) => at,
            None => {
                self.literal.push((segment.to_owned(), Node::default()));
                self.literal.len() - 1
            }
        };
        &mut self.literal[at].1
    }

    /// What answers `path`, relative to us. On success `values` has got the values of the parameters.
    fn find(&self, path: &str, values: &mut Vec<String>) -> Option<&Routes> {
        let (segment, after) = match path.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (path, None),
        };
        // A literal segment is compared decoded, as clients may encode what they need not.
        let decoded = decode(segment);
        if let Some((_, node)) = self.literal.iter().find(|(literal, _)| *literal == decoded)
            && let Some(routes) = node.after(after, values)
        {
            return Some(routes);
        }
        if let (Some(node), false) = (&self.named, segment.is_empty()) {
            let before = values.len();
            values.push(decoded);
            if let Some(routes) = node.after(after, values) {
                return Some(routes);
            }
            values.truncate(before);
        }
        let rest = self.rest.as_ref()?;
        values.push(decode(path));
        Some(rest)
    }

    fn after(&self, path: Option<&str>, values: &mut Vec<String>) -> Option<&Routes> {
        match path {
            Some(path) => self.find(path, values),
            None => self.routes.as_ref(),
        }
    }

    fn patterns(&self, into: &mut Vec<String>) {
        into.extend(self.routes.iter().chain(&self.rest).map(|routes| routes.pattern.clone()));
        self.literal.iter().for_each(|(_, node)| node.patterns(into));
        if let Some(node) = &self.named {
            node.patterns(into);
        }
    }
}

/// The values of a pattern's parameters.
#[derive(Default)]
pub(crate) struct Params {
    names: Arc<[String]>,
    values: Vec<String>,
}

impl Params {
    pub(crate) fn new(names: Arc<[String]>, values: Vec<String>) -> Self {
        Self { names, values }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|other| other == name)?;
        self.values.get(at).map(String::as_str)
    }
}

/// Percent-decodes; what is not UTF-8 after that is replaced, what is no code stays.
pub(crate) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|digits| {
            let high = char::from(digits[0]).to_digit(16)?;
            let low = char::from(digits[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
