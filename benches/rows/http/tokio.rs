use crate::on_tokio;
use crate::systems::tokio::idle_echo;
use bench_support::Args;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use std::convert::Infallible;
use std::time::Duration;

/// hyper on tokio. Serves until it is killed.
pub fn run(args: &Args) {
    serve(args, Duration::ZERO);
}

/// `pause`: how long the handler sleeps.
pub fn serve(args: &Args, pause: Duration) {
    on_tokio::run(
        args,
        idle_echo::serve(move |stream| async move {
            let hello = move |_: Request<Incoming>| async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
            };
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service_fn(hello))
                .await;
        }),
    );
}
