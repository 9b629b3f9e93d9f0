use bench_support::Args;
use std::time::Duration;

/// hyper on tokio. Serves until it is killed.
pub fn run(args: &Args) {
    crate::systems::tokio::http::serve(args, Duration::from_millis(5));
}
