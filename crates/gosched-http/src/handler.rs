//! What answers requests: functions, and functions around them.

use crate::request::Request;
use crate::response::{IntoResponse, Response};
use http::StatusCode;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

/// What answers a request: every function from a [`Request`] to something that [becomes a response](IntoResponse).
///
/// It is called on a goroutine and may block on everything that blocks goroutines: sleep, receive, lock, read the body,
/// ask another server. Many calls run at once, also of one client where it speaks HTTP/2.
///
/// # Panics
///
/// A handler that panics has its client answered with 500, the panic logged and an HTTP/1 connection closed; see
/// [`abort`] to close it without a word.
///
/// # Example
///
/// ```
/// use gosched_http::{Handler, Request};
///
/// fn hello(request: Request) -> String {
///     format!("hello, {}", request.path())
/// }
/// fn takes(_: impl Handler) {}
/// takes(hello);
/// takes(|_: Request| "hello");
/// ```
///
/// In Go: `http.Handler` and `http.HandlerFunc`.
pub trait Handler: Send + Sync + 'static {
    /// Answers.
    fn handle(&self, request: Request) -> Response;

    /// This handler with `middleware` around it, which is called in its place with the request and the handler.
    ///
    /// ```
    /// use gosched_http::{Handler, IntoResponse, Request, StatusCode};
    ///
    /// let secret = (|_: Request| "42").with(|request: Request, next: &dyn Handler| {
    ///     if request.header("authorization").is_none() {
    ///         return StatusCode::UNAUTHORIZED.into_response();
    ///     }
    ///     next.handle(request)
    /// });
    /// # let request = Request::from(http::Request::new(gosched_http::Body::empty()));
    /// # assert_eq!(secret.handle(request).status(), StatusCode::UNAUTHORIZED);
    /// ```
    ///
    /// In Go: a function from `http.Handler` to `http.Handler`.
    fn with<M>(self, middleware: M) -> With<Self, M>
    where
        Self: Sized,
        M: Fn(Request, &dyn Handler) -> Response + Send + Sync + 'static,
    {
        With { handler: self, middleware }
    }

    /// This handler with a limit on its time: when it is over the client is answered with 503, and the request's context
    /// ends with [`DeadlineExceeded`](gosched::context::ContextError::DeadlineExceeded). The handler is not interrupted, but
    /// runs on a goroutine of its own; what it returns is dropped then. The limit does not count the time to send the
    /// response.
    ///
    /// # Panics
    ///
    /// Those of the handler, if it panics in time.
    ///
    /// ```
    /// use gosched_http::{Handler, Request, StatusCode};
    /// use std::time::Duration;
    ///
    /// fn slow(request: Request) -> &'static str {
    ///     let _ = request.context().done().recv();
    ///     "too late"
    /// }
    /// let handler = slow.with_timeout(Duration::from_millis(10));
    /// # gosched::run(move || {
    /// # let request = Request::from(http::Request::new(gosched_http::Body::empty()));
    /// # assert_eq!(handler.handle(request).status(), StatusCode::SERVICE_UNAVAILABLE);
    /// # });
    /// ```
    ///
    /// In Go: `http.TimeoutHandler`.
    fn with_timeout(self, limit: Duration) -> WithTimeout<Self>
    where
        Self: Sized,
    {
        WithTimeout { handler: Arc::new(self), limit }
    }
}

impl<F, R> Handler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn handle(&self, request: Request) -> Response {
        self(request).into_response()
    }
}

/// A handler with a function around it; from [`Handler::with`].
///
/// ```
/// use gosched_http::{Handler, Request, Response, With};
///
/// fn log(request: Request, next: &dyn Handler) -> Response {
///     let path = request.path().to_owned();
///     let response = next.handle(request);
///     println!("{path}: {}", response.status());
///     response
/// }
/// let logged: With<_, _> = (|_: Request| "hello").with(log);
/// ```
///
/// In Go: what a middleware returns.
#[derive(Clone, Copy)]
pub struct With<H, M> {
    handler: H,
    middleware: M,
}

impl<H, M> Handler for With<H, M>
where
    H: Handler,
    M: Fn(Request, &dyn Handler) -> Response + Send + Sync + 'static,
{
    fn handle(&self, request: Request) -> Response {
        (self.middleware)(request, &self.handler)
    }
}

impl<H, M> fmt::Debug for With<H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("With { .. }")
    }
}

/// A handler with a limit on its time; from [`Handler::with_timeout`].
///
/// ```
/// use gosched_http::{Handler, Request, WithTimeout};
/// use std::time::Duration;
///
/// let limited: WithTimeout<_> = (|_: Request| "hello").with_timeout(Duration::from_secs(1));
/// ```
///
/// In Go: what `http.TimeoutHandler` returns.
pub struct WithTimeout<H> {
    handler: Arc<H>,
    limit: Duration,
}

impl<H: Handler> Handler for WithTimeout<H> {
    fn handle(&self, mut request: Request) -> Response {
        let ctx = request.context().with_timeout(self.limit);
        request.set_context((*ctx).clone());
        let handler = self.handler.clone();
        let answer = gosched::go(move || handler.handle(request));
        // The context also ends when the client goes away; then it does not matter what the answer is. It is asked once
        // more afterwards: a handler that returns because the time is over has not made it.
        match ctx.wait(answer) {
            Ok(Ok(response)) if ctx.err().is_none() => response,
            Ok(Err(payload)) => resume_unwind(payload),
            Ok(Ok(_)) | Err(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the handler has taken too long\n").into_response()
            }
        }
    }
}

impl<H> fmt::Debug for WithTimeout<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTimeout").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What [`abort`] unwinds with.
pub(crate) struct Aborted;

/// Ends the handler that calls it, and the connection (with HTTP/2: the stream), without an answer and without a log.
///
/// # Panics
///
/// Always: it unwinds, without calling the panic hook. Outside of a handler that is a panic like others.
///
/// ```
/// use gosched_http::{Request, abort};
///
/// fn handler(request: Request) -> &'static str {
///     if request.path() == "/secret" {
///         abort();
///     }
///     "hello"
/// }
/// # let _ = handler;
/// ```
///
/// In Go: `panic(http.ErrAbortHandler)`.
pub fn abort() -> ! {
    resume_unwind(Box::new(Aborted))
}
