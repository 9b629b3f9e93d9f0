//! A connection's goroutine: which protocol it speaks, then hyper's connection, under our limits on time.

use super::config::{Config, ConnState};
use super::conn::Conn;
use super::io::{Io, Stream};
use super::service::Service;
use super::shared::Shared;
use bytes::{Bytes, BytesMut};
use gosched::net::TcpStream;
use gosched::sync::SemaphoreGuard;
use gosched::time::{Sleep, now, sleep_until_async};
use hyper::rt::{Read, ReadBuf};
use hyper::server::conn::http1;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How long an ending server waits for the first byte of a connection that has sent none.
const NEW_GRACE: Duration = Duration::from_secs(5);
/// How long a connection has been idle before its buffers are given back. Long enough that a busy one keeps them.
const REST: Duration = Duration::from_millis(250);
/// With this an HTTP/2 connection begins.
#[cfg(feature = "http2")]
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#[cfg(not(feature = "http2"))]
const PREFACE: &[u8] = b"";

/// Takes a connection off the server's list when its goroutine ends, however that is.
struct Listed {
    conn: Arc<Conn>,
    id: u64,
    _place: Option<SemaphoreGuard>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.conn.set_state(ConnState::Closed);
        self.conn.shared.remove(self.id);
    }
}

/// Serves a connection.
async fn serve(listed: Listed, stream: TcpStream) {
    let conn = listed.conn.clone();
    conn.tell(ConnState::New);
    let mut alarm = Alarm::default();
    let opened = now();
    let Some((stream, http2)) = handshake(&conn, stream, opened, &mut alarm).await else { return };
    let mut io = Io::new(stream, conn.clone());
    let http2 = match http2 {
        Some(http2) => http2,
        None => match detect(&conn, &mut io, opened, &mut alarm).await {
            Some(http2) => http2,
            None => return,
        },
    };
    let mut service = Service::new(conn.clone(), http2);
    #[cfg(feature = "http2")]
    if http2 {
        // Boxed, as few are of this kind: each connection's future has room for the largest.
        let mut http = http2::of(&conn, io, service);
        drive(&conn, &mut http, true, &mut alarm).await;
        return;
    }
    loop {
        let mut http = http1(&conn).serve_connection(io, service).with_upgrades();
        let end = drive(&conn, &mut http, false, &mut alarm).await;
        if matches!(end, End::Over) {
            return;
        }
        // It is not in the middle of anything, so hyper's connection with its 16 KiB of buffers can be made anew.
        let Some(parts) = http.into_parts() else { return };
        (io, service) = (parts.io, parts.service);
        if !parts.read_buf.is_empty() {
            io.unread(Bytes::copy_from_slice(&parts.read_buf));
        }
        drop(parts.read_buf);
        match end {
            End::Rest(since) => {
                if rest(&conn, &mut io, since, &mut alarm).await.is_none() {
                    return;
                }
            }
            _ => conn.copies().turn(),
        }
    }
}

fn http1(conn: &Conn) -> http1::Builder {
    let config = conn.config();
    let mut builder = http1::Builder::new();
    builder
        // One that shuts its writing side down is gone; so handlers learn of it.
        .half_close(false)
        .max_header_size(config.max_header_bytes)
        // Room for a head of that size with what may have been read beyond it.
        .max_buf_size(config.max_header_bytes.max(64 * 1024) + 8192)
        .writev(!conn.copies().are_made());
    if let Some(count) = config.max_headers {
        builder.max_headers(count);
    }
    builder
}

// ---- before the first request ---------------------------------------------------------------

/// Polls for what a new connection must do first, as long as it may take.
async fn first<T>(
    conn: &Conn,
    opened: Instant,
    alarm: &mut Alarm,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> Option<T> {
    poll_fn(|cx| {
        conn.register(cx.waker());
        if let Poll::Ready(result) = poll(cx) {
            return Poll::Ready(result.ok());
        }
        let limit = conn.config().header_limit();
        let limit = if conn.shared.is_ending() {
            Some(limit.map_or(NEW_GRACE, |limit| limit.min(NEW_GRACE)))
        } else {
            limit
        };
        if alarm.poll(cx, limit.map(|limit| opened + limit)) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// The stream, and which protocol was agreed upon, where that is known already: whether it is HTTP/2.
#[cfg(not(feature = "tls"))]
async fn handshake(_: &Conn, stream: TcpStream, _: Instant, _: &mut Alarm) -> Option<(Stream, Option<bool>)> {
    Some((Stream::Plain(stream), None))
}

#[cfg(feature = "tls")]
async fn handshake(
    conn: &Conn,
    stream: TcpStream,
    opened: Instant,
    alarm: &mut Alarm,
) -> Option<(Stream, Option<bool>)> {
    let Some(acceptor) = &conn.config().tls else { return Some((Stream::Plain(stream), None)) };
    let mut accept = Box::pin(acceptor.accept(stream));
    let stream = first(conn, opened, alarm, |cx| accept.as_mut().poll(cx)).await?;
    let http2 = cfg!(feature = "http2") && stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Some((Stream::Tls(Box::new(stream)), Some(http2)))
}

/// Reads until it is clear whether HTTP/2 is spoken. A connection that has sent nothing has no buffers before that.
async fn detect(conn: &Conn, io: &mut Io, opened: Instant, alarm: &mut Alarm) -> Option<bool> {
    let mut prefix = BytesMut::new();
    let http2 = first(conn, opened, alarm, |cx| {
        loop {
            let mut room = [0; 24];
            let wanted = PREFACE.len().max(1) - prefix.len();
            let mut buf = ReadBuf::new(&mut room[..wanted]);
            ready!(Pin::new(&mut *io).poll_read(cx, buf.unfilled()))?;
            if buf.filled().is_empty() {
                // Also after some bytes: they are no request.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            prefix.extend_from_slice(buf.filled());
            if !PREFACE.starts_with(&prefix) {
                return Poll::Ready(Ok(false));
            }
            if prefix.len() == PREFACE.len() {
                return Poll::Ready(Ok(true));
            }
        }
    })
    .await?;
    io.unread(Bytes::from(prefix));
    Some(http2)
}

/// Waits for the next request without any buffers. `None` if it does not come.
async fn rest(conn: &Conn, io: &mut Io, since: Instant, alarm: &mut Alarm) -> Option<()> {
    poll_fn(|cx| {
        conn.register(cx.waker());
        let mut room = [0; 1024];
        let mut buf = ReadBuf::new(&mut room);
        match Pin::new(&mut *io).poll_read(cx, buf.unfilled()) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                io.unread(Bytes::copy_from_slice(buf.filled()));
                return Poll::Ready(Some(()));
            }
            Poll::Ready(_) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let limit = conn.config().idle_limit();
        let due = alarm.poll(cx, limit.and_then(|limit| since.checked_add(limit)));
        if due || conn.shared.is_ending() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

// ---- hyper's connection ---------------------------------------------------------------------

/// What both protocols' connections can do.
trait Http: Future + Unpin {
    /// Ends it after the requests that it has.
    fn finish(&mut self);
}

impl Http for http1::UpgradeableConnection<Io, Service> {
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

#[cfg(feature = "http2")]
mod http2 {
    use super::*;
    use hyper::server::conn::http2::{Builder, Connection};

    /// Streams are goroutines.
    #[derive(Clone)]
    pub(super) struct Executor;

    impl<F> hyper::rt::Executor<F> for Executor
    where
        F: Future<Output: Send> + Send + 'static,
    {
        fn execute(&self, future: F) {
            gosched::go_async(future);
        }
    }

    impl Http for Pin<Box<Connection<Io, Service, Executor>>> {
        fn finish(&mut self) {
            self.as_mut().graceful_shutdown();
        }
    }

    pub(super) fn of(conn: &Conn, io: Io, service: Service) -> Pin<Box<Connection<Io, Service, Executor>>> {
        let config = conn.config();
        let mut builder = Builder::new(Executor);
        builder
            .max_concurrent_streams(config.max_streams)
            .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX));
        Box::pin(builder.serve_connection(io, service))
    }
}

/// Why hyper's connection is polled no more.
enum End {
    /// It has ended, or a limit was exceeded.
    Over,
    /// Nothing has happened for a while, since then.
    Rest(Instant),
    /// It shall write in the other way.
    Turn,
}

/// Polls hyper's connection until it ends, some limit is exceeded, or it may rest.
async fn drive<C: Http>(conn: &Conn, http: &mut C, http2: bool, alarm: &mut Alarm) -> End {
    let mut finishing = false;
    let mut phase = Phase::default();
    let until_look = conn.config().idle_limit().map_or(REST, |limit| limit.min(REST));
    poll_fn(|cx| {
        conn.register(cx.waker());
        loop {
            if Pin::new(&mut *http).poll(cx).is_ready() {
                return Poll::Ready(End::Over);
            }
            let quiet = conn.is_quiet();
            if quiet && conn.is_state(ConnState::Active) {
                conn.set_state(ConnState::Idle);
            }
            // Half a head is a request: it will have its answer, and `Connection: close` with that.
            let may_finish = http2 || quiet && !conn.has_begun() && !conn.is_blocked();
            if may_finish && !finishing && conn.shared.is_ending() {
                finishing = true;
                http.finish();
                continue;
            }
            let kind = Kind::of(conn, quiet, http2);
            // It is not in the middle of anything.
            let idle = kind == Kind::Idle && !http2 && !finishing;
            if idle && conn.copies().should_turn() {
                return Poll::Ready(End::Turn);
            }
            let wait = if idle { Some(until_look) } else { kind.limit(conn.config()) };
            let looked = phase.note(kind, conn.take_wrote(), wait.is_some());
            let write_until = if kind == Kind::Room { conn.write_until() } else { None };
            let next = earlier(phase.after(wait), write_until);
            if alarm.is_ahead(next, looked) || !alarm.poll(cx, next) {
                return Poll::Pending;
            }
            let deadline = earlier(phase.after(kind.limit(conn.config())), write_until);
            return Poll::Ready(match phase.since.filter(|_| idle) {
                Some(since) if deadline.is_none_or(|deadline| deadline > now()) => End::Rest(since),
                _ => End::Over,
            });
        }
    })
    .await
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// Room to write.
    Room,
    /// The handler, or a body.
    Handler,
}

impl Kind {
    fn of(conn: &Conn, quiet: bool, http2: bool) -> Self {
        if conn.is_blocked() {
            Self::Room
        } else if !quiet {
            Self::Handler
        } else if conn.has_begun() && !http2 {
            Self::Head
        } else {
            Self::Idle
        }
    }

    /// How long that may take.
    fn limit(self, config: &Config) -> Option<Duration> {
        match self {
            Self::Idle => config.idle_limit(),
            Self::Head => config.header_limit(),
            Self::Room => config.stall_timeout,
            Self::Handler => None,
        }
    }
}

/// What the connection waits for, and since when.
#[derive(Default)]
struct Phase {
    kind: Option<Kind>,
    since: Option<Instant>,
}

impl Phase {
    /// Notes what it waits for; since when only if that is `wanted`. Returns what time it is, if that was looked at.
    fn note(&mut self, kind: Kind, wrote: bool, wanted: bool) -> Option<Instant> {
        if self.kind == Some(kind) && !wrote {
            return None;
        }
        // Something was answered since, or some bytes went out: it counts from now.
        self.kind = Some(kind);
        self.since = wanted.then(now);
        self.since
    }

    /// When so much time is over.
    fn after(&self, wait: Option<Duration>) -> Option<Instant> {
        self.since?.checked_add(wait?)
    }
}

/// One timer for all limits. It is put earlier when it must, but never later: it is armed anew when it has fired too
/// early. So a connection that answers many requests sets it once in a while, not for each.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Alarm {
    /// Whether it is set early enough and cannot have fired yet: then it need not be asked.
    fn is_ahead(&self, deadline: Option<Instant>, now: Option<Instant>) -> bool {
        let (Some(at), Some(deadline), Some(now)) = (self.at, deadline, now) else { return false };
        now < at && at <= deadline
    }

    /// Whether `deadline` is over; else the goroutine is woken when it is.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return false };
        loop {
            if self.at.is_none_or(|at| at > deadline) {
                match &mut self.sleep {
                    Some(sleep) => sleep.set(sleep_until_async(deadline)),
                    None => self.sleep = Some(Box::pin(sleep_until_async(deadline))),
                }
                self.at = Some(deadline);
            }
            let Some(sleep) = &mut self.sleep else { return false };
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.at = None;
            if deadline <= now() {
                return true;
            }
        }
    }
}

/// Starts the goroutine of a connection that was accepted.
pub(super) fn start(
    shared: &Arc<Shared>,
    stream: TcpStream,
    info: crate::slot::ConnInfo,
    place: Option<SemaphoreGuard>,
) {
    let conn = Arc::new(Conn::new(info, shared.clone()));
    // It counts from here on, before the listener is asked again.
    let Some(id) = shared.add(&conn) else { return };
    gosched::go_async(serve(Listed { conn, id, _place: place }, stream));
}
