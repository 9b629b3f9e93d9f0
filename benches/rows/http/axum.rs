use crate::on_tokio;
use axum::Router;
use axum::routing::get;
use bench_support::{Args, report_ready};

/// axum, which is a router above hyper. Serves until it is killed.
pub fn run(args: &Args) {
    on_tokio::run(args, async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        report_ready(listener.local_addr().expect("an address").port());
        let router = Router::new().route("/", get(|| async { "Hello, World!" }));
        axum::serve(listener, router).await.expect("a server");
    });
}
