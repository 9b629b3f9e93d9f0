//! Goroutines that were left behind: who still waits, when a piece of work or a test should be over, waits for ever.
//!
//! ```
//! use gosched::chan;
//! use gosched::debug::leak;
//!
//! gosched::run(|| {
//!     let (tx, rx) = chan::bounded::<u8>(0);
//!     gosched::go(move || rx.recv()); // nobody sends, and `tx` is still there
//!     let leaks = leak::check().unwrap_err();
//!     assert_eq!(leaks.goroutines().len(), 1);
//!     assert_eq!(leaks.goroutines()[0].state.to_string(), "chan receive");
//!     drop(tx); // now it ends
//!     leak::check().unwrap();
//! });
//! ```
//!
//! In Go: the module `go.uber.org/goleak`.

use crate::clock::{manual, real_now};
use crate::dump::{self, GoroutineInfo, Stack};
use crate::spawn::target;
use crate::task::current::current_task;
use crate::wait::{WaitReason, wait_deadline, yield_now};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks (goleak's).
const ATTEMPTS: u32 = 20;
/// The longest pause between two looks (goleak's).
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

type Filter = Arc<dyn Fn(&GoroutineInfo) -> bool + Send + Sync>;

/// Looks for goroutines that were left behind; the same as [`find`] with the usual options.
///
/// # Errors
///
/// What was found.
///
/// ```
/// gosched::run(|| {
///     gosched::go(|| 7).join().unwrap();
///     gosched::debug::leak::check().unwrap();
/// });
/// ```
///
/// In Go: `goleak.Find()`.
pub fn check() -> Result<(), Leaks> {
    find(&Options::new())
}

/// Looks for goroutines that were left behind.
///
/// It lists the goroutines of the caller's runtime (of all runtimes, when the caller is in none or
/// [`Options::all_runtimes`] says so) but the caller, main goroutines, which `run` waits for, and those that `options`
/// ignores. If there are any it looks again, up to 20 times after longer and longer pauses, some 0.4 s in all, so that
/// those which are about to end do.
///
/// # Errors
///
/// What was found the last time.
///
/// # Cancellation
///
/// Cannot be told to stop; it ends in time by itself.
///
/// ```
/// use gosched::debug::leak::{self, Options};
/// use gosched::time;
/// use std::time::Duration;
///
/// gosched::run(|| {
///     gosched::goroutine::Builder::new()
///         .name("heartbeat")
///         .spawn(|| time::sleep(Duration::from_secs(3600)))
///         .unwrap();
///     assert!(leak::find(&Options::new()).is_err());
///     assert!(leak::find(&Options::new().ignore_name("heartbeat")).is_ok());
/// });
/// ```
///
/// In Go: `goleak.Find(options...)`.
pub fn find(options: &Options) -> Result<(), Leaks> {
    for attempt in 0.. {
        let left = options.list();
        if left.is_empty() {
            return Ok(());
        }
        if attempt >= options.attempts {
            return Err(Leaks(left));
        }
        pause(Duration::from_micros(1).saturating_mul(1 << attempt.min(20)).min(LONGEST_PAUSE));
    }
    unreachable!("the loop ends by itself")
}

/// Lets others run for so long, by the machine's clock.
fn pause(time: Duration) {
    if manual::here().is_none() {
        let _ = wait_deadline(WaitReason::Sleep, pin!(pending::<()>()), real_now() + time);
        return;
    }
    // A sleep here would wait for somebody to move the clock.
    let end = real_now() + time;
    while real_now() < end {
        yield_now();
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// What is no leak.
///
/// ```
/// use gosched::debug::leak::Options;
///
/// gosched::run(|| {
///     let handle = gosched::go_async(std::future::pending::<()>());
///     let before = Options::new().ignore_current();
///     assert!(gosched::debug::leak::find(&before).is_ok(), "it was there before");
///     drop(handle);
/// });
/// ```
///
/// In Go: the options of goleak. It names the function that started a goroutine; here the place is known instead.
#[derive(Clone)]
#[must_use = "options do nothing until they are used"]
pub struct Options {
    attempts: u32,
    all_runtimes: bool,
    ids: Arc<HashSet<u64>>,
    filters: Vec<Filter>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("attempts", &self.attempts)
            .field("all_runtimes", &self.all_runtimes)
            .field("ids", &self.ids)
            .field("filters", &self.filters.len())
            .finish()
    }
}

impl Options {
    /// The usual ones.
    pub fn new() -> Self {
        Self { attempts: ATTEMPTS, all_runtimes: false, ids: Arc::default(), filters: Vec::new() }
    }

    /// Looks at all runtimes of the process, not at the caller's alone.
    ///
    /// Tests that run side by side in one process find each other's goroutines then.
    pub fn all_runtimes(mut self) -> Self {
        self.all_runtimes = true;
        self
    }

    /// Looks again so many times at most, after pauses of 1 µs, 2 µs, 4 µs and so on, up to 100 ms; 20 by default.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Ignores the goroutines that there are now.
    ///
    /// In Go: `goleak.IgnoreCurrent`.
    pub fn ignore_current(mut self) -> Self {
        let now = dump::goroutines().into_iter().map(|info| info.id);
        Arc::make_mut(&mut self.ids).extend(now);
        self
    }

    /// Ignores goroutines of this name.
    pub fn ignore_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.ignore(move |info| info.name.as_deref() == Some(&name))
    }

    /// Ignores goroutines that were started in this file, given by its path or by the end of it, whole components only:
    /// `worker.rs`, `src/pool/worker.rs`.
    ///
    /// In Go: `goleak.IgnoreCreatedBy`, for a function.
    pub fn ignore_created_in(self, file: impl AsRef<std::path::Path>) -> Self {
        let file = file.as_ref().to_owned();
        self.ignore(move |info| std::path::Path::new(info.created_at.file()).ends_with(&file))
    }

    /// Ignores goroutines that wait in this file, given in the same way.
    ///
    /// In Go: `goleak.IgnoreTopFunction`, roughly; see [`Options::ignore_top_function`].
    pub fn ignore_waiting_in(self, file: impl AsRef<std::path::Path>) -> Self {
        let file = file.as_ref().to_owned();
        self.ignore(move |info| {
            info.waits_at.is_some_and(|at| std::path::Path::new(at.file()).ends_with(&file))
        })
    }

    /// Ignores goroutines whose innermost call, as dumps show it, is of this function, given by its path or by the end of
    /// it, whole segments only: `next`, `fetch::next`, `my_crate::fetch::next`.
    ///
    /// Nothing is known of the calls of a future between two polls, and on some systems of none:
    /// [`GoroutineInfo::stack`].
    ///
    /// In Go: `goleak.IgnoreTopFunction`.
    pub fn ignore_top_function(self, function: impl Into<String>) -> Self {
        let function = function.into();
        self.ignore(move |info| calls(info).first().is_some_and(|call| is_named(call, &function)))
    }

    /// Ignores goroutines with a call of this function anywhere among those that dumps show, given in the same way.
    ///
    /// In Go: `goleak.IgnoreAnyFunction`.
    pub fn ignore_any_function(self, function: impl Into<String>) -> Self {
        let function = function.into();
        self.ignore(move |info| calls(info).iter().any(|call| is_named(call, &function)))
    }

    /// Ignores goroutines for which `filter` says so.
    ///
    /// ```
    /// use gosched::debug::leak::{self, Options};
    ///
    /// gosched::run(|| {
    ///     gosched::go_async(std::future::pending::<()>());
    ///     let closures_only = Options::new().ignore(|info| !info.stackful);
    ///     assert!(leak::find(&closures_only).is_ok());
    /// });
    /// ```
    pub fn ignore(mut self, filter: impl Fn(&GoroutineInfo) -> bool + Send + Sync + 'static) -> Self {
        self.filters.push(Arc::new(filter));
        self
    }

    /// Goroutines that should not be there.
    fn list(&self) -> Vec<GoroutineInfo> {
        let runtime = target::existing().map(|scheduler| scheduler.anchor().addr());
        let caller = current_task().map_or(0, |task| task.id.get());
        let mut list = dump::goroutines();
        list.retain(|info| {
            let of_runtime = self.all_runtimes || runtime.is_none_or(|runtime| runtime == info.runtime_at);
            let usual = info.id == caller || info.is_main || self.ids.contains(&info.id);
            of_runtime && !usual && !self.filters.iter().any(|filter| filter(info))
        });
        list
    }
}

/// The functions a goroutine is in, the innermost first, as far as they are known.
fn calls(info: &GoroutineInfo) -> Vec<Box<str>> {
    let backtrace = info.stack.as_ref().map(Stack::backtrace);
    backtrace
        .iter()
        .flat_map(|backtrace| backtrace.frames())
        .filter_map(|frame| frame.function.clone())
        .collect()
}

/// Whether a function's path ends with these segments.
fn is_named(function: &str, name: &str) -> bool {
    function.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

/// Goroutines that were left behind, as [`check`] and [`find`] report them.
///
/// Its text has goleak's form.
///
/// ```
/// gosched::run(|| {
///     gosched::go_async(std::future::pending::<()>());
///     let leaks = gosched::debug::leak::check().unwrap_err();
///     assert!(leaks.to_string().starts_with("found unexpected goroutines:\n[Goroutine "));
/// });
/// ```
///
/// In Go: the error of `goleak.Find`.
#[derive(Clone, Debug)]
pub struct Leaks(Vec<GoroutineInfo>);

impl Leaks {
    /// The goroutines, sorted by their ids. At least one.
    pub fn goroutines(&self) -> &[GoroutineInfo] {
        &self.0
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("found unexpected goroutines:\n[")?;
        for (at, info) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}Goroutine {} in state {}", info.id, info.state)?;
            match (calls(info).first(), info.waits_at) {
                (Some(function), _) => writeln!(f, ", with {function} on top of the stack:")?,
                (None, Some(at)) => writeln!(f, ", waiting at {at}:")?,
                (None, None) => writeln!(f, ", created at {}:", info.created_at)?,
            }
            writeln!(f, "{info}")?;
        }
        f.write_str("]")
    }
}

impl Error for Leaks {}

/// Checks for leaks when it is dropped: at the end of the function or the test that has made it.
///
/// Goroutines that were there when the guard was made are no leaks.
///
/// # Panics
///
/// When dropped, with the text of the [`Leaks`], if goroutines were left behind. Not while the thread is panicking
/// already: then it does not look.
///
/// ```
/// use gosched::debug::leak;
///
/// fn work() {
///     let _no_leaks = leak::Guard::new();
///     gosched::go(|| 7).join().unwrap();
/// }
/// gosched::run(work);
/// ```
///
/// In Go: `defer goleak.VerifyNone(t)`.
#[derive(Debug)]
#[must_use = "the check is made when the guard is dropped"]
pub struct Guard {
    options: Options,
}

impl Guard {
    /// A guard with the usual options, and the goroutines that there are now ignored.
    pub fn new() -> Self {
        Self::with(Options::new().ignore_current())
    }

    /// A guard with these options.
    ///
    /// ```
    /// use gosched::debug::leak::{Guard, Options};
    ///
    /// gosched::run(|| {
    ///     let _no_leaks = Guard::with(Options::new().ignore_name("logger"));
    /// });
    /// ```
    pub fn with(options: Options) -> Self {
        Self { options }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    #[track_caller]
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Err(leaks) = find(&self.options)
        {
            panic!("{leaks}");
        }
    }
}
