//! Async channels of u64 behind one trait, dispatched statically.

use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// One library's channel.
pub trait Chan: 'static {
    type Tx: Clone + Send + 'static;
    type Rx: Send + 'static;
    /// 0 for a true rendezvous, else the closest that the library has.
    const SMALLEST: usize;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx);
    fn send(tx: &Self::Tx, value: u64) -> impl Future<Output = bool> + Send;
    fn recv(rx: &mut Self::Rx) -> impl Future<Output = Option<u64>> + Send;
    /// Another consumer of the same channel, where the library allows it.
    fn another(rx: &Self::Rx) -> Self::Rx;
}

/// tokio's own.
pub struct Mpsc;

impl Chan for Mpsc {
    type Tx = mpsc::Sender<u64>;
    type Rx = mpsc::Receiver<u64>;
    const SMALLEST: usize = 1;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        mpsc::channel(capacity)
    }
    async fn send(tx: &Self::Tx, value: u64) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.recv().await
    }
    fn another(_: &Self::Rx) -> Self::Rx {
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
    async fn send(tx: &Self::Tx, value: u64) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.lock().await.recv().await
    }
    fn another(rx: &Self::Rx) -> Self::Rx {
        rx.clone()
    }
}

/// kanal's.
pub struct Kanal;

impl Chan for Kanal {
    type Tx = kanal::AsyncSender<u64>;
    type Rx = kanal::AsyncReceiver<u64>;
    const SMALLEST: usize = 0;
    fn new(capacity: usize) -> (Self::Tx, Self::Rx) {
        kanal::bounded_async(capacity)
    }
    async fn send(tx: &Self::Tx, value: u64) -> bool {
        tx.send(value).await.is_ok()
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.recv().await.ok()
    }
    fn another(rx: &Self::Rx) -> Self::Rx {
        rx.clone()
    }
}
