//! `fetch`: fetches many URLs at once and says how it went.
//!
//! ```text
//! cargo run --release -p gosched-http --example fetch                     # 10,000 pages of a site of its own
//! cargo run --release -p gosched-http --example fetch -- --rate 50 http://example.com/ --file more.txt
//! ```
//!
//! (Built with `--features tls` it fetches from `https`, too.)
//!
//! A pipeline: one goroutine reads the URLs, others fetch them, and the main goroutine counts what they bring, while it
//! keeps a bar on the terminal. A context that ctrl-C or the clock ends goes down to each request.

mod args;
mod fetcher;
mod progress;
mod site;
mod summary;
mod urls;

use args::{Arguments, Input, Request};
use fetcher::{Fetcher, Page};
use gosched::chan::{Receiver, tick};
use gosched::context::{background, signal_context};
use gosched::pipeline::{source, stage};
use gosched::select;
use progress::Progress;
use site::Site;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use summary::{End, Summary};
use urls::Target;

const FAILED: u8 = 1;
const BAD_ARGUMENTS: u8 = 2;
const INTERRUPTED: u8 = 130;

#[gosched::main]
fn main() -> ExitCode {
    let arguments = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Help) => {
            let printed = gosched::io::stdout().write_all(args::USAGE.as_bytes());
            return printed.map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS);
        }
        Err(complaint) => {
            eprint!("fetch: {complaint}\n\n{}", args::USAGE);
            return ExitCode::from(BAD_ARGUMENTS);
        }
    };
    run(&arguments).unwrap_or_else(|error| {
        // Whoever read the output has had enough: nothing to complain about.
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("fetch: {error}");
        }
        ExitCode::from(FAILED)
    })
}

/// Fetches what was asked for.
fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let interrupt = signal_context(&background())?;
    let started = Instant::now();
    let ctx = match arguments.total {
        Some(limit) => interrupt.with_timeout(limit),
        None => interrupt.with_cancel(),
    };
    let site = arguments.inputs.is_empty().then(|| Site::start(arguments.pages)).transpose()?;
    let urls: Box<dyn Iterator<Item = Target> + Send> = match &site {
        Some(site) => Box::new(site.urls()),
        None => Box::new(urls::open(&arguments.inputs)?),
    };
    let total = total(arguments);
    let fetcher = Arc::new(Fetcher::new(arguments));
    let pages = stage(&ctx, arguments.concurrency, source(&ctx, urls), {
        let (ctx, fetcher) = ((*ctx).clone(), fetcher.clone());
        move |url| fetcher.fetch(&ctx, url)
    });
    let mut output = BufWriter::new(gosched::io::stdout());
    let mut summary = count(arguments, &pages, &mut output, total)?;

    let end = match (interrupt.err(), ctx.err()) {
        (Some(_), _) => End::Interrupted,
        (None, Some(_)) => End::TimeIsUp,
        (None, None) => End::Complete,
    };
    // A second ctrl-C ends the program on the spot.
    drop(interrupt);
    // Of an endless list those that were taken up count.
    let unfinished = total.unwrap_or_else(|| fetcher.begun.load(Relaxed)).saturating_sub(summary.done);
    // All were done before the end came.
    let end = if total.is_some() && unfinished == 0 { End::Complete } else { end };
    let elapsed = started.elapsed();
    let own = site.is_some();
    if let Some(site) = site {
        site.stop()?;
    }
    if !own || io::stderr().is_terminal() {
        eprint!("{}", summary.failures());
    }
    let show = if arguments.json { Summary::json } else { Summary::text };
    output.write_all(show(&mut summary, end, unfinished, elapsed).as_bytes())?;
    output.flush()?;
    Ok(ExitCode::from(match end {
        End::Interrupted => INTERRUPTED,
        End::TimeIsUp => FAILED,
        // That some pages of the own site fail is what it is for.
        End::Complete if summary.failed > 0 && !own => FAILED,
        End::Complete => 0,
    }))
}

/// How many URLs there are, if that is known before they are read.
fn total(arguments: &Arguments) -> Option<u64> {
    match &arguments.inputs[..] {
        [] => Some(arguments.pages as u64),
        inputs if inputs.iter().all(|input| matches!(input, Input::Url(_))) => Some(inputs.len() as u64),
        _ => None,
    }
}

/// Counts the pages as they come, until no more do.
fn count(
    arguments: &Arguments,
    pages: &Receiver<Option<Page>>,
    output: &mut impl Write,
    total: Option<u64>,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let mut progress = Progress::new(total);
    let ticks = tick(Duration::from_millis(100));
    let live = io::stdout().is_terminal();
    loop {
        select! {
            recv(pages) -> page => match page {
                // Nobody sends if the context has ended.
                Ok(None) => {}
                Ok(Some(page)) => {
                    summary.add(&page);
                    if arguments.each {
                        if live {
                            progress.clear();
                        }
                        output.write_all(summary::line(&page, arguments.json).as_bytes())?;
                        if live {
                            output.flush()?;
                        }
                    }
                }
                Err(_) => return Ok(summary),
            },
            recv(ticks) -> _ => {
                output.flush()?;
                progress.draw(summary.done, summary.failed);
            }
        }
    }
}
