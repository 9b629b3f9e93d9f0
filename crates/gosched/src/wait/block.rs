//! Blocking: driving a future from straight-line code.

#[cfg(all(debug_assertions, target_os = "linux", target_arch = "x86_64"))]
use super::affinity;
use super::{WaitReason, thread, timer};
use crate::clock;
use crate::fiber::coro::FiberRef;
use crate::task::current::{self, Request};
use crate::task::waker::waker;
use crate::task::{TaskRef, context};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Runs a future to its end, blocking the caller, and returns its output.
///
/// A goroutine is suspended while the future is pending, and its worker runs others. An ordinary thread is
/// parked. Any future of the async ecosystem may be waited for; its wake-ups may come from any thread.
///
/// A blocking call inside a future's own `poll` is allowed and nests: the inner wait ends first, and the outer
/// future is polled again afterwards, so that no wake-up is lost.
///
/// While the thread is unwinding (in a destructor, during a panic) and inside [`no_suspend`], the thread is
/// parked instead of the goroutine being suspended: nothing else runs on it meanwhile.
///
/// # Panics
///
/// A panic of the future is passed on.
///
/// # Cancellation
///
/// Cannot be told to stop; [`Context::wait`](crate::context::Context::wait) and
/// [`time::timeout`](crate::time::timeout) wait for a future in the same way and can.
///
/// # Examples
///
/// ```
/// assert_eq!(gosched::wait(async { 6 * 7 }), 42);
/// ```
///
/// In Go every call may block; this is the way back from an `async` library to that.
#[track_caller]
pub fn wait<F: Future>(future: F) -> F::Output {
    wait_for(WaitReason::Future, pin!(future))
}

/// The same for the library's own operations, with the reason that dumps show. Their futures, too, may call code of the
/// user while they are polled: foreign wakers, which they wake or drop. So they are polled like any other.
#[track_caller]
#[inline]
pub(crate) fn wait_for<F: Future>(reason: WaitReason, mut future: Pin<&mut F>) -> F::Output {
    let mut blocker = Blocker::new(reason, Location::caller());
    loop {
        if let Poll::Ready(output) = blocker.poll(future.as_mut()) {
            blocker.end();
            return output;
        }
        blocker.block();
    }
}

/// The same, until a deadline: `None` when it passed first. The future is still the caller's, who drops it
/// (that is: cancels it) or looks once more. A deadline in the past still polls once.
#[track_caller]
pub(crate) fn wait_deadline<F: Future>(
    reason: WaitReason,
    mut future: Pin<&mut F>,
    deadline: Instant,
) -> Option<F::Output> {
    let mut blocker = Blocker::new(reason, Location::caller());
    let mut armed: Option<timer::Armed> = None;
    loop {
        if let Poll::Ready(output) = blocker.poll(future.as_mut()) {
            return Some(output);
        }
        let now = clock::now();
        if now >= deadline {
            if let Some(armed) = armed {
                armed.passed();
            }
            return None;
        }
        match suspendable() {
            Some(spot) => {
                armed.get_or_insert_with(|| timer::Armed::for_task(spot.task, now, deadline));
                blocker.block();
            }
            None => match clock::manual::here() {
                None => blocker.thread().park_until(deadline),
                Some(clock) => {
                    let waker = blocker.thread().waker();
                    armed.get_or_insert_with(|| timer::Armed::by_hand(clock, deadline, waker));
                    blocker.thread().park();
                }
            },
        }
    }
}

/// Runs `f` with blocking calls inside it parking the thread instead of suspending the goroutine.
///
/// For code that must not be interleaved with another goroutine on the same thread: a crate that keeps a
/// pointer into its own stack frame in a thread-local while it calls back. Nothing else runs on this worker
/// while `f` waits; if what it waits for can only be done by a goroutine that is pinned to this very thread,
/// it waits for ever. On an ordinary thread it just calls `f`.
///
/// # Examples
///
/// ```
/// let (tx, rx) = gosched::chan::bounded(1);
/// tx.send(1).unwrap();
/// assert_eq!(gosched::no_suspend(|| rx.recv()), Ok(1));
/// ```
///
/// In Go, `runtime.LockOSThread` is the nearest thing.
pub fn no_suspend<R>(f: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            // Nothing in between suspended, so this is the context that was entered.
            if let Some(context) = context() {
                context.no_suspend.set(context.no_suspend.get() - 1);
            }
        }
    }
    let Some(context) = context() else { return f() };
    context.no_suspend.set(context.no_suspend.get() + 1);
    let _leave = Leave;
    f()
}

/// Lets others run first: the goroutine goes to the end of its worker's queue.
///
/// Returns at once when nothing else wants to run. On an ordinary thread it is `std::thread::yield_now`.
///
/// # Examples
///
/// ```
/// gosched::run(|| {
///     let child = gosched::go(|| 1);
///     while !child.is_finished() {
///         gosched::yield_now();
///     }
/// });
/// ```
///
/// In Go: `runtime.Gosched`.
#[inline]
pub fn yield_now() {
    match suspendable() {
        Some(spot) => suspend(&spot, Request::Yield),
        None => std::thread::yield_now(),
    }
}

/// Where a blocking call was made.
pub(crate) type At = &'static Location<'static>;

/// Where a goroutine runs just now. Not to be kept across a suspension, after which it may be another place.
pub(crate) struct Spot<'a> {
    context: &'a crate::task::Context,
    pub(super) task: TaskRef,
    fiber: FiberRef,
}

/// The goroutine running here, if it may be suspended now.
#[inline]
pub(super) fn suspendable<'a>() -> Option<Spot<'a>> {
    let context = context()?;
    // While a thread unwinds, std counts the panic on the thread: another goroutine running on it meanwhile
    // would believe that it is panicking itself.
    if context.no_suspend.get() != 0 || std::thread::panicking() {
        return None;
    }
    Some(Spot { context, task: context.task.get()?, fiber: context.fiber.get()? })
}

/// The goroutine running here, if it may be suspended and no future's poll is on its stack: one that may block in the
/// lean way of [`Spot::park_until`].
#[inline]
pub(crate) fn lean_spot<'a>() -> Option<Spot<'a>> {
    suspendable().filter(|spot| spot.task.depth.get() == 0)
}

/// Whether a blocking call here and now would suspend a goroutine, so that its worker goes on.
#[inline]
pub(crate) fn is_suspendable() -> bool {
    suspendable().is_some()
}

impl Spot<'_> {
    /// The goroutine's waker.
    #[inline]
    pub(crate) fn waker(&self) -> Waker {
        ManuallyDrop::into_inner(waker(self.task))
    }

    /// Suspends the goroutine until `done`, which becomes true before somebody wakes it.
    ///
    /// `look` says that since the making of the spot a waker was called. It may have been foreign code, and have
    /// blocked: then the wake may be over, and the goroutine on another worker. `None` means that this is not the
    /// goroutine any more that it was (a user's own coroutine has moved), or that it cannot be suspended in this way
    /// now: whoever waits must leave another waker.
    ///
    /// Inlined, like the common callers, into the user's function. A processor predicts returns by the calls it has
    /// seen, on whatever stack: a call that suspends inside, and the return from it after the resumption, are both
    /// predicted wrongly, at 30 cycles each. In a loop that blocks without such a call nothing is.
    #[inline(always)]
    pub(crate) fn park_until<R>(
        self,
        reason: WaitReason,
        at: At,
        mut look: bool,
        done: impl Fn() -> Option<R>,
    ) -> Option<R> {
        let mut spot = self;
        loop {
            if look {
                if let Some(result) = done() {
                    return Some(result);
                }
                // Woken for something that is over, perhaps on another worker.
                spot = lean_spot().filter(|now| now.task == spot.task)?;
            }
            spot.task.note_wait(reason, Some(at));
            suspend(&spot, Request::Park);
            look = true;
        }
    }
}

/// The reverse affinity check, where there is one: whether a thread-local points into the stack that would
/// suspend now.
#[inline]
fn is_pointed_at(_spot: &Spot<'_>) -> bool {
    #[cfg(all(debug_assertions, target_os = "linux", target_arch = "x86_64"))]
    return affinity::is_pointed_at(_spot.fiber);
    #[cfg(not(all(debug_assertions, target_os = "linux", target_arch = "x86_64")))]
    false
}

#[cold]
fn report_affinity(task: TaskRef) -> ! {
    panic!(
        "goroutine {} (created at {}) blocks while a thread-local of this thread points into its stack: \
         another goroutine on the same thread could follow that pointer. Wrap the code that keeps such a \
         pointer while it calls back (scoped thread-locals do) in gosched::no_suspend",
        task.id.get(),
        task.created.get(),
    );
}

/// Leaves this stack until the task is resumed.
#[inline]
fn suspend(spot: &Spot<'_>, request: Request) {
    if is_pointed_at(spot) {
        report_affinity(spot.task);
    }
    suspend_unchecked(spot, request);
}

/// The same without the affinity check: nothing in it unwinds.
#[inline]
fn suspend_unchecked(spot: &Spot<'_>, request: Request) {
    if !spot.task.is_stackful() {
        // In the middle of a poll: the stack ties the task to this worker until the poll returns.
        spot.task.home.set(spot.context.index);
    }
    spot.context.request.set(request);
    let fiber = spot.fiber;
    // SAFETY: we run on this fiber. `spot` is not used after this.
    unsafe { fiber.suspend() };
}

/// How often in a row a wake that came before the park is answered at once; then the others get their turn.
const EAGER: u32 = 4;

/// One blocking call: polls with the right waker, and blocks in the right way.
struct Blocker {
    reason: WaitReason,
    at: &'static Location<'static>,
    /// We were called inside the poll of another future.
    nested: bool,
    /// Wakes have been answered that may have been meant for that one.
    answered: bool,
    /// The affinity check has failed, in a wait that must not unwind before its end.
    pointed_at: bool,
    eager: u32,
    /// Whose waker the future has.
    polled_as: Option<TaskRef>,
    thread: Option<thread::Current>,
}

impl Blocker {
    #[inline]
    fn new(reason: WaitReason, at: &'static Location<'static>) -> Self {
        Self {
            reason,
            at,
            nested: false,
            answered: false,
            pointed_at: false,
            eager: EAGER,
            polled_as: None,
            thread: None,
        }
    }

    /// Polls once, with the waker of whatever runs here *now*: a user's own coroutine may have moved us.
    #[inline]
    fn poll<F: Future>(&mut self, future: Pin<&mut F>) -> Poll<F::Output> {
        let spot = suspendable();
        self.polled_as = spot.as_ref().map(|spot| spot.task);
        match spot {
            Some(spot) => {
                let waker = waker(spot.task);
                self.nested = spot.task.depth.get() > 0;
                if self.is_unknown() {
                    spot.task.awaits.set(WaitReason::Future as u8);
                }
                let _depth = Depth::enter(spot.task);
                future.poll(&mut Context::from_waker(&waker))
            }
            None => self.thread().poll(future),
        }
    }

    fn thread(&mut self) -> &mut thread::Current {
        self.answered = true;
        self.thread.get_or_insert_with(thread::Current::get)
    }

    /// Blocks until something wakes this call, or for no reason at all.
    #[inline]
    fn block(&mut self) {
        let spot = suspendable();
        if spot.as_ref().map(|spot| spot.task) != self.polled_as {
            // A user's own coroutine has moved us during the poll: the future has the wrong waker.
            return;
        }
        match spot {
            Some(spot) => self.block_at(&spot),
            None => self.thread().park(),
        }
    }

    /// The same in a goroutine.
    #[inline]
    fn block_at(&mut self, spot: &Spot<'_>) {
        let task = spot.task;
        self.answered = true;
        if task.state.is_notified() && self.eager > 0 {
            // Woken between the poll and here: look again without leaving the stack.
            self.eager -= 1;
            task.state.begin();
            return;
        }
        self.eager = EAGER;
        match self.is_unknown() {
            true => task.note_poll(Some(self.at)),
            false => task.note_wait(self.reason, Some(self.at)),
        }
        if self.must_end() {
            self.pointed_at |= is_pointed_at(spot);
            suspend_unchecked(spot, Request::Park);
        } else {
            suspend(spot, Request::Park);
        }
    }

    /// Whether only the future knows what it waits for: if it is one of ours, it has told.
    #[inline]
    fn is_unknown(&self) -> bool {
        self.reason == WaitReason::Future && !self.nested
    }

    /// Whether others use what lies on this stack until the wait is over: then even a failed affinity check has
    /// to come after it.
    #[inline]
    fn must_end(&self) -> bool {
        matches!(self.reason, WaitReason::Scope | WaitReason::Blocking)
    }

    /// The wait is over.
    #[inline]
    fn end(&self) {
        if self.pointed_at
            && let Some(task) = current::current_task()
        {
            report_affinity(task);
        }
    }
}

impl Drop for Blocker {
    #[inline]
    fn drop(&mut self) {
        if self.answered && (self.nested || self.thread.is_some()) {
            self.renotify();
        }
    }
}

impl Blocker {
    /// A wake that was answered here may have been meant for the future inside whose `poll` we were called:
    /// leave a note, so that it is polled again.
    #[cold]
    fn renotify(&mut self) {
        if let Some(task) = current::current_task()
            && task.depth.get() > 0
        {
            task.state.set_notified();
        }
        if let Some(thread) = &self.thread {
            thread.renotify();
        }
    }
}

/// Counts the polls of users' futures on this stack.
struct Depth(TaskRef);

impl Depth {
    #[inline]
    fn enter(task: TaskRef) -> Self {
        task.depth
            .set(task.depth.get().checked_add(1).expect("65,535 futures are being polled inside each other"));
        Self(task)
    }
}

impl Drop for Depth {
    #[inline]
    fn drop(&mut self) {
        // Not if a user's own coroutine has moved us: the header may be another thread's by now.
        if current::current_task() == Some(self.0) {
            self.0.depth.set(self.0.depth.get().saturating_sub(1));
        }
    }
}
