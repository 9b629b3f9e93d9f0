//! Channels of every library behind two traits, dispatched statically.

use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// An end and others of its channel, `n` in all; this one comes last.
fn ends<E>(end: E, n: u64, another: impl Fn(&E) -> E) -> Vec<E> {
    let mut all: Vec<_> = (1..n).map(|_| another(&end)).collect();
    all.push(end);
    all
}

/// A channel whose ends are awaited.
pub trait Chan<T = u64>: 'static {
    type Tx: Send + 'static;
    type Rx: Send + 'static;
    /// 0 for a true rendezvous, else the closest that the library has.
    const SMALLEST: usize;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx);
    fn send(tx: &mut Self::Tx, value: T) -> impl Future<Output = bool> + Send;
    fn recv(rx: &mut Self::Rx) -> impl Future<Output = Option<T>> + Send;
    /// Another producer of the same channel, where the library allows it.
    fn another_tx(tx: &Self::Tx) -> Self::Tx;
    /// Another consumer of the same channel, where the library allows it.
    fn another_rx(rx: &Self::Rx) -> Self::Rx;

    /// One sender for each of `n` producers.
    fn senders(tx: Self::Tx, n: u64) -> Vec<Self::Tx> {
        ends(tx, n, Self::another_tx)
    }

    /// One receiver for each of `n` consumers.
    fn receivers(rx: Self::Rx, n: u64) -> Vec<Self::Rx> {
        ends(rx, n, Self::another_rx)
    }
}

/// A channel whose ends block a thread.
pub trait BlockingChan<T = u64>: 'static {
    type Tx: Send + 'static;
    type Rx: Send + 'static;
    /// 0 for a true rendezvous, else the closest that the library has.
    const SMALLEST: usize;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx);
    fn send(tx: &Self::Tx, value: T) -> bool;
    fn recv(rx: &Self::Rx) -> Option<T>;
    fn another_tx(tx: &Self::Tx) -> Self::Tx;
    fn another_rx(rx: &Self::Rx) -> Self::Rx;

    /// One sender for each of `n` producers.
    fn senders(tx: Self::Tx, n: u64) -> Vec<Self::Tx> {
        ends(tx, n, Self::another_tx)
    }

    /// One receiver for each of `n` consumers.
    fn receivers(rx: Self::Rx, n: u64) -> Vec<Self::Rx> {
        ends(rx, n, Self::another_rx)
    }
}

/// A channel that says itself how to send, to receive, and to have more ends.
macro_rules! chan {
    ($(#[$doc:meta])* $name:ident, $tx:ty, $rx:ty, $new:expr, $smallest:expr, $send:ident, $recv:ident) => {
        $(#[$doc])*
        pub struct $name;

        impl<T: Send + Unpin + 'static> Chan<T> for $name {
            type Tx = $tx;
            type Rx = $rx;
            const SMALLEST: usize = $smallest;
            fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
                ($new)(capacity)
            }
            async fn send(tx: &mut Self::Tx, value: T) -> bool {
                tx.$send(value).await.is_ok()
            }
            async fn recv(rx: &mut Self::Rx) -> Option<T> {
                rx.$recv().await.ok()
            }
            fn another_tx(tx: &Self::Tx) -> Self::Tx {
                tx.clone()
            }
            fn another_rx(rx: &Self::Rx) -> Self::Rx {
                rx.clone()
            }
        }
    };
}

macro_rules! blocking_chan {
    ($(#[$doc:meta])* $name:ident, $tx:ty, $rx:ty, $new:expr, $smallest:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl<T: Send + Unpin + 'static> BlockingChan<T> for $name {
            type Tx = $tx;
            type Rx = $rx;
            const SMALLEST: usize = $smallest;
            fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
                ($new)(capacity)
            }
            fn send(tx: &Self::Tx, value: T) -> bool {
                tx.send(value).is_ok()
            }
            fn recv(rx: &Self::Rx) -> Option<T> {
                rx.recv().ok()
            }
            fn another_tx(tx: &Self::Tx) -> Self::Tx {
                tx.clone()
            }
            fn another_rx(rx: &Self::Rx) -> Self::Rx {
                rx.clone()
            }
        }
    };
}

chan!(
    /// kanal's. A pending receive that is dropped can lose its message: no select.
    Kanal, kanal::AsyncSender<T>, kanal::AsyncReceiver<T>, kanal::bounded_async, 0, send, recv
);
chan!(
    /// flume's.
    Flume, flume::Sender<T>, flume::Receiver<T>, flume::bounded, 0, send_async, recv_async
);
chan!(
    /// async-channel's, which smol's users have. One slot at least.
    AsyncChannel, async_channel::Sender<T>, async_channel::Receiver<T>, async_channel::bounded, 1, send, recv
);
chan!(
    /// crossfire's for several producers and consumers. One slot at least: it takes 0 for 1.
    Crossfire,
    crossfire::MAsyncTx<crossfire::mpmc::Array<T>>,
    crossfire::MAsyncRx<crossfire::mpmc::Array<T>>,
    crossfire::mpmc::bounded_async,
    1,
    send,
    recv
);

chan!(
    /// kanal's, unbounded.
    KanalUnbounded, kanal::AsyncSender<T>, kanal::AsyncReceiver<T>, |_| kanal::unbounded_async(), 0, send, recv
);
chan!(
    /// flume's, unbounded.
    FlumeUnbounded, flume::Sender<T>, flume::Receiver<T>, |_| flume::unbounded(), 0, send_async, recv_async
);
chan!(
    /// async-channel's, unbounded.
    AsyncChannelUnbounded,
    async_channel::Sender<T>,
    async_channel::Receiver<T>,
    |_| async_channel::unbounded(),
    1,
    send,
    recv
);

blocking_chan!(
    /// crossbeam-channel's.
    Crossbeam, crossbeam_channel::Sender<T>, crossbeam_channel::Receiver<T>, crossbeam_channel::bounded, 0
);
blocking_chan!(
    /// kanal's.
    KanalBlocking, kanal::Sender<T>, kanal::Receiver<T>, kanal::bounded, 0
);
blocking_chan!(
    /// flume's.
    FlumeBlocking, flume::Sender<T>, flume::Receiver<T>, flume::bounded, 0
);
blocking_chan!(
    /// crossfire's for several producers and consumers. One slot at least: it takes 0 for 1.
    CrossfireBlocking,
    crossfire::MTx<crossfire::mpmc::Array<T>>,
    crossfire::MRx<crossfire::mpmc::Array<T>>,
    crossfire::mpmc::bounded_blocking,
    1
);

blocking_chan!(
    /// crossbeam-channel's, unbounded.
    CrossbeamUnbounded,
    crossbeam_channel::Sender<T>,
    crossbeam_channel::Receiver<T>,
    |_| crossbeam_channel::unbounded(),
    0
);
blocking_chan!(
    /// kanal's, unbounded.
    KanalBlockingUnbounded, kanal::Sender<T>, kanal::Receiver<T>, |_| kanal::unbounded(), 0
);
blocking_chan!(
    /// flume's, unbounded.
    FlumeBlockingUnbounded, flume::Sender<T>, flume::Receiver<T>, |_| flume::unbounded(), 0
);
blocking_chan!(
    /// crossfire's, unbounded.
    CrossfireBlockingUnbounded,
    crossfire::MTx<crossfire::mpmc::List<T>>,
    crossfire::MRx<crossfire::mpmc::List<T>>,
    |_| crossfire::mpmc::unbounded_blocking(),
    0
);

/// tokio's own. One slot at least, one consumer.
pub struct Mpsc;

impl<T: Send + Unpin + 'static> Chan<T> for Mpsc {
    type Tx = mpsc::Sender<T>;
    type Rx = mpsc::Receiver<T>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        mpsc::channel(capacity)
    }
    async fn send(tx: &mut Self::Tx, value: T) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<T> {
        rx.recv().await
    }
    fn another_tx(tx: &Self::Tx) -> Self::Tx {
        tx.clone()
    }
    fn another_rx(_: &Self::Rx) -> Self::Rx {
        unreachable!("tokio's mpsc has one consumer: `SharedMpsc` is for several")
    }
}

/// tokio's own, its receiver shared behind a mutex, as people do for worker pools.
pub struct SharedMpsc;

impl<T: Send + Unpin + 'static> Chan<T> for SharedMpsc {
    type Tx = mpsc::Sender<T>;
    type Rx = Arc<Mutex<mpsc::Receiver<T>>>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        let (tx, rx) = mpsc::channel(capacity);
        (tx, Arc::new(Mutex::new(rx)))
    }
    async fn send(tx: &mut Self::Tx, value: T) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<T> {
        rx.lock().await.recv().await
    }
    fn another_tx(tx: &Self::Tx) -> Self::Tx {
        tx.clone()
    }
    fn another_rx(rx: &Self::Rx) -> Self::Rx {
        rx.clone()
    }
}

/// crossfire's for one producer and one consumer.
pub struct CrossfireSpsc;

impl<T: Send + Unpin + 'static> Chan<T> for CrossfireSpsc {
    type Tx = crossfire::AsyncTx<crossfire::spsc::Array<T>>;
    type Rx = crossfire::AsyncRx<crossfire::spsc::Array<T>>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        crossfire::spsc::bounded_async(capacity)
    }
    async fn send(tx: &mut Self::Tx, value: T) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<T> {
        rx.recv().await.ok()
    }
    fn another_tx(_: &Self::Tx) -> Self::Tx {
        unreachable!("one producer")
    }
    fn another_rx(_: &Self::Rx) -> Self::Rx {
        unreachable!("one consumer")
    }
}

/// A channel that never makes its senders wait: they send without awaiting.
macro_rules! unbounded_chan {
    ($(#[$doc:meta])* $name:ident, $tx:ty, $rx:ty, $new:expr, |$receiver:ident| $recv:expr, |$other:ident| $another:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl<T: Send + Unpin + 'static> Chan<T> for $name {
            type Tx = $tx;
            type Rx = $rx;
            const SMALLEST: usize = 0;
            fn new(_: usize) -> (Self::Tx, Self::Rx) {
                $new
            }
            async fn send(tx: &mut Self::Tx, value: T) -> bool {
                tx.send(value).is_ok()
            }
            async fn recv($receiver: &mut Self::Rx) -> Option<T> {
                $recv
            }
            fn another_tx(tx: &Self::Tx) -> Self::Tx {
                tx.clone()
            }
            fn another_rx($other: &Self::Rx) -> Self::Rx {
                $another
            }
        }
    };
}

unbounded_chan!(
    /// tokio's own, unbounded. One consumer.
    MpscUnbounded,
    mpsc::UnboundedSender<T>,
    mpsc::UnboundedReceiver<T>,
    mpsc::unbounded_channel(),
    |rx| rx.recv().await,
    |_rx| unreachable!("one consumer")
);
unbounded_chan!(
    /// tokio's own, unbounded, its receiver shared behind a mutex.
    SharedMpscUnbounded,
    mpsc::UnboundedSender<T>,
    Arc<Mutex<mpsc::UnboundedReceiver<T>>>,
    {
        let (tx, rx) = mpsc::unbounded_channel();
        (tx, Arc::new(Mutex::new(rx)))
    },
    |rx| rx.lock().await.recv().await,
    |rx| rx.clone()
);
unbounded_chan!(
    /// crossfire's, unbounded.
    CrossfireUnbounded,
    crossfire::MTx<crossfire::mpmc::List<T>>,
    crossfire::MAsyncRx<crossfire::mpmc::List<T>>,
    crossfire::mpmc::unbounded_async(),
    |rx| rx.recv().await.ok(),
    |rx| rx.clone()
);
