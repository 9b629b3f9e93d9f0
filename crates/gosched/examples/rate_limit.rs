//! `rate_limit`: three clients of a service that allows so many requests per second, and a burst of a few at once.
//!
//! ```text
//! cargo run --release --example rate_limit -- [REQUESTS PER SECOND]
//! ```
//!
//! Each line is a request, with the time at which it was let through. The first ones pass at once, the others at the
//! rate; the client with little patience gives up as soon as it is clear that it would have to wait too long, and takes
//! nothing from the others.

use gosched::context::{Context, background};
use gosched::pipeline::merge;
use gosched::pipeline::rate::{Limit, Limiter, WaitError};
use gosched::{chan, go};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BURST: usize = 3;
const REQUESTS: usize = 4;

/// One who asks, and how long he would wait for an answer.
struct Client {
    name: &'static str,
    patience: Duration,
}

#[gosched::main]
fn main() -> ExitCode {
    let rate = match std::env::args().nth(1).map(|text| text.parse::<f64>()) {
        None => 50.0,
        Some(Ok(rate)) if rate > 0.0 => rate,
        Some(_) => {
            eprintln!("rate_limit: the rate is a number above 0");
            return ExitCode::from(2);
        }
    };
    let limiter = Arc::new(Limiter::new(Limit::per_second(rate), BURST));
    let minute = Duration::from_secs(60);
    let clients = [
        Client { name: "ann", patience: minute },
        Client { name: "bob", patience: minute },
        Client { name: "eve", patience: Duration::from_secs_f64(1.5 / rate) },
    ];
    let start = Instant::now();
    let (mut passed, mut refused) = (0, 0);
    let lines = clients.map(|client| requests(client, limiter.clone(), start));
    for line in merge(&background(), lines) {
        match line {
            Ok(line) => {
                passed += 1;
                println!("{line}");
            }
            Err(line) => {
                refused += 1;
                println!("{line}");
            }
        }
    }
    println!("{passed} requests passed, {refused} were given up");
    ExitCode::SUCCESS
}

/// Makes the client's requests, one after the other, in a goroutine. Lines of those that were given up are errors.
fn requests(client: Client, limiter: Arc<Limiter>, start: Instant) -> chan::Receiver<Result<String, String>> {
    let (tx, rx) = chan::bounded(0);
    go(move || {
        for n in 1..=REQUESTS {
            let ctx = background().with_timeout(client.patience);
            let line = match request(&ctx, &limiter) {
                Ok(()) => Ok(format!("{:>5} ms  {} {n}", start.elapsed().as_millis(), client.name)),
                Err(why) => Err(format!("          {} {n}: {why}", client.name)),
            };
            if tx.send(line).is_err() {
                return;
            }
        }
    });
    rx
}

/// Where the service would be called.
fn request(ctx: &Context, limiter: &Limiter) -> Result<(), WaitError> {
    limiter.wait(ctx)
}
