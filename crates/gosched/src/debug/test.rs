//! What `#[gosched::test]` expands to, and of `#[gosched::main]` what is not the runtime's.

use super::leak;
use super::stacks;
use crate::runtime::Builder;
use crate::wait::wait;
use std::future::Future;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// What `#[gosched::main]` begins with.
pub fn handle_sigquit(wanted: bool) {
    if wanted {
        // A program that cannot have this is no worse than one that does not want it.
        let _ = super::on_sigquit();
    }
}

/// How long a test may take that says nothing else: as `go test`.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Arguments of the attribute that are not for the runtime.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Settings {
    timeout: Duration,
    leak_check: bool,
}

impl Settings {
    /// The usual ones.
    #[expect(clippy::new_without_default, reason = "for the macro only")]
    pub fn new() -> Self {
        Self { timeout: TIMEOUT, leak_check: true }
    }

    /// How long the test may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether goroutines that are left make it fail.
    pub fn leak_check(mut self, check: bool) -> Self {
        self.leak_check = check;
        self
    }
}

/// Runs a plain test.
pub fn test<T: Termination + 'static>(builder: Builder, settings: Settings, body: fn() -> T) -> ExitCode {
    run(builder, settings, move || body().report())
}

/// Runs an `async` test.
pub fn test_async<F>(builder: Builder, settings: Settings, body: fn() -> F) -> ExitCode
where
    F: Future + Send + 'static,
    F::Output: Termination,
{
    run(builder, settings, move || wait(body()).report())
}

fn run(builder: Builder, settings: Settings, body: impl FnOnce() -> ExitCode + Send + 'static) -> ExitCode {
    let Settings { timeout, leak_check } = settings;
    let runtime = builder.build().unwrap_or_else(|error| panic!("cannot build a runtime: {error}"));
    let (tell, told) = mpsc::channel();
    // On a thread of its own, which is left alone with the test if that does not end. It has the test's name, so that
    // the output is captured and named as the test's.
    let name = thread::current().name().unwrap_or("test").to_owned();
    let started = thread::Builder::new().name(name).spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.run(move || {
                let code = body();
                if leak_check && is_success(code) {
                    leak::check().unwrap_or_else(|leaks| panic!("{leaks}"));
                }
                code
            })
        }));
        // Before the end is told: the next test finds no threads of this one.
        drop(runtime);
        let _ = tell.send(ended);
    });
    started.expect("a thread for the test");
    match told.recv_timeout(timeout) {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvTimeoutError::Timeout) => {
            let _ = io::stderr()
                .write_all(format!("test timed out after {timeout:?}\n\n{}", stacks()).as_bytes());
            panic!("test timed out after {timeout:?}");
        }
        Err(RecvTimeoutError::Disconnected) => unreachable!("the thread catches all panics and tells"),
    }
}

/// An `ExitCode` cannot be compared; its text can.
fn is_success(code: ExitCode) -> bool {
    format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS)
}
