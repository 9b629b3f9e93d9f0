//! How a runtime is to be.

use super::Runtime;
use super::default;
use crate::clock::Clock;
use crate::dump::stall::OnStall;
use crate::dump::{StallReport, runtimes};
use crate::fiber::coro::Backend;
use crate::fiber::{overflow, stack};
use crate::scheduler::{Config, Shared};
use crate::task::panics::{GoroutinePanic, OnPanic};
use std::io;
use std::time::Duration;

/// The environment variable that sets the number of workers where the program does not.
const WORKERS: &str = "GOSCHED_WORKERS";

/// The environment variable that gives every goroutine an OS thread where the program does not say so.
const OS_THREADS: &str = "GOSCHED_OS_THREADS";

/// The environment variable that says after how many milliseconds a stall is told of where the program does not; 0 for
/// never.
const STALL_MS: &str = "GOSCHED_STALL_MS";

/// How many threads run goroutines at most where the program does not say.
const MAX_THREADS: usize = 1000;

/// Settings of a [`Runtime`].
///
/// ```
/// use gosched::runtime::Builder;
///
/// let settings: Builder = gosched::Runtime::builder().workers(2).name("server");
/// let runtime = settings.build()?;
/// assert_eq!(runtime.run(|| 6 * 7), 42);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `GOMAXPROCS` and other environment variables.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    workers: Option<usize>,
    max_threads: usize,
    stack_size: usize,
    name: String,
    migrate: bool,
    os_threads: bool,
    clock: Option<Clock>,
    on_panic: OnPanic,
    /// As the program has set it, else the environment decides.
    stall_after: Option<Option<Duration>>,
    on_stall: OnStall,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            workers: None,
            max_threads: MAX_THREADS,
            stack_size: stack::DEFAULT_SIZE,
            name: "gosched".into(),
            migrate: false,
            os_threads: std::env::var_os(OS_THREADS).is_some_and(|value| value == "1"),
            clock: None,
            on_panic: OnPanic::default(),
            stall_after: None,
            on_stall: OnStall::default(),
        }
    }

    /// How many worker threads run goroutines. Without it: the environment variable `GOSCHED_WORKERS`, else
    /// `std::thread::available_parallelism`, which knows of affinity masks and cgroup quotas.
    ///
    /// In Go: `GOMAXPROCS`.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many threads run goroutines at most; 1,000 by default, and never fewer than there are workers.
    ///
    /// A worker that does not come back for some 10 ms, because a goroutine computes, or blocks its thread in the
    /// system, in a `std` lock or in a C library, is stood in for by another thread, as long as there is work to do and
    /// nobody idle to do it. When there are as many threads as this, that is said once on standard error, and what
    /// waits goes on waiting until one of them comes back. Threads of [`blocking`](crate::blocking) are not counted.
    ///
    /// ```
    /// let runtime = gosched::Runtime::builder().workers(1).max_threads(8).build()?;
    /// runtime.run(|| {
    ///     let other = gosched::go(|| 7);
    ///     // Blocks the only worker. Another thread stands in.
    ///     while !other.is_finished() {
    ///         std::thread::sleep(std::time::Duration::from_millis(1));
    ///     }
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: `debug.SetMaxThreads`, at whose limit the program crashes.
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.max_threads = threads;
        self
    }

    /// How many bytes of stack a goroutine has at most, rounded up to a power of two; 256 KiB by default.
    /// They are address space, used page by page.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// The name of the runtime, with which its threads' names begin.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives each goroutine an OS thread of its own, which passes a baton: slow, and without any interleaving
    /// of goroutines on one thread. For diagnosis, for sanitizers, and for code that must have it. The
    /// environment variable `GOSCHED_OS_THREADS=1` does the same for every runtime of a program.
    ///
    /// ```
    /// let runtime = gosched::Runtime::builder().os_threads().build()?;
    /// let (main, other) = runtime.run(|| {
    ///     let id = || std::thread::current().id();
    ///     (id(), gosched::go(id).join().unwrap())
    /// });
    /// assert_ne!(main, other);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn os_threads(mut self) -> Self {
        self.os_threads = true;
        self
    }

    /// Gives the runtime's goroutines this clock to live by, instead of the machine's: all that waits for a time,
    /// in the whole library, waits for this one. For tests; see [`time::clock`](crate::time::clock).
    ///
    /// ```
    /// use gosched::time::{clock::Clock, now};
    ///
    /// let clock = Clock::manual();
    /// let runtime = gosched::Runtime::builder().clock(&clock).build()?;
    /// assert_eq!(runtime.run(now), clock.now());
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: `synctest.Test`, for the goroutines of one test.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Calls `hook` for each panic that ends a goroutine of this runtime: each that the goroutine does not catch itself,
    /// whether or not somebody else is handed it (by `join`, a scope, a group, a pool, a pipeline).
    ///
    /// It is called on the goroutine that panicked, after its destructors have run and before anybody learns of its
    /// end; it may do what a goroutine may. It replaces what is printed of a goroutine that panicked and was not
    /// joined; what the standard library's hook prints when a panic begins it leaves alone. One that is handed to
    /// another goroutine, and ends that too, is told once more, as that one's. [`goexit`](crate::goexit) is no panic.
    ///
    /// A panic of the hook itself is printed, and ends there.
    ///
    /// ```
    /// use gosched::chan;
    /// use std::panic::resume_unwind;
    ///
    /// let (tx, rx) = chan::unbounded();
    /// let runtime = gosched::Runtime::builder()
    ///     .panic_hook(move |panic| tx.send((panic.id(), panic.payload_as_str().map(str::to_owned))).unwrap())
    ///     .build()?;
    /// runtime.run(|| {
    ///     let id = gosched::go(|| resume_unwind(Box::new("out of tea"))).id();
    ///     assert_eq!(rx.recv(), Ok((id, Some("out of tea".to_owned()))));
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: nothing; a `defer` with `recover` at the top of each goroutine.
    pub fn panic_hook(mut self, hook: impl Fn(&GoroutinePanic<'_>) + Send + Sync + 'static) -> Self {
        self.on_panic.set_hook(hook);
        self
    }

    /// Whether a panic that ends a goroutine of this runtime, its main one included, ends the process: Go's rule. By
    /// default it ends that goroutine only.
    ///
    /// The goroutine's own destructors run, nobody else's do. Then the [hook](Builder::panic_hook) is called, if there
    /// is one, the panic is printed with the goroutine, as Go prints it, and the process aborts. It is the same
    /// whether or not somebody would have been handed the panic; only [`std::panic::catch_unwind`] inside the goroutine
    /// keeps it from happening. (Go exits with 2; an abort lets the system keep a core.)
    ///
    /// ```no_run
    /// let runtime = gosched::Runtime::builder().abort_on_panic(true).build()?;
    /// runtime.run(|| gosched::go(|| panic!("out of tea")).join().ok());
    /// unreachable!();
    /// # #[allow(unreachable_code)]
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: how it is.
    pub fn abort_on_panic(mut self, abort: bool) -> Self {
        self.on_panic.set_abort(abort);
        self
    }

    /// After which time a goroutine is told of that does not come back to the scheduler while others wait behind it; `None`
    /// for never. Without it: as many milliseconds as the environment variable `GOSCHED_STALL_MS` says (0 for never),
    /// else one second.
    ///
    /// Started goroutines are pinned to their worker (but in [migrating](Builder::migrate) runtimes). While one of them
    /// computes, or blocks its thread in the system, in a `std` lock or in a C library, the others of that worker wait.
    /// Then the goroutine, its backtrace, how many wait and what can be done are told on standard error, once for each such
    /// stall; [`Builder::on_stall`] takes them instead. The same is told when goroutines of any kind wait because as many
    /// threads are stuck as [`max_threads`](Builder::max_threads) allows. Nobody is told while nobody waits behind,
    /// of what runs in [`blocking`](crate::blocking), or for time in which the process was stopped.
    ///
    /// For the backtrace the goroutine's thread is sent the signal SIGURG, once; any other SIGURG goes to the handler
    /// that the program had before. System calls go on after it, but for `nanosleep`, `poll`, `epoll_wait`,
    /// `select` and their kin, and calls on sockets with a timeout, which return `EINTR`. The standard library repeats
    /// those it makes; C libraries that do not are better off with `None`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = gosched::Runtime::builder().stall_report(Some(Duration::from_millis(200)));
    /// # let runtime = builder.build()?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: nothing; goroutines that compute are interrupted by that signal and put aside.
    pub fn stall_report(mut self, after: Option<Duration>) -> Self {
        self.stall_after = Some(after);
        self
    }

    /// Calls `hook` for each [stall](Builder::stall_report), instead of printing it.
    ///
    /// It is called on a thread of its own, which runs no goroutine, and may block. What it says may be over by then. A
    /// panic of the hook is printed, and ends there.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// let (tx, reports) = mpsc::channel();
    /// let runtime = gosched::Runtime::builder()
    ///     .workers(1)
    ///     .stall_report(Some(Duration::from_millis(50)))
    ///     .on_stall(move |report| tx.send(report.clone()).unwrap())
    ///     .build()?;
    /// let report = runtime.run(move || {
    ///     gosched::go(gosched::yield_now);
    ///     gosched::yield_now(); // The other one has started, and is pinned to this worker.
    ///     reports.recv_timeout(Duration::from_secs(30)) // That of std: it blocks the thread.
    /// });
    /// assert_eq!(report.unwrap().waiting, 1);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: nothing.
    pub fn on_stall(mut self, hook: impl Fn(&StallReport) + Send + Sync + 'static) -> Self {
        self.on_stall.set_hook(hook);
        self
    }

    /// Lets started stackful goroutines resume on any worker, as Go's do, instead of staying on the one that
    /// started them.
    ///
    /// # Safety
    ///
    /// A goroutine's stack then changes threads at any blocking call, under code that the compiler believes to
    /// stay on one. For every goroutine of the runtime:
    ///
    /// * Nothing that is bound to a thread is held across a blocking call: no value that is not `Send` and
    ///   refers to thread-bound state (a `std` or `parking_lot` lock guard, a `RefCell` borrow or reference into
    ///   a thread-local, a `ThreadRng`, `Rc`s that others on the thread share, an entered `tracing` span).
    /// * No function, *after inlining*, uses a thread-local both before and after a blocking call: the compiler
    ///   computes a thread-local's address once per function.
    ///
    /// A blocking call is anything in this library that may wait, whoever calls it, including destructors.
    ///
    /// # Example
    ///
    /// ```
    /// // SAFETY: the goroutines below hold nothing that is bound to a thread.
    /// let runtime = unsafe { gosched::Runtime::builder().migrate() }.build()?;
    /// assert_eq!(runtime.run(|| gosched::go(|| 7).join().unwrap()), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub unsafe fn migrate(mut self) -> Self {
        self.migrate = true;
        self
    }

    /// Builds the runtime and starts its workers.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for zero workers, more than 65,535, a `GOSCHED_WORKERS` that is not a number, or a stack
    /// size that [`goroutine::Builder::spawn`](crate::goroutine::Builder::spawn) would refuse; the system's error
    /// when a thread or a stack cannot be had.
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// assert!(gosched::Runtime::builder().workers(1).build().is_ok());
    /// let none = gosched::Runtime::builder().workers(0).build();
    /// assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidInput);
    /// ```
    pub fn build(self) -> io::Result<Runtime> {
        let workers = self.count_workers()?;
        let on_stall = self.on_stall.clone().after(self.stall_after()?);
        let config = Config {
            workers,
            max_threads: self.max_threads.max(workers),
            stack_size: stack::check_size(self.stack_size)?,
            backend: if self.os_threads { Backend::Threads } else { Backend::Stacks },
            migrate: self.migrate,
            name: self.name.into(),
            clock: self.clock.map(|clock| clock.manual),
            on_panic: self.on_panic,
            on_stall,
        };
        overflow::set_describer(super::describe::describe);
        overflow::install();
        let name = config.name.clone();
        let runtime = Runtime { shared: Shared::new(config) };
        runtimes::add(&*runtime.shared, name);
        // On failure the runtime is dropped, which ends the workers that have started.
        runtime.shared.start()?;
        Ok(runtime)
    }

    /// Builds the process-wide default runtime, which serves goroutines that are started on threads of no
    /// runtime. It is never shut down.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`]; `AlreadyExists` if there is one, be it because somebody has used it already.
    ///
    /// ```standalone_crate
    /// use std::io::ErrorKind;
    ///
    /// gosched::Runtime::builder().workers(1).build_global()?;
    /// assert_eq!(gosched::go(|| 7).join().unwrap(), 7);
    /// let second = gosched::Runtime::builder().build_global();
    /// assert_eq!(second.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: nothing; the one runtime is there when the program starts.
    pub fn build_global(self) -> io::Result<()> {
        default::build(self)
    }

    fn stall_after(&self) -> io::Result<Option<Duration>> {
        match (self.stall_after, std::env::var(STALL_MS)) {
            (Some(after), _) => Ok(after),
            (None, Ok(text)) => match text.trim().parse() {
                Ok(0) => Ok(None),
                Ok(ms) => Ok(Some(Duration::from_millis(ms))),
                Err(_) => {
                    let text = format!("{STALL_MS} is \"{text}\", which is not a number");
                    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
                }
            },
            (None, Err(_)) => Ok(self.on_stall.after),
        }
    }

    fn count_workers(&self) -> io::Result<usize> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let workers = match (self.workers, std::env::var(WORKERS)) {
            (Some(workers), _) => workers,
            (None, Ok(text)) => match text.trim().parse() {
                Ok(workers) => workers,
                Err(_) => return invalid(format!("{WORKERS} is \"{text}\", which is not a number")),
            },
            (None, Err(_)) => std::thread::available_parallelism().map_or(1, usize::from),
        };
        match workers {
            0 => invalid("a runtime needs at least one worker; zero were asked for".into()),
            1..=65_535 => Ok(workers),
            _ => invalid(format!("{workers} workers were asked for; at most 65,535 are possible")),
        }
    }
}
