//! Channels of u64 of every library behind two traits, dispatched statically.

use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// A channel whose ends are awaited.
pub trait Chan: 'static {
    type Tx: Send + 'static;
    type Rx: Send + 'static;
    /// 0 for a true rendezvous, else the closest that the library has.
    const SMALLEST: usize;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx);
    fn send(tx: &mut Self::Tx, value: u64) -> impl Future<Output = bool> + Send;
    fn recv(rx: &mut Self::Rx) -> impl Future<Output = Option<u64>> + Send;
    /// Another producer of the same channel, where the library allows it.
    fn another_tx(tx: &Self::Tx) -> Self::Tx;
    /// Another consumer of the same channel, where the library allows it.
    fn another_rx(rx: &Self::Rx) -> Self::Rx;

    /// One sender for each of `n` producers.
    fn senders(tx: Self::Tx, n: u64) -> Vec<Self::Tx> {
        let mut all: Vec<_> = (1..n).map(|_| Self::another_tx(&tx)).collect();
        all.push(tx);
        all
    }

    /// One receiver for each of `n` consumers.
    fn receivers(rx: Self::Rx, n: u64) -> Vec<Self::Rx> {
        let mut all: Vec<_> = (1..n).map(|_| Self::another_rx(&rx)).collect();
        all.push(rx);
        all
    }
}

/// A channel whose ends block a thread.
pub trait BlockingChan: 'static {
    type Tx: Send + 'static;
    type Rx: Send + 'static;
    /// 0 for a true rendezvous, else the closest that the library has.
    const SMALLEST: usize;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx);
    fn send(tx: &Self::Tx, value: u64) -> bool;
    fn recv(rx: &Self::Rx) -> Option<u64>;
    fn another_tx(tx: &Self::Tx) -> Self::Tx;
    fn another_rx(rx: &Self::Rx) -> Self::Rx;

    /// One sender for each of `n` producers.
    fn senders(tx: Self::Tx, n: u64) -> Vec<Self::Tx> {
        let mut all: Vec<_> = (1..n).map(|_| Self::another_tx(&tx)).collect();
        all.push(tx);
        all
    }

    /// One receiver for each of `n` consumers.
    fn receivers(rx: Self::Rx, n: u64) -> Vec<Self::Rx> {
        let mut all: Vec<_> = (1..n).map(|_| Self::another_rx(&rx)).collect();
        all.push(rx);
        all
    }
}

/// A channel that says itself how to send, to receive, and to have more ends.
macro_rules! chan {
    ($(#[$doc:meta])* $name:ident, $tx:ty, $rx:ty, $new:path, $smallest:expr, $send:ident, $recv:ident) => {
        $(#[$doc])*
        pub struct $name;

        impl Chan for $name {
            type Tx = $tx;
            type Rx = $rx;
            const SMALLEST: usize = $smallest;
            fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
                $new(capacity)
            }
            async fn send(tx: &mut Self::Tx, value: u64) -> bool {
                tx.$send(value).await.is_ok()
            }
            async fn recv(rx: &mut Self::Rx) -> Option<u64> {
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
    ($(#[$doc:meta])* $name:ident, $tx:ty, $rx:ty, $new:path, $smallest:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl BlockingChan for $name {
            type Tx = $tx;
            type Rx = $rx;
            const SMALLEST: usize = $smallest;
            fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
                $new(capacity)
            }
            fn send(tx: &Self::Tx, value: u64) -> bool {
                tx.send(value).is_ok()
            }
            fn recv(rx: &Self::Rx) -> Option<u64> {
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
    Kanal, kanal::AsyncSender<u64>, kanal::AsyncReceiver<u64>, kanal::bounded_async, 0, send, recv
);
chan!(
    /// flume's.
    Flume, flume::Sender<u64>, flume::Receiver<u64>, flume::bounded, 0, send_async, recv_async
);
chan!(
    /// async-channel's, which smol's users have. One slot at least.
    AsyncChannel, async_channel::Sender<u64>, async_channel::Receiver<u64>, async_channel::bounded, 1, send, recv
);
chan!(
    /// crossfire's for several producers and consumers. One slot at least: it takes 0 for 1.
    Crossfire,
    crossfire::MAsyncTx<crossfire::mpmc::Array<u64>>,
    crossfire::MAsyncRx<crossfire::mpmc::Array<u64>>,
    crossfire::mpmc::bounded_async,
    1,
    send,
    recv
);

blocking_chan!(
    /// crossbeam-channel's.
    Crossbeam, crossbeam_channel::Sender<u64>, crossbeam_channel::Receiver<u64>, crossbeam_channel::bounded, 0
);
blocking_chan!(
    /// kanal's.
    KanalBlocking, kanal::Sender<u64>, kanal::Receiver<u64>, kanal::bounded, 0
);
blocking_chan!(
    /// flume's.
    FlumeBlocking, flume::Sender<u64>, flume::Receiver<u64>, flume::bounded, 0
);
blocking_chan!(
    /// crossfire's for several producers and consumers. One slot at least: it takes 0 for 1.
    CrossfireBlocking,
    crossfire::MTx<crossfire::mpmc::Array<u64>>,
    crossfire::MRx<crossfire::mpmc::Array<u64>>,
    crossfire::mpmc::bounded_blocking,
    1
);

/// tokio's own. One slot at least, one consumer.
pub struct Mpsc;

impl Chan for Mpsc {
    type Tx = mpsc::Sender<u64>;
    type Rx = mpsc::Receiver<u64>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        mpsc::channel(capacity)
    }
    async fn send(tx: &mut Self::Tx, value: u64) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
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

impl Chan for SharedMpsc {
    type Tx = mpsc::Sender<u64>;
    type Rx = Arc<Mutex<mpsc::Receiver<u64>>>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        let (tx, rx) = mpsc::channel(capacity);
        (tx, Arc::new(Mutex::new(rx)))
    }
    async fn send(tx: &mut Self::Tx, value: u64) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
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

impl Chan for CrossfireSpsc {
    type Tx = crossfire::AsyncTx<crossfire::spsc::Array<u64>>;
    type Rx = crossfire::AsyncRx<crossfire::spsc::Array<u64>>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        crossfire::spsc::bounded_async(capacity)
    }
    async fn send(tx: &mut Self::Tx, value: u64) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.recv().await.ok()
    }
    fn another_tx(_: &Self::Tx) -> Self::Tx {
        unreachable!("one producer")
    }
    fn another_rx(_: &Self::Rx) -> Self::Rx {
        unreachable!("one consumer")
    }
}
