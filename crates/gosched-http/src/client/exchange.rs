//! An exchange: a request and its response, over redirects and retries.

use super::Inner;
use super::dial::{Target, proxy_auth};
use super::error::Error;
use super::outgoing::{Held, Outgoing, hold};
use super::pool::Lease;
use super::proxy::credentials;
use super::redirect;
use crate::body::{Body, Exchange, Reader};
use crate::lock;
use crate::response::Response;
use gosched::chan::Receiver;
use gosched::context::Context;
use gosched::time::sleep_async;
use http::request::Parts;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// See [`Client::send`](super::Client::send).
#[track_caller]
pub(super) fn send(
    client: &Inner,
    outer: &Context,
    request: http::Request<Body>,
    timeout: Option<Duration>,
) -> Result<Response, Error> {
    let ctx = match timeout {
        Some(limit) => outer.with_timeout(limit),
        None => outer.with_cancel(),
    };
    let (mut parts, mut body) = request.into_parts();
    let mut followed = 0;
    loop {
        let again = body.again();
        let about = |error: Error| {
            // Whose limit it was.
            let error = match timeout {
                Some(limit) if error.is_deadline() && outer.err().is_none() => {
                    Error::timeout(format!("after {limit:?}, the limit of the whole"))
                }
                _ => error,
            };
            error.about(&parts.method, &parts.uri)
        };
        let (mut response, lease) = round_trip(client, &ctx, &parts, body).map_err(about)?;
        let next = redirect::method(response.status(), &parts.method)
            .filter(|_| client.settings.redirects > 0)
            .zip(redirect::target(&parts.uri, response.headers()));
        let next = match next {
            // The body went with the request, and must go with the next.
            Some((method, _)) if method == parts.method && again.is_none() => None,
            next => next,
        };
        let Some((method, uri)) = next else {
            let reader = Arc::new(Kept(Mutex::new(Some(lease))));
            response.body_mut().of_client(Exchange { ctx }, reader);
            return Ok(response);
        };
        if followed == client.settings.redirects {
            return Err(about(Error::redirects(followed)));
        }
        followed += 1;
        // A short rest is read, so that the connection can be kept; else it is closed.
        let drained = ctx.wait(drain(response.body_mut())).map_err(|error| about(error.into()))?;
        drop(response);
        if drained {
            lease.give_back();
        }
        body = if method == parts.method { again.unwrap_or_default() } else { Body::empty() };
        if method != parts.method {
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.remove(header::EXPECT);
        }
        if uri.authority() != parts.uri.authority() || redirect::is_downgrade(&parts.uri, &uri) {
            redirect::strip(&mut parts.headers);
        }
        parts.headers.remove(header::HOST);
        (parts.method, parts.uri) = (method, uri);
    }
}

/// One request, on as many connections as turn out to be closed.
#[track_caller]
fn round_trip(
    client: &Inner,
    ctx: &Context,
    parts: &Parts,
    mut body: Body,
) -> Result<(Response, Lease), Error> {
    let to = Arc::new(Target::of(&parts.uri, &client.proxies)?);
    loop {
        let mut lease = client.pool.get(ctx, &to)?;
        let again = body.again();
        let mut prepared = prepare(client, parts, &to, body)?;
        if let Some(error) = ctx.err() {
            // Too late, but the connection is good.
            lease.give_back();
            return Err(error.into());
        }
        let Some(conn) = lease.conn() else { return Err(Error::closed()) };
        let answer = conn.try_send_request(prepared.request);
        let answer = ctx.wait(in_time(answer, client.settings.header_timeout, prepared.sent.take()))?;
        let answer = answer.ok_or_else(|| Error::timeout(format!("waiting for the response of {to}")))?;
        let mut failed = match answer {
            Ok(response) => {
                if prepared.held.is_some_and(|held| held.answered()) {
                    lease.not_again();
                }
                return Ok((received(response, prepared.decompress), lease));
            }
            Err(failed) => failed,
        };
        let unsent = failed.take_message().map(|request| request.into_body().into_body());
        let error = failed.into_error();
        // Nothing was written; or perhaps it was, but doing it twice does no harm.
        let repeat = unsent.or_else(|| again.filter(|_| parts.method.is_idempotent()));
        match repeat {
            Some(repeat) if lease.reused && ctx.err().is_none() => body = repeat,
            _ => return Err(Error::exchange(error)),
        }
    }
}

/// A request as it is written, and what is to be known of it afterwards.
struct Prepared {
    request: http::Request<Outgoing>,
    /// Ends when the request was sent; where somebody wants to know.
    sent: Option<Receiver<Infallible>>,
    held: Option<Held>,
    /// What comes compressed is to be read as what it was.
    decompress: bool,
}

/// The request as it is written: with a path alone, unless a proxy must know the rest, and the host as a header.
fn prepare(client: &Inner, parts: &Parts, to: &Target, body: Body) -> Result<Prepared, Error> {
    let mut request = http::Request::new(Outgoing::new(body));
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    let uri = &parts.uri;
    // Without what may stand before it: that is no part of the host.
    let host = match (uri.host().unwrap_or_default(), uri.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let whole = if to.forwards().is_some() { format!("http://{host}{path}") } else { path.to_owned() };
    *request.uri_mut() = whole.parse().map_err(|_| Error::request("the path is none"))?;
    let headers = request.headers_mut();
    if !headers.contains_key(header::HOST) {
        let host = HeaderValue::from_str(&host).map_err(|_| Error::request("the host is none"))?;
        headers.insert(header::HOST, host);
    }
    if let Some(auth) = credentials(uri)
        && !headers.contains_key(header::AUTHORIZATION)
        && let Ok(auth) = HeaderValue::from_str(&auth)
    {
        headers.insert(header::AUTHORIZATION, auth);
    }
    if let Some(auth) = proxy_auth(to) {
        headers.insert(header::PROXY_AUTHORIZATION, auth);
    }
    #[cfg(feature = "compression")]
    let decompress = client.settings.decompress && crate::decode::Coding::ask(&parts.method, headers);
    #[cfg(not(feature = "compression"))]
    let decompress = false;
    let waits = client.settings.continue_timeout.is_none_or(|limit| !limit.is_zero());
    let held = (waits && expects(&request)).then(|| hold(&mut request, client.settings.continue_timeout));
    let sent = client.settings.header_timeout.map(|_| request.body_mut().watch());
    Ok(Prepared { request, sent, held, decompress })
}

/// Whether the body is to wait for the server's word.
fn expects(request: &http::Request<Outgoing>) -> bool {
    let expected = request.headers().get(header::EXPECT);
    let says = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    expected.is_some_and(says) && !http_body::Body::is_end_stream(request.body())
}

/// `answer`, unless it takes longer than `limit` after the end of `sent`.
async fn in_time<T>(
    answer: impl Future<Output = T>,
    limit: Option<Duration>,
    sent: Option<Receiver<Infallible>>,
) -> Option<T> {
    let (Some(limit), Some(sent)) = (limit, sent) else { return Some(answer.await) };
    let late = async {
        let _ = sent.recv_async().await;
        sleep_async(limit).await;
    };
    let (mut answer, mut late) = (pin!(answer), pin!(late));
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(feature = "compression")]
fn received(mut response: http::Response<Incoming>, decompress: bool) -> Response {
    use http_body::Body as _;
    let wanted = decompress && !response.body().is_end_stream();
    match wanted.then(|| crate::decode::Coding::take(response.headers_mut())).flatten() {
        Some(coding) => response.map(|incoming| Body::decoded(incoming, coding)),
        None => response.map(Body::response),
    }
}

#[cfg(not(feature = "compression"))]
fn received(response: http::Response<Incoming>, _: bool) -> Response {
    response.map(Body::response)
}

/// Gives a connection back when the body was read, or is not wanted any more.
struct Kept(Mutex<Option<Lease>>);

impl Reader for Kept {
    fn has_read(&self) {
        let lease = lock(&self.0).take();
        if let Some(lease) = lease {
            lease.give_back();
        }
    }
}

/// Reads what is left if it is not much; whether it has come to the end.
async fn drain(body: &mut Body) -> bool {
    let mut left = 64 * 1024_usize;
    loop {
        match body.next_chunk_async().await {
            Ok(None) => return true,
            Ok(Some(chunk)) if chunk.len() <= left => left -= chunk.len(),
            _ => return false,
        }
    }
}
