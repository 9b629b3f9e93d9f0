//! `digest`: the digests of all files under a directory, as `sha256sum` prints them.
//!
//! ```text
//! cargo run --release --example digest -- [--workers N] [--algorithm sha256|blake3] [DIR]
//! ```
//!
//! It is the bounded pipeline of Go's blog as a tool to use: one goroutine walks the tree, several
//! digest, and the main goroutine merges what they find in the order of the paths, while it keeps a
//! bar on the terminal and listens for ctrl-C. The stages are in `pipeline.rs`.

mod args;
mod hash;
mod line;
mod pipeline;
mod progress;
mod walk;

use std::convert::Infallible;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gosched::chan::{Receiver, bounded, tick};
use gosched::select;

use args::{Arguments, Request};
use line::write_line;
use pipeline::{Outcome, Pipeline};
use progress::{Bytes, Progress};
use walk::Walk;

const FAILED: u8 = 1;
const BAD_ARGUMENTS: u8 = 2;
const INTERRUPTED: u8 = 130;

#[gosched::main]
fn main() -> ExitCode {
    let arguments = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Help) => {
            print!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(complaint) => {
            eprint!("digest: {complaint}\n\n{}", args::USAGE);
            return ExitCode::from(BAD_ARGUMENTS);
        }
    };
    let stop = match on_interrupt() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("digest: cannot listen for ctrl-C: {error}");
            return ExitCode::from(FAILED);
        }
    };
    run(&arguments, &stop)
}

/// A channel that is closed at the first ctrl-C. The second ends the program on the spot.
fn on_interrupt() -> Result<Receiver<Infallible>, ctrlc::Error> {
    let (stopper, stop) = bounded(0);
    let stopper = Mutex::new(Some(stopper));
    ctrlc::set_handler(move || match stopper.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(stopper) => drop(stopper),
        None => std::process::exit(INTERRUPTED.into()),
    })?;
    Ok(stop)
}

/// Digests what was asked for and says how it went.
fn run(arguments: &Arguments, stop: &Receiver<Infallible>) -> ExitCode {
    let started = Instant::now();
    let (root, skipped) = match &arguments.root {
        Some(root) => (root.clone(), &[][..]),
        None => (project(), &["target", ".git"][..]),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = arguments.workers.unwrap_or(cores);
    let mut pipeline = Pipeline::start(Walk::new(&root, skipped), workers, arguments.algorithm);
    let progress = Progress::start(root, skipped, pipeline.status.clone());
    let mut report = Report::new(progress);
    let end = merge(&mut pipeline, &mut report, stop);
    let status = pipeline.status.clone();
    pipeline.finish();
    report.progress.clear();
    let written = report.output.flush();

    let summary = format!(
        "{} files, {} in {:.2} s",
        report.files,
        Bytes(status.read.load(Relaxed)),
        started.elapsed().as_secs_f64()
    );
    match end.and_then(|end| written.map(|()| end)) {
        Err(error) => {
            // Whoever read the lines has had enough: nothing to complain about.
            if error.kind() != io::ErrorKind::BrokenPipe {
                eprintln!("digest: cannot write: {error}");
            }
            return ExitCode::from(FAILED);
        }
        Ok(End::Interrupted) => {
            let last = report.last.as_ref().map(|path| format!(", the last was {}", path.display()));
            eprintln!("digest: interrupted after {summary}{}", last.unwrap_or_default());
            return ExitCode::from(INTERRUPTED);
        }
        Ok(End::Complete) => {}
    }
    if arguments.root.is_none() || io::stderr().is_terminal() {
        let rate = status.read.load(Relaxed) as f64 / started.elapsed().as_secs_f64().max(1e-9);
        eprintln!("digest: {summary}, {:.1} MB/s", rate / 1e6);
    }
    report.failures()
}

/// The project this program belongs to.
fn project() -> PathBuf {
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = library.ancestors().nth(2).unwrap_or(library);
    workspace.to_owned()
}

enum End {
    Complete,
    Interrupted,
}

/// Brings the results into order and prints them, until all are there or ctrl-C was pressed.
fn merge(pipeline: &mut Pipeline, report: &mut Report, stop: &Receiver<Infallible>) -> io::Result<End> {
    let ticks = tick(Duration::from_millis(100));
    loop {
        select! {
            recv(pipeline.results) -> outcome => match outcome {
                Ok(outcome) => report.take(pipeline, outcome)?,
                Err(_) => return Ok(End::Complete),
            },
            recv(ticks) -> _ => report.tick()?,
            recv(stop) -> _ => return Ok(End::Interrupted),
        }
    }
}

/// What was found, as it is shown.
struct Report {
    output: BufWriter<io::Stdout>,
    /// Somebody reads along: lines go out as soon as they can.
    live: bool,
    progress: Progress,
    files: u64,
    last: Option<PathBuf>,
    failed: Vec<(PathBuf, io::Error)>,
}

impl Report {
    fn new(progress: Progress) -> Report {
        Report {
            output: BufWriter::with_capacity(64 * 1024, io::stdout()),
            live: io::stdout().is_terminal(),
            progress,
            files: 0,
            last: None,
            failed: Vec::new(),
        }
    }

    /// Takes a result, and others that have come meanwhile, but not so many that nobody would
    /// look at the clock or at ctrl-C.
    fn take(&mut self, pipeline: &mut Pipeline, first: Outcome) -> io::Result<()> {
        const AT_ONCE: usize = 256;
        if self.live {
            self.progress.clear();
        }
        let more = pipeline.results.clone();
        for outcome in std::iter::once(first).chain(more.try_iter()).take(AT_ONCE) {
            pipeline.merge(outcome, |path, digest| {
                match digest {
                    Ok(digest) => {
                        write_line(&mut self.output, &digest, &path)?;
                        self.files += 1;
                        self.last = Some(path);
                    }
                    Err(error) => self.failed.push((path, error)),
                }
                Ok(())
            })?;
        }
        if self.live { self.output.flush() } else { Ok(()) }
    }

    /// Ten times a second: a pipe gets its lines, a terminal its bar.
    fn tick(&mut self) -> io::Result<()> {
        self.output.flush()?;
        self.progress.draw(self.files);
        Ok(())
    }

    /// Lists what could not be read.
    fn failures(&self) -> ExitCode {
        if self.failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!("digest: {} could not be read:", self.failed.len());
        for (path, error) in &self.failed {
            eprintln!("  {}: {error}", path.display());
        }
        ExitCode::from(FAILED)
    }
}
