use crate::idle_echo::{listen, ready};
use bench_support::Args;
use gosched_http::{Body, Request, Response, Server};

/// Serves until it is killed.
pub fn run(_: &Args) {
    serve(|_: Request| hello());
}

pub fn serve(handler: impl gosched_http::Handler + 'static) {
    let listener = listen();
    ready(&listener);
    Server::new(handler).serve(listener).expect("a server");
}

/// As hyper's and with the same headers: text alone would be given a content type.
pub fn hello() -> Response {
    Response::new(Body::from("Hello, World!"))
}
