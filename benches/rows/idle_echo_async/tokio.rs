use crate::on_tokio;
use crate::systems::tokio::idle_echo::serve;
use bench_support::Args;
use std::io::ErrorKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Serves until it is killed.
pub fn run(args: &Args) {
    on_tokio::run(args, serve(echo));
}

/// The smallest: no buffer while nothing comes.
async fn echo(mut stream: TcpStream) {
    while stream.readable().await.is_ok() {
        let read = {
            let mut buf = [0; 4096];
            match stream.try_read(&mut buf) {
                Ok(0) => return,
                Ok(n) => buf[..n].to_vec(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
        };
        if stream.write_all(&read).await.is_err() {
            return;
        }
    }
}
