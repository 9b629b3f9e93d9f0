//! A request's body on its way: who waits until it was sent, and what it waits for itself (`Expect: 100-continue`).

use crate::body::Body;
use crate::lock;
use bytes::Bytes;
use futures_core::Stream;
use gosched::chan::{self, IntoStream, Receiver, Sender};
use gosched::time::{Sleep, sleep_async};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::ext::on_informational;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// See the module.
pub(super) struct Outgoing {
    body: Body,
    gate: Option<Box<Gate>>,
    /// Dropped with the body: hyper does that when it has sent all of it.
    _sent: Option<Sender<Infallible>>,
}

/// Holds a body back until the server says that it wants it, or says nothing for a while.
struct Gate {
    state: Arc<Mutex<State>>,
    go_on: IntoStream<()>,
    limit: Option<Duration>,
    /// Begins when hyper asks for the body, with the head on its way.
    sleep: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Shut,
    Open,
    /// There was an answer before the body was sent. It is not, and the connection ends after the answer.
    Refused,
}

/// The other side of a body that is held back.
pub(super) struct Held(Arc<Mutex<State>>);

impl Held {
    /// The answer has come; whether the body was not sent before that, and never will be.
    pub(super) fn answered(&self) -> bool {
        let mut state = lock(&self.0);
        if *state == State::Shut {
            *state = State::Refused;
        }
        *state == State::Refused
    }
}

impl Outgoing {
    pub(super) fn new(body: Body) -> Self {
        Self { body, gate: None, _sent: None }
    }

    /// What ends when the body was sent.
    pub(super) fn watch(&mut self) -> Receiver<Infallible> {
        let (tx, rx) = chan::bounded(0);
        self._sent = Some(tx);
        rx
    }

    pub(super) fn into_body(self) -> Body {
        self.body
    }
}

/// Has the request's body wait for what the server says to its head, but not for longer than `limit`.
pub(super) fn hold(request: &mut http::Request<Outgoing>, limit: Option<Duration>) -> Held {
    let state = Arc::new(Mutex::new(State::Shut));
    let (tx, rx) = chan::bounded(1);
    on_informational(request, move |response| {
        if response.status() == http::StatusCode::CONTINUE {
            // There is room for the first; others say nothing new.
            let _ = tx.try_send(());
        }
    });
    let gate = Gate { state: state.clone(), go_on: rx.into_stream(), limit, sleep: None };
    request.body_mut().gate = Some(Box::new(gate));
    Held(state)
}

impl Gate {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Nothing more is sent to it when hyper has dropped the function above; then the time alone counts.
        let told = matches!(Pin::new(&mut self.go_on).poll_next(cx), Poll::Ready(Some(())));
        let late = self.limit.is_some_and(|limit| {
            self.sleep.get_or_insert_with(|| Box::pin(sleep_async(limit))).as_mut().poll(cx).is_ready()
        });
        if !told && !late {
            return Poll::Pending;
        }
        let mut state = lock(&self.state);
        if *state == State::Refused {
            return Poll::Pending;
        }
        *state = State::Open;
        Poll::Ready(())
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(gate) = &mut self.gate {
            if gate.poll_open(cx).is_pending() {
                return Poll::Pending;
            }
            self.gate = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
