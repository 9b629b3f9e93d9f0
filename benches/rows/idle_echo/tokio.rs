use crate::on_tokio;
use bench_support::{Args, report_ready};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves until it is killed.
pub fn run(args: &Args) {
    on_tokio::run(args, serve(echo));
}

pub async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a listener")
}

/// Starts a task for each connection.
pub async fn serve<F: Future<Output = ()> + Send + 'static>(on: impl Fn(TcpStream) -> F) {
    let listener = listen().await;
    report_ready(listener.local_addr().expect("an address").port());
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(on(stream));
    }
}

/// The usual form: a buffer for each connection.
pub async fn echo(mut stream: TcpStream) {
    let mut buf = vec![0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buf).await {
        if stream.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
}
