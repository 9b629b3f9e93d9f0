use crate::idle_echo::{echo_on, listen};
use bench_support::{Args, report_per};
use gosched::go;
use gosched::net::TcpStream;
use std::io::{Read, Write};
use std::time::Instant;

pub fn run(args: &Args) {
    let n = args.count(100_000);
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
    report_per("roundtrip", begin.elapsed(), n);
}
