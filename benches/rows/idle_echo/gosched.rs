use bench_support::{Args, report_ready};
use gosched::go;
use gosched::net::{TcpListener, TcpStream};
use std::io::{Read, Write};

/// Serves until it is killed.
pub fn run(_: &Args) {
    serve(|stream| {
        go(move || echo_on::<4096>(stream));
    });
}

pub fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a listener")
}

pub fn ready(listener: &TcpListener) {
    report_ready(listener.local_addr().expect("an address").port());
}

pub fn serve(start: impl Fn(TcpStream)) {
    let listener = listen();
    ready(&listener);
    loop {
        start(listener.accept().expect("a connection").0);
    }
}

pub fn echo_on<const SIZE: usize>(mut stream: TcpStream) {
    let mut buf = [0; SIZE];
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        if stream.write_all(&buf[..n]).is_err() {
            return;
        }
    }
}
