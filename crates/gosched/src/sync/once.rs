//! `Once`: something that is done once.

use super::raw_once::{Claim, Permit, RawOnce};
use crate::wait::{WaitReason, wait_deadline, wait_for};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Does something once, however many ask for it at the same time.
///
/// The first call of [`call_once`](Once::call_once) runs its function; the others wait until it has finished, and
/// run theirs not. What that function did happens before the return of each call. The function may block: those
/// that wait are goroutines suspended, threads parked or tasks pending.
///
/// # Panics
///
/// A panic of the function is passed on to the one that called it, and **counts as done**, as in Go: nobody runs
/// another function, and later calls return as if nothing had happened. (`std::sync::Once` is poisoned by a panic
/// instead, and `OnceCell` here tries again. Where later callers must learn of the panic, use
/// [`once_func`](super::once_func) or a [`LazyLock`](super::LazyLock).) So does `goexit` inside the function.
///
/// # Deadlocks
///
/// A function that calls `call_once` of the very `Once` that runs it waits for itself, for ever, as in Go.
///
/// # Cancellation
///
/// A `call_once_async` future that waits leaves no trace when it is dropped. The function itself runs within one
/// poll and is not cut short.
///
/// # Example
///
/// ```
/// use gosched::sync::Once;
/// use gosched::sync::atomic::{AtomicU32, Ordering};
///
/// static START: Once = Once::new();
/// static STARTS: AtomicU32 = AtomicU32::new(0);
/// gosched::scope(|s| {
///     for _ in 0..3 {
///         s.go(|| START.call_once(|| _ = STARTS.fetch_add(1, Ordering::Relaxed)));
///     }
/// });
/// assert_eq!(STARTS.load(Ordering::Relaxed), 1);
/// ```
///
/// In Go: `sync.Once`.
pub struct Once {
    raw: RawOnce,
}

impl Once {
    /// One that has not run.
    pub const fn new() -> Self {
        Self { raw: RawOnce::new() }
    }

    /// Runs `f` if this is the first call; else waits until the first call's function has finished.
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; see the type. In Go: `Once.Do`.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(once.call_once_async(f))` can, while it waits for another's function.
    ///
    /// ```
    /// use gosched::sync::Once;
    ///
    /// let (once, mut runs) = (Once::new(), 0);
    /// once.call_once(|| runs += 1);
    /// once.call_once(|| runs += 1);
    /// assert_eq!(runs, 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.raw.is_done() {
            self.call_slow(f);
        }
    }

    #[cold]
    #[track_caller]
    fn call_slow(&self, f: impl FnOnce()) {
        if let Some(permit) = wait_for(WaitReason::OnceWait, pin!(self.raw.claim())) {
            run(permit, f);
        }
    }

    /// [`call_once`](Once::call_once) that waits for another's function for at most `timeout`. False if that has not
    /// finished by then; `f` has not run, and will not. `f` itself is not cut short.
    ///
    /// A timeout too large for the clock means for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let once = gosched::sync::Once::new();
    /// assert!(once.call_once_timeout(|| println!("once"), Duration::ZERO));
    /// ```
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; see the type.
    #[track_caller]
    #[must_use = "it may not have been done"]
    pub fn call_once_timeout(&self, f: impl FnOnce(), timeout: Duration) -> bool {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.call_once_deadline(f, deadline),
            None => {
                self.call_once(f);
                true
            }
        }
    }

    /// [`call_once_timeout`](Once::call_once_timeout) with a point in time.
    ///
    /// # Panics
    ///
    /// Passes a panic of `f` on; see the type.
    #[track_caller]
    #[must_use = "it may not have been done"]
    pub fn call_once_deadline(&self, f: impl FnOnce(), deadline: Instant) -> bool {
        if !self.raw.is_done() {
            let claim = pin!(self.raw.claim());
            if let Some(Some(permit)) = wait_deadline(WaitReason::OnceWait, claim, deadline) {
                run(permit, f);
            }
        }
        self.raw.is_done()
    }

    /// The async form of [`call_once`](Once::call_once), for a function that is not async itself (for one that is,
    /// see [`OnceCell::get_or_init_async`](super::OnceCell::get_or_init_async)). The function runs within a poll.
    ///
    /// ```
    /// let once = gosched::sync::Once::new();
    /// gosched::wait(once.call_once_async(|| println!("once")));
    /// assert!(once.is_completed());
    /// ```
    pub fn call_once_async<F: FnOnce()>(&self, f: F) -> CallOnce<'_, F> {
        CallOnce { f: Some(f), claim: self.raw.claim() }
    }

    /// Whether the function has finished, by return or panic.
    ///
    /// ```
    /// let once = gosched::sync::Once::new();
    /// assert!(!once.is_completed());
    /// once.call_once(|| ());
    /// assert!(once.is_completed());
    /// ```
    pub fn is_completed(&self) -> bool {
        self.raw.is_done()
    }
}

/// Runs the function, whose end counts as done however it ends.
fn run(permit: Permit<'_>, f: impl FnOnce()) {
    struct DoneAtLast<'a>(Option<Permit<'a>>);
    impl Drop for DoneAtLast<'_> {
        fn drop(&mut self) {
            if let Some(permit) = self.0.take() {
                permit.done();
            }
        }
    }
    let _done = DoneAtLast(Some(permit));
    f();
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl std::panic::UnwindSafe for Once {}
impl std::panic::RefUnwindSafe for Once {}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("state", &format_args!("{}", self.raw.state_name())).finish()
    }
}

/// Runs a function once; from [`Once::call_once_async`].
///
/// # Cancellation
///
/// Dropped while it waits it leaves no trace.
///
/// # Example
///
/// ```
/// use gosched::sync::Once;
///
/// let (once, mut runs) = (Once::new(), 0);
/// drop(once.call_once_async(|| unreachable!("it was not polled")));
/// gosched::wait(once.call_once_async(|| runs += 1));
/// assert_eq!(runs, 1);
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct CallOnce<'a, F> {
    /// `None` once it is ready.
    f: Option<F>,
    claim: Claim<'a>,
}

impl<F: FnOnce()> Future for CallOnce<'_, F> {
    type Output = ();

    /// # Panics
    ///
    /// Passes a panic of the function on. When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `claim` is pinned with us and not moved; `f` is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(this.f.is_some(), "a future of a Once was polled after it was ready");
        // SAFETY: as above.
        let claimed = ready!(unsafe { Pin::new_unchecked(&mut this.claim) }.poll(cx));
        let f = this.f.take();
        if let (Some(permit), Some(f)) = (claimed, f) {
            run(permit, f);
        }
        Poll::Ready(())
    }
}

impl<F> fmt::Debug for CallOnce<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOnce").field("done", &self.f.is_none()).finish()
    }
}
