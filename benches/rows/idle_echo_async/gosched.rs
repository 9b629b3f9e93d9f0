use crate::idle_echo::serve;
use bench_support::Args;
use gosched::go_async;
use gosched::net::TcpStream;

/// Serves until it is killed.
pub fn run(_: &Args) {
    serve(|stream| {
        go_async(echo(stream));
    });
}

async fn echo(stream: TcpStream) {
    let mut buf = [0; 128];
    while let Ok(n @ 1..) = stream.read_async(&mut buf).await {
        let mut rest = &buf[..n];
        while !rest.is_empty() {
            let Ok(written @ 1..) = stream.write_async(rest).await else { return };
            rest = &rest[written..];
        }
    }
}
