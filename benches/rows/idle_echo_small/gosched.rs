use crate::idle_echo::{echo_on, serve};
use bench_support::Args;
use gosched::go;

/// Serves until it is killed.
pub fn run(_: &Args) {
    serve(|stream| {
        go(move || echo_on::<512>(stream));
    });
}
