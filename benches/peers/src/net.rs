//! tokio's servers (they print `READY port` and serve until they are killed), and a round trip.

use crate::util::{out, out_per};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub async fn run(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "roundtrip" => roundtrip(n(100_000)).await,
        "http" => http(Duration::ZERO).await,
        "http_sleep" => http(Duration::from_millis(5)).await,
        "echo" => echo(false).await,
        "echo_async" => echo(true).await,
        row => panic!("no row {row}"),
    }
}

/// One byte there and back, `n` times, between two tasks.
async fn roundtrip(n: u64) {
    let listener = listen().await;
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { echo_vec(listener.accept().await.expect("a connection").0).await });
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let mut byte = [0];
    let begin = Instant::now();
    for _ in 0..n {
        stream.write_all(b"x").await.expect("written");
        stream.read_exact(&mut byte).await.expect("read");
    }
    out_per("roundtrip", begin.elapsed(), n, "ns/round");
    out("rounds", n as f64, "count");
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a listener")
}

fn ready(listener: &TcpListener) {
    println!("READY {}", listener.local_addr().expect("an address").port());
}

async fn http(pause: Duration) {
    let listener = listen().await;
    ready(&listener);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let hello = move |_: Request<Incoming>| async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
            };
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service_fn(hello))
                .await;
        });
    }
}

async fn echo(small: bool) {
    let listener = listen().await;
    ready(&listener);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        if small {
            tokio::spawn(echo_when_readable(stream));
        } else {
            tokio::spawn(echo_vec(stream));
        }
    }
}

/// The usual form: a buffer for each connection.
async fn echo_vec(mut stream: TcpStream) {
    let mut buf = vec![0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buf).await {
        if stream.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
}

/// The smallest: no buffer while nothing comes.
async fn echo_when_readable(mut stream: TcpStream) {
    while stream.readable().await.is_ok() {
        let read = {
            let mut buf = [0; 4096];
            match stream.try_read(&mut buf) {
                Ok(0) => return,
                Ok(n) => buf[..n].to_vec(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
        };
        if stream.write_all(&read).await.is_err() {
            return;
        }
    }
}

/// A plain thread that sends one byte to a server and reads it back, `n` times.
pub fn ask(port: u16, n: u64) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let mut byte = [0];
    let begin = Instant::now();
    for _ in 0..n {
        stream.write_all(b"x").expect("written");
        stream.read_exact(&mut byte).expect("read");
    }
    out_per("answer", begin.elapsed(), n, "ns/round");
}
