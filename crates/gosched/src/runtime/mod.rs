//! Runtimes: building them, running programs on them, ending them.

mod builder;
mod default;
mod describe;
mod handle;
mod main;
#[cfg(feature = "tokio")]
mod tokio;
mod unfinished;

#[cfg(feature = "tokio")]
pub use self::tokio::tokio_handle;
pub use crate::task::panics::GoroutinePanic;
pub use builder::Builder;
pub use handle::{EnterGuard, Handle};
pub use unfinished::Unfinished;

/// What the macros expand to. Not for direct use.
#[doc(hidden)]
pub mod __private {
    pub use super::main::{main, main_async};
}

use crate::dump::{self, Deadlock, RuntimeMetrics, runtimes};
use crate::fiber::stack;
use crate::scheduler::Shared;
use crate::scheduler::deadlock::{self, Expecting};
use crate::scheduler::shutdown::{Left, PATIENCE};
use crate::spawn::target::Spec;
use crate::spawn::{Goexit, JoinHandle, spawn_unchecked_on};
use crate::sys::census::Harmless;
use crate::task::{Schedule, current};
use crate::wait::{WaitReason, wait_for};
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A set of workers and the goroutines on them.
///
/// Most programs need none of their own: [`run`] and `#[gosched::main]` make one. Several may exist side by
/// side; channels and locks work between them.
///
/// Dropping it shuts it down: goroutines that have not started, and stackless ones between two polls, are
/// dropped; those parked on a stack are abandoned, with everything on their stacks, and wakes do nothing to
/// them ever after. One that is in the middle of something is given 100 ms to come back to the scheduler.
///
/// An abandoned goroutine keeps its place in whatever it waits for. Where that is shared with other runtimes or
/// threads, a message may still be handed to it, and a wake-up of a lock or condition be spent on it: those who
/// wait behind it then wait on. End such goroutines before their runtime (by closing their channels, say).
///
/// # Examples
///
/// ```
/// let runtime = gosched::Runtime::builder().workers(2).build()?;
/// assert_eq!(runtime.run(|| gosched::go(|| 1).join().unwrap() + 1), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// In Go there is exactly one, with `GOMAXPROCS` workers.
pub struct Runtime {
    shared: Arc<Shared>,
}

impl Runtime {
    /// A builder with the usual settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A runtime with the usual settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    ///
    /// ```
    /// let runtime = gosched::Runtime::new()?;
    /// assert_eq!(runtime.run(|| 6 * 7), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> std::io::Result<Self> {
        Builder::new().build()
    }

    /// Runs `f` as a goroutine of this runtime, its main one with a stack of 8 MiB, and waits for it. `f` may
    /// borrow. Goroutines that are left go on until the runtime is dropped.
    ///
    /// # Panics
    ///
    /// A panic of `f` is passed on. Panics when called by a goroutine: start another goroutine, or a
    /// [`scope`](crate::scope), instead. If `f` calls [`goexit`](crate::goexit), it panics once all other
    /// goroutines have ended, or, if nothing else could go on in the process, ends that as a deadlock does.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop.
    ///
    /// ```
    /// let runtime = gosched::Runtime::builder().workers(1).build()?;
    /// let word = String::from("gopher");
    /// assert_eq!(runtime.run(|| word.len()), 6);
    /// assert_eq!(runtime.run(gosched::num_goroutine), 1, "main is one");
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let _run = deadlock::Run::begin();
        // SAFETY: `join` below neither returns nor unwinds before the goroutine has ended, so what `f` borrows
        // outlives it; nobody can shut the runtime down while it is borrowed. The bounds have `Send`.
        let main = unsafe { self.start_main("Runtime::run", f) };
        match main.join() {
            Ok(value) => value,
            Err(payload) if payload.is::<Goexit>() => self.outlive_main(),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// As [`run`](Runtime::run), but a deadlock is returned instead of ending the process. So `f` cannot borrow: its
    /// goroutine is still there then, and with it all others that wait for each other, until the runtime is dropped.
    ///
    /// A deadlock is found within 100 ms after the last goroutine has fallen asleep: see the function [`run`](crate::run()) for what one
    /// is. Everybody who waits in `try_run` then is told.
    /// Under the standard test harness, whose threads could do anything, there is only the warning.
    ///
    /// # Errors
    ///
    /// The deadlock, with what all goroutines do. Also when `f` calls [`goexit`](crate::goexit), and all other goroutines
    /// have ended.
    ///
    /// # Panics
    ///
    /// As [`run`](Runtime::run).
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop.
    ///
    /// ```standalone_crate
    /// use gosched::{Runtime, chan};
    ///
    /// let (tx, rx) = chan::bounded::<u8>(0);
    /// let runtime = Runtime::new()?;
    /// let deadlock = runtime.try_run(move || rx.recv()).unwrap_err();
    /// assert_eq!(deadlock.goroutines.len(), 1);
    /// assert!(deadlock.to_string().starts_with("fatal error: all goroutines are asleep - deadlock!"));
    /// # drop(tx); // this thread has it, but waits in `try_run`
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go the process ends.
    #[track_caller]
    pub fn try_run<F, T>(&self, f: F) -> Result<T, Deadlock>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let _run = deadlock::Run::begin();
        let expecting = Expecting::begin();
        // SAFETY: nothing is borrowed, and the bounds have `Send`.
        let mut main = unsafe { self.start_main("Runtime::try_run", f) };
        let ended = poll_fn(|cx| match Pin::new(&mut main).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Ok(ended)),
            Poll::Pending => expecting.poll(cx).map(Err),
        });
        match wait_for(WaitReason::Join, pin!(ended))? {
            Ok(value) => Ok(value),
            Err(payload) if payload.is::<Goexit>() => Err(self.end_of_others(Some(&expecting))),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// # Safety
    ///
    /// As [`spawn_unchecked_on`].
    #[track_caller]
    unsafe fn start_main<F, T>(&self, what: &str, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        assert!(
            current::current_task().is_none(),
            "{what} was called inside a goroutine, which would block its worker; use gosched::go or \
             gosched::scope there"
        );
        let spec = Spec {
            name: Some("main".into()),
            stack_log2: stack::MAIN_SIZE.trailing_zeros() as u8,
            is_main: true,
            ..Spec::here()
        };
        // SAFETY: passed on.
        let main = unsafe { spawn_unchecked_on(&*self.shared, &spec, f) };
        main.unwrap_or_else(|error| panic!("cannot start the main goroutine: {error}"))
    }

    /// Main has called `goexit`: the others go on (G09).
    #[cold]
    fn outlive_main(&self) -> ! {
        let end = self.end_of_others(None);
        if deadlock::is_alone() {
            deadlock::end_process(&end);
        }
        // The rest of the program may go on.
        panic!("no goroutines (main called gosched::goexit): there is nothing to return");
    }

    /// Waits until all others have ended as well, or for the deadlock that one is `expecting`.
    fn end_of_others(&self, expecting: Option<&Expecting>) -> Deadlock {
        // Nobody need be told when this happens, so nobody pays for it. Meanwhile this thread wakes nobody.
        let _harmless = Harmless::here();
        while self.shared.live() > 0 {
            let found = expecting.map(|expecting| expecting.poll(&Context::from_waker(Waker::noop())));
            if let Some(Poll::Ready(deadlock)) = found {
                return deadlock;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Deadlock::nobody_left()
    }

    /// Shuts the runtime down, and tells what would not end. Dropping it does the same without telling, and waits for
    /// 100 ms.
    ///
    /// From now on no goroutine is started or resumed. Those that are running are waited for, up to `timeout`, until they
    /// end or block. (A clock that is moved by hand does not count here.) Meanwhile and after that all others are ended:
    /// those that have not started and futures between two polls are dropped; those parked on a stack, or woken but not
    /// resumed, are *abandoned*: their destructors do not run, and what they hold stays for ever. For a goroutine in
    /// [`blocking`](crate::blocking) that means that the call goes on to its end, on its own thread, and nobody learns of
    /// its result. It returns as soon as nothing runs any more; with no goroutines left, at once.
    ///
    /// So to leave nothing behind tell goroutines to end, by a context, say, and join them before.
    ///
    /// # Panics
    ///
    /// When called by a goroutine, of this or another runtime, whose worker it would block; the runtime is then shut down
    /// as by dropping it. (In [`blocking`](crate::blocking) it may be called; a goroutine of the same runtime is then
    /// itself among the abandoned.)
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop.
    ///
    /// ```
    /// use gosched::{Runtime, WaitReason, chan, debug, debug::GoroutineState, goroutine};
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::new()?;
    /// let (tx, rx) = chan::bounded::<()>(0);
    /// let waits = GoroutineState::Waiting(WaitReason::ChanReceive);
    /// runtime.run(|| {
    ///     let forgotten = goroutine::Builder::new().name("forgotten").spawn(move || rx.recv()).unwrap();
    ///     while !debug::goroutines().iter().any(|info| info.id == forgotten.id() && info.state == waits) {
    ///         gosched::yield_now(); // it is not there yet
    ///     }
    /// });
    /// let left = runtime.shutdown(Duration::from_secs(1));
    /// assert_eq!(left.abandoned[0].name.as_deref(), Some("forgotten"));
    /// assert_eq!(left.abandoned[0].state, waits);
    /// # drop(tx);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// A runtime is shut down once:
    ///
    /// ```compile_fail,E0382
    /// let runtime = gosched::Runtime::new().unwrap();
    /// runtime.shutdown(std::time::Duration::ZERO);
    /// runtime.shutdown(std::time::Duration::ZERO);
    /// ```
    ///
    /// In Go: nothing; when `main` returns, the process ends.
    pub fn shutdown(self, timeout: Duration) -> Unfinished {
        assert!(
            current::current_task().is_none(),
            "Runtime::shutdown was called inside a goroutine, whose worker it would block; use gosched::blocking there"
        );
        let Left { running, abandoned, dropped } = self.shared.shut_down_and_tell(timeout);
        Unfinished { running, abandoned, dropped }
    }

    /// What this runtime has done and does; see [`Handle::metrics`].
    ///
    /// ```
    /// let runtime = gosched::Runtime::new()?;
    /// runtime.run(|| ());
    /// assert_eq!(runtime.metrics().created, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn metrics(&self) -> RuntimeMetrics {
        dump::of_runtime(&*self.shared)
    }

    /// A handle on this runtime, for other threads.
    ///
    /// ```
    /// let runtime = gosched::Runtime::new()?;
    /// assert_eq!(runtime.handle().go(|| 7).join().unwrap(), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.keep())
    }
}

// As for `Handle`.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.shared.closing.load(Ordering::SeqCst) {
            self.shared.shut_down(PATIENCE);
        }
        runtimes::remove(&*self.shared);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("name", &self.shared.config.name)
            .field("workers", &self.shared.config.workers)
            .field("goroutines", &self.shared.live())
            .finish()
    }
}

/// Runs `f` as the main goroutine of a new runtime, and returns what it returns.
///
/// When `f` returns the runtime is shut down as described at [`Runtime`]: nobody waits for other goroutines.
///
/// # Deadlocks
///
/// When all goroutines, of all runtimes, wait for each other, the process prints
/// `fatal error: all goroutines are asleep - deadlock!` and what all goroutines do to standard error, within 100 ms, and
/// ends with code 2; no destructors run. ([`Runtime::try_run`] returns that instead.) It is a deadlock only if nothing
/// is left that could wake one of them: no timer, no input or output, no call of [`blocking`](crate::blocking), nobody
/// who waits for a signal, and no thread but those of this library and those that wait in it themselves.
///
/// Where threads of somebody else are left, or a goroutine waits for a future of another library, nobody can know: then
/// there is a warning, once, when everybody has been asleep for a second, and the program goes on.
/// [`debug::ignore_thread`](crate::debug::ignore_thread) declares a thread harmless. (Only on Linux are threads counted;
/// elsewhere there are warnings only.)
///
/// Debug builds also tell of some goroutines that wait for each other in a circle while others go on: through mutexes,
/// reader-writer locks, [`JoinHandle::join`] and [`WaitGroup::go`](crate::sync::WaitGroup::go), without time limits and not
/// in futures. They print who waits for whom and where, once for each circle. A lock whose guard has been sent to another
/// goroutine is nobody's then.
///
/// `GOSCHED_DEADLOCK_CHECK=0` in the environment switches all of this off.
///
/// # Panics
///
/// A panic of `f` is passed on. Panics when called by a goroutine, and when the runtime cannot be built (no
/// threads, no memory).
///
/// # Cancellation
///
/// Cannot be told to stop.
///
/// # Examples
///
/// ```
/// let greeting = String::from("hello");
/// let length = gosched::run(|| gosched::scope(|s| s.go(|| greeting.len()).join().unwrap()));
/// assert_eq!(length, 5);
/// ```
///
/// In Go: `func main`.
#[track_caller]
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    assert!(
        current::current_task().is_none(),
        "gosched::run was called inside a goroutine, which would block its worker; use gosched::go or \
         gosched::scope there"
    );
    match Runtime::new() {
        Ok(runtime) => runtime.run(f),
        Err(error) => panic!("cannot build a runtime: {error}"),
    }
}

#[cfg(test)]
mod tests;
