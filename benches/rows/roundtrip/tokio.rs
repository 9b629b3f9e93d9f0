use crate::on_tokio;
use crate::systems::tokio::idle_echo::{echo, listen};
use bench_support::{Args, report_per};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub fn run(args: &Args) {
    let n = args.count(100_000);
    on_tokio::run(args, async move {
        let listener = listen().await;
        let addr = listener.local_addr().expect("an address");
        tokio::spawn(async move { echo(listener.accept().await.expect("a connection").0).await });
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let mut byte = [0];
        let begin = Instant::now();
        for _ in 0..n {
            stream.write_all(b"x").await.expect("written");
            stream.read_exact(&mut byte).await.expect("read");
        }
        report_per("roundtrip", begin.elapsed(), n);
    });
}
