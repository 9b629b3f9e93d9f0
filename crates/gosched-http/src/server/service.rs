//! From hyper's requests to handlers, and back.
//!
//! # Where a handler runs
//!
//! A connection is a future on a goroutine. Over HTTP/1 a request without a body is answered inside its poll: nothing is
//! spawned, nothing is woken, and a handler that blocks keeps the stack that the poll runs on until it returns. (A
//! connection that waits for its next request has no stack.) Nothing is lost by that, since HTTP/1 knows one request at a
//! time; that the client goes away is seen by a goroutine which looks for it if the handler asks for its context.
//!
//! A handler that may read a body, or that shares the connection with others (HTTP/2), must not keep the connection from
//! being polled, and runs on a goroutine of its own; so does one behind TLS, where nobody but the connection can see the
//! client go.

use super::conn::Conn;
use super::copies;
use crate::body::{Body, Limits, Reading, longer};
use crate::handler::Aborted;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::slot::{Slot, Ticket};
use bytes::Bytes;
use gosched::goroutine::{self, Goexit, JoinHandle, ShutDown};
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub(super) struct Service {
    conn: Arc<Conn>,
    http2: bool,
}

/// The connection (HTTP/2: the stream) ends without an answer.
#[derive(Debug)]
pub(super) struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler has aborted")
    }
}

impl Error for NoAnswer {}

type Answer = Result<Response, NoAnswer>;

impl Service {
    pub(super) fn new(conn: Arc<Conn>, http2: bool) -> Self {
        Self { conn, http2 }
    }
}

impl hyper::service::Service<http::Request<Incoming>> for Service {
    type Response = http::Response<Outgoing>;
    type Error = NoAnswer;
    type Future = Call;

    fn call(&self, request: http::Request<Incoming>) -> Call {
        let (parts, incoming) = request.into_parts();
        let has_body = !incoming.is_end_stream();
        let single = !self.http2 && !has_body;
        let until = self.conn.begin(single, has_body);
        let inside = single && !self.conn.info.secure;
        // Requests of HTTP/2 are many at a time.
        let slot = if self.http2 {
            Arc::new(Slot::new(Some(self.conn.info.clone())))
        } else {
            self.conn.slot.clone()
        };
        let ticket = slot.begin(inside);
        let pending = Pending {
            conn: self.conn.clone(),
            slot: self.http2.then(|| slot.clone()),
            ticket,
            single,
            whole: false,
            head_only: parts.method == Method::HEAD,
        };
        if inside {
            return match answer(&self.conn, Request::new(parts, slot, ticket, None)) {
                Ok(response) => Call::Done(Some(pending.finish(None, response))),
                Err(NoAnswer) => Call::Done(None),
            };
        }
        let expects = has_body && !self.http2 && parts.headers.contains_key(EXPECT);
        let body = has_body.then(|| {
            let limits = Limits { until, stall: self.conn.config().stall_timeout };
            Body::incoming(incoming, limits, Reading(self.conn.clone()))
        });
        let request = Request::new(parts, slot, ticket, body);
        let conn = self.conn.clone();
        let answer = match goroutine::Builder::new().spawn(move || answer(&conn, request)) {
            Ok(handle) => Answering::Elsewhere(handle),
            // No stack, no memory: others have them, and will give them back.
            Err(_) => Answering::Done(Some(StatusCode::SERVICE_UNAVAILABLE.into_response())),
        };
        Call::Waiting { answer, expects, pending: Some(pending) }
    }
}

/// Calls the handler; its panic is an answer, too.
#[inline]
fn answer(conn: &Conn, request: Request) -> Answer {
    // For the log, should it panic: clones of these allocate nothing, but for methods nobody knows.
    let (method, target) = (request.method().clone(), request.uri().path_and_query().cloned());
    let handler = &conn.shared.handler;
    let payload = match catch_unwind(AssertUnwindSafe(|| handler.handle(request))) {
        Ok(response) => return Ok(response),
        Err(payload) => payload,
    };
    if payload.is::<Aborted>() {
        return Err(NoAnswer);
    }
    if payload.is::<Goexit>() || payload.is::<ShutDown>() {
        // That is not a panic; it ends the goroutine.
        resume_unwind(payload);
    }
    conn.config().log(format_args!(
        "http: panic serving {}: {} ({method} {})",
        conn.info.peer,
        text(&*payload),
        target.as_ref().map_or("", PathAndQuery::path),
    ));
    let mut response = (StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n").into_response();
    // In what state the handler has left things nobody knows.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("Box<dyn Any>")
}

/// A request that is being answered.
///
/// A client that waits to be told to send its body (`Expect: 100-continue`) is told so when the body is first read, and not
/// any more once the response has begun. Where the one depends on the other, as in an echo, it would wait for ever. So the
/// response begins with the first that its body has: by then the request's body was read, or is not needed for it.
// There is one for each connection; a box for each request would cost more.
#[allow(clippy::large_enum_variant)]
pub(super) enum Call {
    /// It was answered at once.
    Done(Option<http::Response<Outgoing>>),
    Waiting {
        answer: Answering,
        /// The client waits.
        expects: bool,
        pending: Option<Pending>,
    },
}

#[allow(clippy::large_enum_variant)]
pub(super) enum Answering {
    /// But for the first part of its body.
    Done(Option<Response>),
    Elsewhere(JoinHandle<Answer>),
}

impl Future for Call {
    type Output = Result<http::Response<Outgoing>, NoAnswer>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Self::Done(response) = &mut *self {
            return match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Ready(Err(NoAnswer)),
            };
        }
        self.poll_waiting(cx)
    }
}

impl Call {
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<http::Response<Outgoing>, NoAnswer>> {
        let Self::Waiting { answer, expects, pending } = self else { return Poll::Ready(Err(NoAnswer)) };
        let mut response = match answer {
            Answering::Done(response) => response.take().ok_or(NoAnswer)?,
            // A goroutine that ends otherwise has called `goexit`.
            Answering::Elsewhere(handle) => ready!(Pin::new(handle).poll(cx)).unwrap_or(Err(NoAnswer))?,
        };
        let mut first = None;
        if *expects {
            match Pin::new(response.body_mut()).poll_frame(cx) {
                Poll::Ready(frame) => first = frame.map(Box::new),
                Poll::Pending => {
                    *answer = Answering::Done(Some(response));
                    return Poll::Pending;
                }
            }
        }
        let Some(pending) = pending.take() else { return Poll::Ready(Err(NoAnswer)) };
        Poll::Ready(Ok(pending.finish(first, response)))
    }
}

/// A request counts until this is dropped.
pub(super) struct Pending {
    conn: Arc<Conn>,
    /// With HTTP/2; else the connection has it.
    slot: Option<Arc<Slot>>,
    ticket: Ticket,
    /// How the connection counts it.
    single: bool,
    /// All of the response was taken to be sent.
    whole: bool,
    /// Nobody wants the body.
    head_only: bool,
}

impl Pending {
    /// The response as hyper is given it. `first` was taken from its body already.
    #[inline(always)]
    fn finish(mut self, first: First, mut response: Response) -> http::Response<Outgoing> {
        if self.slot.is_some() {
            response.headers_mut().remove(CONNECTION);
        } else if self.conn.shared.is_ending() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let (parts, body) = response.into_parts();
        self.whole = self.head_only || first.is_none() && body.is_end_stream();
        http::Response::from_parts(parts, Outgoing { first, body, pending: self })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let slot = self.slot.as_ref().unwrap_or(&self.conn.slot);
        if self.whole {
            slot.returned(self.ticket);
        } else {
            slot.gone(self.ticket);
        }
        self.conn.end(self.single);
        if self.slot.is_some() {
            // Streams are goroutines of their own.
            self.conn.wake();
        }
    }
}

/// What was taken from a body already.
type First = Option<Box<io::Result<Frame<Bytes>>>>;

/// A response's body, which tells when it is done.
pub(super) struct Outgoing {
    first: First,
    body: Body,
    pending: Pending,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // As most are: one small piece.
        if self.first.is_none()
            && let Some(bytes) = self.body.take_small(copies::LARGE)
        {
            self.pending.whole = true;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        self.poll_any(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        match self.first.as_deref() {
            Some(Ok(first)) => longer(hint, first.data_ref().map_or(0, Bytes::len)),
            _ => hint,
        }
    }
}

impl Outgoing {
    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut frame = match self.first.take() {
            Some(first) => Some(*first),
            None => ready!(Pin::new(&mut self.body).poll_frame(cx)),
        };
        if let Some(Ok(frame)) = &mut frame
            && let Some(piece) = frame.data_mut()
        {
            let rest = self.pending.conn.copies().note_piece(piece);
            self.first = rest.map(|rest| Box::new(Ok(Frame::data(rest))));
        }
        if frame.is_none() || self.is_end_stream() {
            self.pending.whole = true;
        }
        Poll::Ready(frame)
    }
}
