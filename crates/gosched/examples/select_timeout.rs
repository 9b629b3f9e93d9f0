//! Waiting for an answer, but not for ever: three ways to put a limit to a receive.
//!
//! ```text
//! cargo run --example select_timeout
//! ```

use gosched::chan::{self, Receiver, after};
use gosched::context::Context;
use gosched::time::sleep;
use gosched::{go, select};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(100);

/// A server that answers after `delay`.
fn ask(delay: Duration) -> Receiver<&'static str> {
    let (tx, rx) = chan::bounded(0);
    go(move || {
        sleep(delay);
        // Nobody may listen any more; then the send fails, and this goroutine ends all the same.
        let _ = tx.send("pong");
    });
    rx
}

/// Go's way: a channel that time fills, as one more case.
fn with_a_case(answer: &Receiver<&'static str>) -> &'static str {
    select! {
        recv(answer) -> pong => pong.unwrap_or("closed"),
        recv(after(PATIENCE)) -> _ => "no answer",
    }
}

/// Shorter, without a channel.
fn with_a_default(answer: &Receiver<&'static str>) -> &'static str {
    select! {
        recv(answer) -> pong => pong.unwrap_or("closed"),
        default(PATIENCE) => "no answer",
    }
}

/// For whole chains of calls: the limit comes with the context.
fn with_a_context(ctx: &Context, answer: &Receiver<&'static str>) -> &'static str {
    match ctx.wait(answer.recv_async()) {
        Ok(pong) => pong.unwrap_or("closed"),
        Err(_) => "no answer",
    }
}

#[gosched::main]
fn main() {
    let servers =
        [("a quick server", Duration::from_millis(1)), ("a slow server", Duration::from_secs(3600))];
    for (name, delay) in servers {
        println!("{name}, a case: {}", with_a_case(&ask(delay)));
        println!("{name}, a default: {}", with_a_default(&ask(delay)));
        let ctx = Context::background().with_timeout(PATIENCE);
        println!("{name}, a context: {}", with_a_context(&ctx, &ask(delay)));
    }
}
