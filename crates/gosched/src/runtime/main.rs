//! What `#[gosched::main]` expands to.

use super::Builder;
use crate::wait::wait;
use std::future::Future;

/// Runs a plain `main`.
#[track_caller]
pub fn main<T: Send>(builder: Builder, body: fn() -> T) -> T {
    match builder.build() {
        Ok(runtime) => runtime.run(body),
        Err(error) => fail(&error),
    }
}

/// Runs an `async fn main`.
#[track_caller]
pub fn main_async<F: Future + Send>(builder: Builder, body: F) -> F::Output
where
    F::Output: Send,
{
    match builder.build() {
        // The main goroutine polls it: so the body may borrow, and may block like any other code.
        Ok(runtime) => runtime.run(move || wait(body)),
        Err(error) => fail(&error),
    }
}

fn fail(error: &std::io::Error) -> ! {
    eprintln!("gosched: cannot build a runtime: {error}");
    std::process::exit(1)
}
