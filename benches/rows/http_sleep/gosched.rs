use crate::http::{hello, serve};
use bench_support::Args;
use gosched::time::sleep;
use gosched_http::Request;
use std::time::Duration;

/// Serves until it is killed.
pub fn run(_: &Args) {
    serve(|_: Request| {
        sleep(Duration::from_millis(5));
        hello()
    });
}
