//! What stands between two stages: a sender, and the context of its goroutine.

use crate::chan::{self, Receiver, Sender, TrySendError};
use crate::context::Context;
use crate::spawn::{Goexit, ShutDown, go};
use crate::wait::{WaitReason, wait_for};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

/// What a goroutine of a pipeline sends to, and what ends it: that nobody receives any more, and its context.
///
/// All blocking in a stage goes through here, so none blocks on without its consumer.
pub(super) struct Link<T> {
    ctx: Context,
    tx: Sender<T>,
}

pub(super) fn link<T>(ctx: &Context, cap: usize) -> (Link<T>, Receiver<T>) {
    let (tx, rx) = chan::bounded(cap);
    (Link { ctx: ctx.clone(), tx }, rx)
}

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        Self { ctx: self.ctx.clone(), tx: self.tx.clone() }
    }
}

impl<T> Link<T> {
    /// Whether there is no point in going on.
    pub(super) fn is_over(&self) -> bool {
        self.tx.is_closed() || self.ctx.err().is_some()
    }

    /// Receives from above. `None` at the end of what comes from there, and when there is no point in going on.
    ///
    /// A panic from above is raised again.
    pub(super) fn next<S>(&self, rx: &Receiver<S>) -> Option<S> {
        if self.is_over() {
            return None;
        }
        // Not `try_recv`, which waits for an item that a `select!` has promised, whatever becomes of us.
        match rx.take_now() {
            Some(item) => Some(item),
            None => self.wait(WaitReason::ChanReceive, rx.recv_async())?.ok(),
        }
    }

    /// Sends downwards. False when there is no point in going on.
    pub(super) fn send(&self, item: T) -> bool {
        self.send_to(&self.tx, item)
    }

    /// The same by another channel.
    pub(super) fn send_to<S>(&self, tx: &Sender<S>, item: S) -> bool {
        if self.is_over() {
            return false;
        }
        match tx.try_send(item) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(item)) => {
                matches!(self.wait(WaitReason::ChanSend, tx.send_async(item)), Some(Ok(())))
            }
        }
    }

    fn wait<F: Future>(&self, reason: WaitReason, operation: F) -> Option<F::Output> {
        let operation = pin!(operation);
        wait_for(reason, pin!(unless_over(&self.ctx, self.tx.closed_async(), operation)))
    }
}

/// Waits for `operation`; `None` if before that the context is done, or nobody receives any more.
///
/// The operation is polled last, so that it has not ended when it is given up; and borrowed, so that what it holds,
/// which is the user's, is not dropped in a poll.
pub(super) async fn unless_over<F: Future + Unpin>(
    ctx: &Context,
    gone: impl Future<Output = ()>,
    mut operation: F,
) -> Option<F::Output> {
    let (mut gone, mut done) = (pin!(gone), pin!(ctx.done().recv_async()));
    poll_fn(|cx| {
        if gone.as_mut().poll(cx).is_ready() || done.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        std::pin::Pin::new(&mut operation).poll(cx).map(Some)
    })
    .await
}

/// Starts a goroutine of a stage. Its panic goes downwards, to whoever receives there.
#[track_caller]
pub(super) fn start<T: Send + 'static>(link: Link<T>, body: impl FnOnce(&Link<T>) + Send + 'static) {
    go(move || {
        if let Err(payload) = catch(|| body(&link)) {
            link.tx.fail(payload);
        }
    });
}

/// Starts one that has several outputs. The first that has a receiver gets the panic, the others its text.
#[track_caller]
pub(super) fn start_many<T: Send + 'static>(
    links: Vec<Sender<T>>,
    body: impl FnOnce(&[Sender<T>]) + Send + 'static,
) {
    go(move || {
        if let Err(payload) = catch(|| body(&links)) {
            let text = crate::task::report::text(&*payload).to_owned();
            let mut payload = Some(payload);
            for tx in links.iter().filter(|tx| !tx.is_closed()) {
                tx.fail(payload.take().unwrap_or_else(|| Box::new(text.clone())));
            }
            if let (Some(payload), Some(tx)) = (payload, links.first()) {
                tx.fail(payload);
            }
        }
    });
}

/// Catches a panic, the user's (told where the user's function is called) or one passed on from above. The end of a goroutine that is none is not caught.
pub(super) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Err(payload) if payload.is::<Goexit>() || payload.is::<ShutDown>() => resume_unwind(payload),
        result => result,
    }
}
