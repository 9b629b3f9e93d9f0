//! `pipeline`: the longest words of a text, found by a pipeline that stops as soon as enough are found.
//!
//! ```text
//! cargo run --release --example pipeline -- [HOW MANY LETTERS] < TEXT
//! ```
//!
//! Lines come from standard input (or from a small text that goes on for ever), are cut into words by several
//! goroutines, and the words come out in the order of the text. The consumer takes five and leaves; with it all stages
//! end, though the text does not.

use gosched::context::background;
use gosched::num_goroutine;
use gosched::pipeline::{source, stage_ordered};
use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

const ENOUGH: usize = 5;

const TEXT: [&str; 4] = [
    "Do not communicate by sharing memory; instead,",
    "share memory by communicating.",
    "Concurrency is about dealing with lots of things at once.",
    "Parallelism is about doing lots of things at once.",
];

#[gosched::main]
fn main() -> ExitCode {
    let letters = match std::env::args().nth(1).map(|text| text.parse::<usize>()) {
        None => 10,
        Some(Ok(letters)) => letters,
        Some(Err(error)) => {
            eprintln!("pipeline: not a number of letters: {error}");
            return ExitCode::from(2);
        }
    };
    let ctx = background();
    let lines = if stdin().is_terminal() {
        source(&ctx, TEXT.iter().cycle().map(|line| (*line).to_owned()))
    } else {
        source(&ctx, std::iter::from_fn(line))
    };
    let words = stage_ordered(&ctx, 4, lines, move |line| long_words(&line, letters));
    for word in words.into_iter().flatten().take(ENOUGH) {
        println!("{word}");
    }
    // The receiver went with the loop, and the stages go with the receiver.
    while num_goroutine() > 1 {
        gosched::yield_now();
    }
    println!("{} goroutine is left", num_goroutine());
    ExitCode::SUCCESS
}

/// A line of standard input. The goroutine that reads it waits outside of the scheduler's threads.
fn line() -> Option<String> {
    gosched::blocking(|| {
        let mut line = String::new();
        (stdin().read_line(&mut line).ok()? > 0).then_some(line)
    })
}

fn long_words(line: &str, letters: usize) -> Vec<String> {
    let words = line.split(|c: char| !c.is_alphabetic());
    words.filter(|word| word.chars().count() >= letters).map(str::to_owned).collect()
}
