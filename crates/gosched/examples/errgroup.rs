//! Parts of one task that may fail: the first error stops the others, and is what the whole returns.
//!
//! ```text
//! cargo run --example errgroup
//! ```

use gosched::context::Context;
use gosched::group::{self, Group};
use gosched::time::sleep_async;
use std::time::Duration;

/// Downloads from a mirror: all are slow, and one refuses.
fn download(ctx: &Context, mirror: usize) -> Result<(), String> {
    if mirror == 3 {
        return Err(format!("mirror {mirror} refuses"));
    }
    match ctx.wait(sleep_async(Duration::from_secs(3600))) {
        Ok(()) => Ok(()),
        Err(_) => Err(format!("mirror {mirror} was given up")),
    }
}

/// The lengths of words, by goroutines that borrow, at most three at a time.
fn lengths(words: &[&str]) -> Result<Vec<usize>, String> {
    let mut lengths = vec![0; words.len()];
    group::scope(|g| {
        g.set_limit(3);
        for (word, length) in words.iter().zip(&mut lengths) {
            g.go(move || {
                *length = word.chars().count();
                if *length > 0 { Ok(()) } else { Err("an empty word".to_owned()) }
            });
        }
    })?;
    Ok(lengths)
}

#[gosched::main]
fn main() {
    let (group, ctx) = Group::with_context(&Context::background());
    for mirror in 1..=5 {
        let ctx = ctx.clone();
        group.go(move || download(&ctx, mirror));
    }
    println!("downloads: {:?}", group.wait());
    println!("told to the others: {}", ctx.cause().expect("the group has ended"));

    println!("lengths: {:?}", lengths(&["go", "rust", "concurrency"]));
    println!("lengths: {:?}", lengths(&["go", "", "rust"]));
}
