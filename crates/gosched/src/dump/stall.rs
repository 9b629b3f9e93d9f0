//! A goroutine that does not come back to the scheduler while others wait behind it: as data and as text.

use super::info::GoroutineInfo;
use crate::sys::threads::discard_payload;
use crate::task::report::text;
use std::fmt;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// After which time a stall is told of, where the program does not say.
const AFTER: Duration = Duration::from_secs(1);

/// Why goroutines cannot run while another keeps its worker.
///
/// ```
/// use gosched::debug::StallCause;
///
/// fn may_migrate_help(cause: StallCause) -> bool {
///     cause == StallCause::Pinned
/// }
/// assert!(!may_migrate_help(StallCause::OutOfThreads));
/// ```
///
/// In Go: neither happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StallCause {
    /// They have started on this worker and are pinned to it.
    Pinned,
    /// All threads that the runtime may have are stuck like this one: there are as many as
    /// [`Builder::max_threads`](crate::runtime::Builder::max_threads) allows, or the system gives no more.
    OutOfThreads,
}

/// A goroutine that does not come back to the scheduler while others wait behind it. Given to the hook of
/// [`Builder::on_stall`](crate::runtime::Builder::on_stall).
///
/// Its text is what is printed where there is no hook.
///
/// ```
/// use gosched::debug::StallReport;
///
/// fn count(report: &StallReport) {
///     eprintln!("{} wait behind goroutine {}", report.waiting, report.culprit.id);
/// }
/// let runtime = gosched::Runtime::builder().on_stall(count).build()?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; the scheduler interrupts long runners, and hands on what waits behind a system call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StallReport {
    /// The name of the runtime.
    pub runtime: Arc<str>,
    /// Who keeps the worker; of several, where all threads are stuck, the one that has done so for longest. Without its
    /// stack if its thread did not answer (it blocks SIGURG, or the program has a handler of its own for that).
    pub culprit: GoroutineInfo,
    /// For how long that was observed: time in which the process was stopped does not count.
    pub stuck_for: Duration,
    /// How many goroutines could run if it came back.
    pub waiting: usize,
    /// Why they cannot run elsewhere.
    pub cause: StallCause,
}

impl StallReport {
    pub(crate) fn new(
        culprit: GoroutineInfo,
        (cause, waiting, stuck_for): (StallCause, usize, Duration),
    ) -> Self {
        let runtime = culprit.runtime.clone().unwrap_or_default();
        Self { runtime, culprit, stuck_for, waiting, cause }
    }
}

/// Several lines, each with its end.
impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runtime, culprit, stuck_for, waiting, .. } = self;
        write!(f, "gosched: goroutine {}", culprit.id)?;
        if let Some(name) = &culprit.name {
            write!(f, " {name:?}")?;
        }
        let (noun, verb) = if *waiting == 1 { ("goroutine", "waits") } else { ("goroutines", "wait") };
        let (behind, help) = match self.cause {
            StallCause::Pinned => (
                "behind it, pinned to the same worker",
                "or build the runtime with Builder::migrate, where goroutines move to other workers",
            ),
            StallCause::OutOfThreads => {
                ("for a thread, all of which are stuck like this one", "or raise Builder::max_threads")
            }
        };
        writeln!(
            f,
            " of runtime \"{runtime}\" has not come back to the scheduler for {:.1} s; {waiting} {noun} {verb} {behind}",
            stuck_for.as_secs_f64(),
        )?;
        write!(f, "{culprit}")?;
        writeln!(f, "help: do what computes for long or blocks the thread in gosched::blocking, {help}")
    }
}

type HookFn = dyn Fn(&StallReport) + Send + Sync;

/// A runtime's settings.
#[derive(Clone)]
pub(crate) struct OnStall {
    /// `None` if nobody wants to know.
    pub(crate) after: Option<Duration>,
    hook: Hook,
}

#[derive(Clone, Default)]
struct Hook(Option<Arc<HookFn>>);

impl Drop for Hook {
    fn drop(&mut self) {
        // The last reference may go with a runtime's memory, wherever that is: a destructor's panic stays here.
        if let Some(hook) = self.0.take() {
            discard_payload(Box::new(hook));
        }
    }
}

impl Default for OnStall {
    fn default() -> Self {
        Self { after: Some(AFTER), hook: Hook::default() }
    }
}

impl fmt::Debug for OnStall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnStall").field("after", &self.after).finish_non_exhaustive()
    }
}

impl OnStall {
    /// The same with another time.
    pub(crate) fn after(self, after: Option<Duration>) -> Self {
        Self { after, ..self }
    }

    pub(crate) fn set_hook(&mut self, hook: impl Fn(&StallReport) + Send + Sync + 'static) {
        self.hook = Hook(Some(Arc::new(hook)));
    }

    /// Calls the hook, or writes the report to standard error.
    pub(crate) fn tell(&self, report: &StallReport) {
        // In one piece each, so that lines of other threads do not come between; and a standard error that is closed
        // must not take the program down.
        let write = |told: String| drop(io::stderr().write_all(told.as_bytes()));
        let Some(hook) = &self.hook.0 else { return write(report.to_string()) };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(report))) {
            write(format!(
                "gosched: the stall hook panicked: {}; it was called for:\n{report}",
                text(&*payload)
            ));
            discard_payload(payload);
        }
    }
}
