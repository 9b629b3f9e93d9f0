//! Servers that other programs load (they print `READY port` and serve until they are killed), and a round trip.

use crate::util::{out, out_per};
use gosched::net::{TcpListener, TcpStream};
use gosched::time::sleep;
use gosched::{go, go_async};
use gosched_http::{Body, Request, Response, Server};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub fn run(row: &str, n: impl Fn(u64) -> u64) {
    match row {
        "roundtrip" => roundtrip(n(100_000)),
        "http" => http(Duration::ZERO),
        "http_sleep" => http(Duration::from_millis(5)),
        "echo" => echo(|stream| {
            go(move || echo_on::<4096>(stream));
        }),
        "echo_small" => echo(|stream| {
            go(move || echo_on::<512>(stream));
        }),
        "echo_async" => echo(|stream| {
            go_async(echo_async(stream));
        }),
        row => panic!("no row {row}"),
    }
}

/// One byte there and back, `n` times, between two goroutines.
fn roundtrip(n: u64) {
    let listener = listen();
    let addr = listener.local_addr().expect("an address");
    go(move || echo_on::<64>(listener.accept().expect("a connection").0));
    let stream = TcpStream::connect(addr).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let mut byte = [0];
    let begin = Instant::now();
    for _ in 0..n {
        (&stream).write_all(b"x").expect("written");
        (&stream).read_exact(&mut byte).expect("read");
    }
    out_per("roundtrip", begin.elapsed(), n, "ns/round");
    out("rounds", n as f64, "count");
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a listener")
}

fn ready(listener: &TcpListener) {
    println!("READY {}", listener.local_addr().expect("an address").port());
}

fn http(pause: Duration) {
    let listener = listen();
    ready(&listener);
    let server = if pause.is_zero() {
        Server::new(|_: Request| hello())
    } else {
        Server::new(move |_: Request| {
            sleep(pause);
            hello()
        })
    };
    server.serve(listener).expect("a server");
}

/// As hyper's and with the same headers: text alone would be given a content type.
fn hello() -> Response {
    Response::new(Body::from("Hello, World!"))
}

fn echo(serve: impl Fn(TcpStream)) {
    let listener = listen();
    ready(&listener);
    loop {
        serve(listener.accept().expect("a connection").0);
    }
}

fn echo_on<const SIZE: usize>(mut stream: TcpStream) {
    let mut buf = [0; SIZE];
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        if stream.write_all(&buf[..n]).is_err() {
            return;
        }
    }
}

async fn echo_async(stream: TcpStream) {
    let mut buf = [0; 128];
    while let Ok(n @ 1..) = stream.read_async(&mut buf).await {
        let mut rest = &buf[..n];
        while !rest.is_empty() {
            let Ok(written @ 1..) = stream.write_async(rest).await else { return };
            rest = &rest[written..];
        }
    }
}
