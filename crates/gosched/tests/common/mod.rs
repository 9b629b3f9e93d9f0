//! What the behaviour tests share: runtimes in every mode, bounds on time, children that may die, an executor
//! that is not ours.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub(crate) mod hand;
pub(crate) mod own_stack;
pub(crate) mod values;
pub(crate) mod wakers;

mod example;

use gosched::chan::TryRecvError;
use gosched::{JoinHandle, Runtime};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test may take at most: far more than any needs, so that a busy machine fails none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const US: Duration = Duration::from_micros(1);
pub(crate) const MS: Duration = Duration::from_millis(1);
/// Longer than any test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs `f` on a thread of its own; if it takes longer than [`PATIENCE`] the test fails and says so, instead of
/// hanging for ever.
#[track_caller]
pub(crate) fn bounded<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    bounded_as("the test", f)
}

/// The same with a name for what hangs.
#[track_caller]
pub(crate) fn bounded_as<T: Send + 'static>(what: &str, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (tx, rx) = mpsc::channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let body = thread::Builder::new().name(name).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(f));
        let _ = tx.send(());
        result
    });
    let body = body.expect("a thread for the test's body");
    match rx.recv_timeout(PATIENCE) {
        Ok(()) => match body.join().expect("the body's panics are caught") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        },
        Err(_) => panic!("{what} hangs: it has not ended after {PATIENCE:?}"),
    }
}

/// A runtime and the name of its mode.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) runtime: Runtime,
}

fn pinned(workers: usize) -> Mode {
    let runtime = Runtime::builder().workers(workers).build().unwrap();
    Mode { name: if workers == 1 { "pinned, one worker" } else { "pinned" }, runtime }
}

fn migrating() -> Mode {
    // SAFETY: the tests that use it hold nothing that is bound to a thread across a blocking call.
    let builder = unsafe { Runtime::builder().workers(2).migrate() };
    Mode { name: "migrating", runtime: builder.build().unwrap() }
}

fn os_threads() -> Mode {
    let runtime = Runtime::builder().workers(2).os_threads().build().unwrap();
    Mode { name: "os_threads", runtime }
}

/// A runtime in every mode there is.
pub(crate) fn modes() -> Vec<Mode> {
    vec![pinned(1), pinned(2), migrating(), os_threads()]
}

/// The modes in which a goroutine is cheap.
pub(crate) fn cheap_modes() -> Vec<Mode> {
    vec![pinned(1), pinned(2), migrating()]
}

/// The modes with two workers.
pub(crate) fn parallel_modes() -> Vec<Mode> {
    vec![pinned(2), migrating(), os_threads()]
}

/// Runs `body` as the main goroutine in each of `modes`, bounded in time.
#[track_caller]
pub(crate) fn in_each(modes: Vec<Mode>, body: fn()) {
    for mode in modes {
        let name = mode.name;
        let ran = catch_unwind(AssertUnwindSafe(|| {
            bounded_as(&format!("the test in {name} mode"), move || mode.runtime.run(body));
        }));
        if let Err(panic) = ran {
            eprintln!("the mode was: {name}");
            resume_unwind(panic);
        }
    }
}

/// Runs `body` as the main goroutine in every mode.
#[track_caller]
pub(crate) fn everywhere(body: fn()) {
    in_each(modes(), body);
}

/// Runs `body` as the main goroutine of a runtime with one worker, bounded in time: where the order in which
/// goroutines run matters.
#[track_caller]
pub(crate) fn one_worker(body: fn()) {
    bounded(move || Runtime::builder().workers(1).build().unwrap().run(body));
}

/// Starts a goroutine and lets it run: with one worker, until it blocks or ends.
#[track_caller]
pub(crate) fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let handle = gosched::go(f);
    // More than once: now and then a fair turn is somebody else's.
    (0..5).for_each(|_| gosched::yield_now());
    handle
}

/// The text of a panic's payload.
pub(crate) fn text(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a payload that is no text".to_owned(),
    }
}

/// Calls `f`, which must panic, and returns the panic's text.
#[track_caller]
pub(crate) fn panic_text<T>(f: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => text(&*payload),
    }
}

/// Waits until `condition` holds, on a thread or in a goroutine; fails with `what` when it takes too long.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE / 2;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        gosched::time::sleep(Duration::from_micros(200));
    }
}

/// Waits until no more goroutines are left than there were before.
#[track_caller]
pub(crate) fn settles(before: usize) {
    eventually("no more goroutines are left than before", || gosched::num_goroutine() == before);
}

/// Waits until another thread is (very probably) blocked.
pub(crate) fn settle() {
    thread::sleep(ms(30));
}

/// Whether `done` of a context is closed.
pub(crate) fn is_done(ctx: &gosched::context::Context) -> bool {
    ctx.done().try_recv() == Err(TryRecvError::Disconnected)
}

/// Why a context ended.
#[track_caller]
pub(crate) fn cause(ctx: &gosched::context::Context) -> String {
    ctx.cause().expect("a context that is done").to_string()
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// An executor that knows nothing of goroutines: polls on this thread, parks it in between.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park();
    }
}

const CHILD: &str = "GOSCHED_TEST_CHILD";

/// Whether this process was started by [`Child`], to run the body of one test.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// This test binary again, in a process of its own that runs one test: for what is counted per process, and for
/// what kills it.
pub(crate) struct Child {
    command: Command,
    /// What it is given while it runs, and when.
    input: Option<(Duration, &'static [u8])>,
    signal: Option<(Duration, i32)>,
}

impl Child {
    /// `test` is the full name of the test that calls.
    pub(crate) fn new(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
        command.env(CHILD, "1").env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: None, signal: None }
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Its standard input has nothing to read for that long, and then this.
    pub(crate) fn input(mut self, after: Duration, text: &'static [u8]) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some((after, text));
        self
    }

    /// It is sent a signal after that time.
    pub(crate) fn signal(mut self, after: Duration, signal: i32) -> Self {
        self.signal = Some((after, signal));
        self
    }

    /// Runs it, for no longer than [`PATIENCE`].
    #[track_caller]
    pub(crate) fn output(mut self) -> Output {
        let mut child = self.command.spawn().unwrap();
        let id = child.id();
        let send = move |signal: i32| {
            // SAFETY: no requirement; the child has not been waited for, so the number is still its own.
            unsafe { libc::kill(id as libc::pid_t, signal) };
        };
        if let Some((after, text)) = self.input {
            thread::sleep(after);
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text).unwrap();
        }
        if let Some((after, signal)) = self.signal {
            thread::sleep(after);
            send(signal);
        }
        let (tx, rx) = mpsc::channel();
        // Reads both pipes while it waits, so that a talkative child does not block.
        let reader = thread::spawn(move || {
            let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            let err = thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = std::io::Read::read_to_end(&mut err, &mut bytes);
                bytes
            });
            let mut stdout = Vec::new();
            let _ = std::io::Read::read_to_end(&mut out, &mut stdout);
            let status = child.wait().unwrap();
            let _ = tx.send(());
            Output { status, stdout, stderr: err.join().unwrap() }
        });
        let hangs = rx.recv_timeout(PATIENCE * 2).is_err();
        if hangs {
            send(libc::SIGKILL);
        }
        let output = reader.join().unwrap();
        assert!(!hangs, "the child process hangs; it said:\n{}", stderr(&output));
        output
    }

    /// Runs it and expects it to succeed.
    #[track_caller]
    pub(crate) fn passes(self) -> Output {
        let output = self.output();
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the child failed: {}\n{out}\n{}", output.status, stderr(&output));
        // A misspelt name would select no test, and "pass".
        assert!(out.contains("1 passed"), "the child ran no test:\n{out}");
        output
    }
}

/// Builds an example, or finds it built.
pub(crate) fn build_example(name: &str) -> PathBuf {
    example::build(name, &[])
}

/// What a child wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A number of `/proc/self/status`, in its unit.
pub(crate) fn proc_status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).expect("a line of /proc/self/status");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Leaves this process so many bytes of address space.
pub(crate) fn limit_address_space(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the record is valid while the call reads it.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// Processor time of this process.
pub(crate) fn cpu_time() -> Duration {
    // SAFETY: all zero is a valid rusage, and the call fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Whether every goroutine of this run is an OS thread (`GOSCHED_OS_THREADS=1`).
pub(crate) fn goroutines_are_threads() -> bool {
    std::env::var_os("GOSCHED_OS_THREADS").is_some_and(|value| value == "1")
}

/// Whether goroutines of the usual runtimes have stacks that dumps can look at.
pub(crate) fn stacks_are_seen() -> bool {
    let known = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));
    known && !goroutines_are_threads()
}

/// What a dump says, without what changes: numbers are `N`; functions without their path, files without their directory;
/// closures, whose names are the compiler's choice, are left out.
pub(crate) fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_suffix("(...)") {
            let place = lines.next().expect("a call has two lines");
            if function.contains("closure") {
                continue;
            }
            let file = place.rsplit('/').next().unwrap();
            masked += &format!("{}(...)\n\t{}\n", function.rsplit("::").next().unwrap(), numberless(file));
        } else {
            let head = line.strip_prefix('\t').and_then(|place| place.rsplit('/').next());
            masked += &match head {
                Some(file) => format!("\t{}\n", numberless(file)),
                None => format!("{}\n", numberless(line)),
            };
        }
    }
    masked
}

/// With `N` for each number.
pub(crate) fn numberless(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        result += &rest[..at];
        rest = &rest[at..];
        let is_hex = rest.starts_with("0x");
        rest = rest.strip_prefix("0x").unwrap_or(rest);
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || (is_hex && c.is_ascii_hexdigit()));
        result.push('N');
    }
    result + rest
}

/// Pseudo-random numbers from a seed (SplitMix64), so that what failed can be run again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of the numbers from 0 to `n - 1`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.throw() % n as u64) as usize
    }
}
