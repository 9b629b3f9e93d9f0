//! One request, three things it waits for, and a deadline that ends all of them.
//!
//! ```text
//! cargo run --example context_cancel
//! ```
//!
//! In Go a lock cannot be given up, and the other two need a `select` each.

use gosched::chan;
use gosched::context::{Context, ContextError};
use gosched::go;
use gosched::sync::{LockAsync, Mutex};
use gosched::time::sleep_async;
use std::sync::Arc;
use std::time::Duration;

/// A table that somebody else has locked.
fn read_table(ctx: &Context, table: &Mutex<u32>) -> Result<u32, ContextError> {
    Ok(*ctx.wait(table.lock_async())?)
}

/// A service that never replies.
fn ask_service(ctx: &Context, replies: &chan::Receiver<u32>) -> Result<u32, ContextError> {
    Ok(ctx.wait(replies.recv_async())?.unwrap_or(0))
}

/// A computation that takes an hour.
fn compute(ctx: &Context) -> Result<u32, ContextError> {
    ctx.wait(sleep_async(Duration::from_secs(3600)))?;
    Ok(42)
}

#[gosched::main]
fn main() {
    let table = Arc::new(Mutex::new(1));
    let _somebody_else = table.lock();
    let (_service, replies) = chan::bounded(0);

    // Cancels when it goes out of scope, on every way out.
    let request = Context::background().with_timeout_cause(Duration::from_millis(50), "the user went away");

    let parts = [
        (
            "table",
            go({
                let (ctx, table) = (request.clone(), table.clone());
                move || read_table(&ctx, &table)
            }),
        ),
        (
            "service",
            go({
                let ctx = request.clone();
                move || ask_service(&ctx, &replies)
            }),
        ),
        (
            "computation",
            go({
                let ctx = request.clone();
                move || compute(&ctx)
            }),
        ),
    ];
    let (tx, tidied) = chan::bounded(1);
    request.after_func(move || tx.send("tidied up").expect("somebody waits for it"));

    for (name, part) in parts {
        match part.join().expect("no part panics") {
            Ok(value) => println!("{name}: {value}"),
            Err(error) => println!("{name}: {error}"),
        }
    }
    println!("cause: {}", request.cause().expect("the deadline has passed"));
    println!("{}", tidied.recv().expect("the function runs"));
}
