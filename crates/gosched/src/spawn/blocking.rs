//! Calls that block a thread, kept away from the workers.

use crate::sys::background;
use crate::sys::lock::Spin;
use crate::sys::threads::{self, BlockingCall, ThreadFate};
use crate::task::context;
use crate::wait::{WaitReason, wait_for};
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

/// A signal that is given once.
#[derive(Default)]
struct Signal {
    given: AtomicBool,
    waiter: Spin<Option<Waker>>,
}

impl Signal {
    fn give(&self) {
        // Release: the waiter sees what the call has left behind.
        self.given.store(true, Ordering::Release);
        let waiter = self.waiter.lock().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.given.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let old = self.waiter.lock().replace(waker);
        drop(old);
        // Again, after the lock: the giver raises the flag before it takes the lock, so one of us sees the other.
        if self.given.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A call whose closure and result lie on the stack of the goroutine that waits for it.
struct Call<F, T> {
    f: UnsafeCell<Option<F>>,
    result: UnsafeCell<Option<thread::Result<T>>>,
}

/// A pointer that may cross to the thread that makes the call.
struct Crossing<P>(*const P);
// SAFETY: made only for calls whose closure and result are `Send`; see `blocking`.
unsafe impl<P> Send for Crossing<P> {}

impl<F: FnOnce() -> T, T> Call<F, T> {
    fn make(&self) {
        // SAFETY: only the calling thread touches the cells until it gives the signal.
        let f = unsafe { (*self.f.get()).take() };
        let result = f.map(|f| catch_unwind(AssertUnwindSafe(f)));
        // SAFETY: as above.
        unsafe { *self.result.get() = result };
    }
}

/// Runs `f` on a thread that may block, while the goroutine waits and its worker runs others.
///
/// For calls that block in the operating system or in a C library, and for long computations: anything that
/// would keep a worker from its other goroutines. `f` may borrow. Inside it the caller is an ordinary thread:
/// waits park it. On an ordinary thread `f` is simply called, as it is while the goroutine unwinds and when no
/// thread can be started.
///
/// It cannot be cancelled: the call is made to its end. Threads are kept for ten seconds for the next call.
///
/// # Panics
///
/// A panic of `f` is passed on.
///
/// # Examples
///
/// ```
/// gosched::run(|| {
///     let path = std::env::temp_dir();
///     assert!(gosched::blocking(|| path.read_dir()).is_ok());
/// });
/// ```
///
/// In Go the runtime notices system calls by itself (G33, G34).
#[track_caller]
pub fn blocking<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let inside = context().is_some_and(|context| {
        context.task.get().is_some() && context.no_suspend.get() == 0 && !thread::panicking()
    });
    if !inside {
        return f();
    }
    let call = Call { f: UnsafeCell::new(Some(f)), result: UnsafeCell::new(None) };
    let signal = Arc::new(Signal::default());
    let job = {
        let call = Crossing(&raw const call);
        let signal = signal.clone();
        move || {
            let call = call;
            background::enter_for_good();
            let counted = BlockingCall::begin();
            // SAFETY: the goroutine keeps the call on its stack until the signal is given, and a goroutine
            // that is abandoned keeps it for ever.
            unsafe { (*call.0).make() };
            drop(counted);
            // The last touch of the call was before this.
            signal.give();
            ThreadFate::Reusable
        }
    };
    // SAFETY: only the lifetime is erased: the job is over before `wait_for` below returns, and nothing in
    // between can unwind.
    let job = unsafe {
        std::mem::transmute::<
            Box<dyn FnOnce() -> ThreadFate + Send + '_>,
            Box<dyn FnOnce() -> ThreadFate + Send>,
        >(Box::new(job))
    };
    match threads::spawn("gosched-blocking", job) {
        Ok(()) => wait_for(WaitReason::Blocking, pin!(std::future::poll_fn(|cx| signal.poll(cx)))),
        // No thread to be had: late is better than never.
        Err(_) => call.make(),
    }
    match call.result.into_inner().expect("the call was made") {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

struct Made<T> {
    signal: Signal,
    result: Spin<Option<thread::Result<T>>>,
}

/// A call on a thread that may block, as a future. Made by [`blocking_async`].
///
/// # Cancellation
///
/// Dropping it does not stop the call; its result is then dropped.
///
/// # Example
///
/// ```
/// use gosched::goroutine::Blocking;
///
/// let call: Blocking<usize> = gosched::blocking_async(|| "a call into C, say".len());
/// assert_eq!(gosched::wait(call), 18);
/// ```
///
/// In Go: nothing; every call may block.
#[must_use = "the result is lost if the future is not awaited"]
pub struct Blocking<T> {
    made: Arc<Made<T>>,
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").field("done", &self.made.signal.given).finish()
    }
}

/// Runs `f` on a thread that may block, and returns a future of its result. The call begins at once.
///
/// If no thread can be started, `f` runs right here.
///
/// # Panics
///
/// Polling passes on a panic of `f`, and panics itself after the result was taken.
///
/// # Examples
///
/// ```
/// assert_eq!(gosched::wait(gosched::blocking_async(|| 6 * 7)), 42);
/// ```
///
/// In Go: nothing; every call may block.
pub fn blocking_async<F, T>(f: F) -> Blocking<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let made = Arc::new(Made { signal: Signal::default(), result: Spin::new(None) });
    let body = Arc::new(Spin::new(Some(f)));
    let job = {
        let (made, body) = (made.clone(), body.clone());
        move || {
            background::enter_for_good();
            let counted = BlockingCall::begin();
            make(&made, &body, || drop(counted));
            ThreadFate::Reusable
        }
    };
    if threads::spawn("gosched-blocking", Box::new(job)).is_err() {
        make(&made, &body, || ());
    }
    Blocking { made }
}

/// Calls `f`, and then `ended` before anybody knows.
fn make<F: FnOnce() -> T, T>(made: &Made<T>, body: &Spin<Option<F>>, ended: impl FnOnce()) {
    let f = body.lock().take();
    let result = f.map(|f| catch_unwind(AssertUnwindSafe(f)));
    ended();
    *made.result.lock() = result;
    made.signal.give();
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if self.made.signal.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let result = self.made.result.lock().take();
        match result.expect("a blocking call was polled after it had returned its result") {
            Ok(value) => Poll::Ready(value),
            Err(panic) => resume_unwind(panic),
        }
    }
}
