//! Channels: typed pipes between goroutines, threads and async tasks.
//!
//! [`bounded`] makes a channel with a buffer of fixed size; a size of 0 is Go's unbuffered channel, whose send
//! returns only after a receiver has taken the message. [`unbounded`] never makes a sender wait. [`after`],
//! [`at`] and [`tick`] deliver points in time, [`never()`] delivers nothing.
//!
//! Functions, methods, errors and their texts are those of `crossbeam-channel` 0.5. New are [`Sender::close`],
//! `is_closed`, and the async forms: [`Sender::send_async`], [`Receiver::recv_async`], streams and sinks. All
//! may be mixed on one channel.
//!
//! # What is promised
//!
//! - Messages of one sender arrive in the order in which it sent them; those of several in the order in which
//!   their sends completed. Waiting receivers, and waiting senders, are served first come first served.
//! - No message is lost or doubled: a send that fails gives its message back, a cancelled receive gives back
//!   what it had been handed.
//! - What was done before a send is seen after the matching receive. What was done before closing is seen by
//!   whoever learns of it. What was done before a receive is seen after the send that got its place; without a
//!   buffer, after the matching send.
//! - Nothing is allocated by a send or receive, except when an unbounded buffer grows.
//!
//! # How it is built
//!
//! One short lock guards a channel's `state`; a `word` beside it lets operations that fail, and `len` and
//! its like, do without. Waiting operations queue nodes that live in their own futures; who serves one fills in
//! the result, unlocks, and wakes. A `select` takes the locks of all its channels in the order of their
//! addresses (`port`, and `crate::select`).

mod closed;
mod core;
mod err;
#[cfg(all(test, not(loom)))]
#[allow(non_snake_case)]
mod goroutine_tests;
mod iter;
#[cfg(all(test, loom))]
mod loom_lean_tests;
#[cfg(all(test, loom))]
mod loom_tests;
mod port;
mod queued;
mod receiver;
mod recv;
mod send;
mod sender;
mod state;
mod stream;
#[cfg(all(test, not(loom)))]
#[allow(non_snake_case)]
mod tests;
mod timer;
mod word;

pub use closed::ClosedFuture;
pub use err::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
pub use recv::RecvFuture;
pub use send::SendFuture;
pub use sender::Sender;
pub use stream::{IntoStream, Sink, Stream};

pub(crate) use timer::now;

use self::core::Chan;
use std::time::{Duration, Instant};

/// A channel whose buffer has `cap` places.
///
/// With `cap` 0 there is no buffer: a send and a receive meet, and the send returns after the receiver has
/// taken the message.
///
/// # Panics
///
/// If there can be no memory for `cap` messages.
///
/// ```
/// use gosched::chan::bounded;
///
/// let (tx, rx) = bounded(1);
/// std::thread::spawn(move || {
///     for i in 0..3 {
///         tx.send(i).unwrap(); // waits while the buffer is full
///     }
/// });
/// assert_eq!(rx.iter().sum::<i32>(), 3);
/// ```
///
/// In Go: `make(chan T, cap)`.
pub fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    let chan = Chan::new(Some(cap));
    (Sender::from_chan(chan), Receiver::from_chan(chan))
}

/// A channel that takes any number of messages without making a sender wait.
///
/// ```
/// let (tx, rx) = gosched::chan::unbounded();
/// for i in 0..1000 {
///     tx.send(i).unwrap();
/// }
/// assert_eq!(rx.len(), 1000);
/// ```
///
/// In Go there is none; see the advice on back-pressure before using it.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let chan = Chan::new(None);
    (Sender::from_chan(chan), Receiver::from_chan(chan))
}

/// A channel that delivers one message, the time `duration` from now, at that time.
///
/// It can hold one message and is never closed. A duration that leads beyond the clock's range never comes.
///
/// ```
/// use gosched::chan::after;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// after(Duration::from_millis(10)).recv().unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(10));
/// ```
///
/// In Go: `time.After(d)`.
pub fn after(duration: Duration) -> Receiver<Instant> {
    now().checked_add(duration).map_or_else(never, at)
}

/// A channel that delivers one message, `when`, at that time.
///
/// It can hold one message and is never closed.
///
/// ```
/// use std::time::Instant;
///
/// let now = Instant::now();
/// assert_eq!(gosched::chan::at(now).recv(), Ok(now));
/// ```
///
/// In Go: `time.After(time.Until(t))`.
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver::timed(Some(when), None)
}

/// A channel that delivers a message, the time it was due, each `duration`.
///
/// It can hold one message: periods that pass while one waits to be received deliver nothing. It is never
/// closed.
///
/// ```
/// use gosched::chan::tick;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let ticker = tick(Duration::from_millis(10));
/// ticker.recv().unwrap();
/// ticker.recv().unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(20));
/// ```
///
/// In Go: `time.Tick(d)`.
pub fn tick(duration: Duration) -> Receiver<Instant> {
    match now().checked_add(duration) {
        Some(first) => Receiver::timed(Some(first), Some(duration)),
        None => never(),
    }
}

/// A channel that never delivers anything and is never closed. All of them are the same channel.
///
/// As a case of a select it is never chosen: assign it to switch a case off.
///
/// ```
/// use gosched::chan::{never, TryRecvError};
///
/// assert_eq!(never::<i32>().try_recv(), Err(TryRecvError::Empty));
/// ```
///
/// In Go: a nil channel.
pub const fn never<T>() -> Receiver<T> {
    Receiver::never()
}

/// What must not compile: each handle has one direction, neither becomes the other (C12, C13), and messages that
/// may not change threads keep their channel from doing so.
///
/// ```compile_fail,E0599
/// let (_tx, rx) = gosched::chan::bounded(1);
/// rx.send(1);
/// ```
///
/// ```compile_fail,E0599
/// let (_tx, rx) = gosched::chan::bounded::<i32>(1);
/// rx.close();
/// ```
///
/// ```compile_fail,E0599
/// let (tx, _rx) = gosched::chan::bounded::<i32>(1);
/// tx.recv();
/// ```
///
/// ```compile_fail,E0308
/// let (tx, _rx) = gosched::chan::bounded::<i32>(1);
/// let rx: gosched::chan::Receiver<i32> = tx;
/// ```
///
/// ```compile_fail,E0308
/// let (_tx, rx) = gosched::chan::bounded::<i32>(1);
/// let tx: gosched::chan::Sender<i32> = rx;
/// ```
///
/// ```compile_fail,E0599
/// let (_tx, rx) = gosched::chan::bounded::<i32>(1);
/// gosched::select! { send(rx, 1) -> _ => {} }
/// ```
///
/// ```compile_fail,E0277
/// let (tx, _rx) = gosched::chan::bounded::<std::rc::Rc<i32>>(1);
/// gosched::go(move || drop(tx));
/// ```
#[cfg(doctest)]
struct MustNotCompile;
