//! `WaitGroup`: waiting until a number of things are done.

use crate::sys::lock::Spin;
use crate::sys::prim::{AtomicUsize, Ordering};
use crate::wait::circles::{self, Target};
use crate::wait::node::WaitNode;
use crate::wait::queue::WaitQueue;
use crate::wait::{Place, WaitReason, wait_deadline, wait_for};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

type Payload = Box<dyn Any + Send>;

/// Waits for a collection of goroutines to finish. Clones share one counter.
///
/// `wait` returns once the counter has been zero at some moment after the call. Any number may wait, all
/// are released by the same zero, and the group can be used again at once, also while waiters of the last
/// round have not run yet: those that came before the zero return, those that came after the next `add`
/// wait for the next zero. (Go calls that misuse and panics.)
///
/// What a child did before its `done`, or before the end of its function in [`go`](WaitGroup::go), happens
/// before the return of each wait that it ends.
///
/// # Panics in children
///
/// A panic in a function started by [`go`](WaitGroup::go) counts it down as well, and is handed to the
/// waiter: the first wait to return after that, when all children have finished, resumes it. If several
/// panic, the first one's payload is kept. If nobody waits until the last clone of the group is gone, it is
/// mentioned on stderr.
///
/// # Cancellation
///
/// A `wait_async` future that is dropped leaves no trace: the counter stays as it is, and the others are released
/// by the same zero.
///
/// # Example
///
/// ```
/// use gosched::sync::{Mutex, WaitGroup};
/// use std::sync::Arc;
///
/// let (wg, sum) = (WaitGroup::new(), Arc::new(Mutex::new(0)));
/// for n in 1..=10 {
///     let sum = sum.clone();
///     wg.go(move || *sum.lock() += n);
/// }
/// wg.wait();
/// assert_eq!(*sum.lock(), 55);
/// ```
///
/// In Go: `sync.WaitGroup`; there a panic in `Go`'s function ends the process.
#[derive(Clone)]
pub struct WaitGroup {
    inner: Arc<Inner>,
}

struct Inner {
    word: Word,
    queue: WaitQueue,
    /// The payload of the first child that panicked and was not handed to a waiter yet.
    panic: Spin<Option<Payload>>,
}

/// The count in all bits but the lowest; in the lowest, whether somebody waits.
///
/// | count | `WAITERS` | meaning                                                                             |
/// |-------|-----------|-------------------------------------------------------------------------------------|
/// | 0     | no        | nothing to wait for                                                                 |
/// | n > 0 | no        | nobody waits: `done` is one subtraction                                             |
/// | n > 0 | yes       | waiters are (or, if they gave up, were) queued                                      |
/// | 0     | yes       | zero was reached and the waiters are about to be released                           |
///
/// The last state is why rounds cannot mix. `done` subtracts without a lock, so between zero and the moment
/// it releases the waiters somebody else could start the next round, and a waiter of that round be released
/// with the old ones. Hence an `add` that finds the last state releases the waiters itself, first. Queueing
/// (`announce`) and releasing (`release`) happen under the queue's lock.
struct Word(AtomicUsize);

const WAITERS: usize = 1;
const UNIT: usize = 2;

/// What `Word::try_add` found.
enum Added {
    Done,
    /// Release the waiters of the round that has just ended, then try again.
    ReleaseFirst,
    Overflow,
}

/// What `Word::done` did.
enum Done {
    /// There is more to wait for, or nobody waits.
    Quietly,
    /// It was the last: release the waiters.
    Last,
    /// It was one too many; undone.
    Negative,
}

impl Word {
    fn count(&self) -> usize {
        // Acquire: pairs with `done`, for a wait that finds zero.
        self.0.load(Ordering::Acquire) / UNIT
    }

    #[must_use]
    fn try_add(&self, n: usize) -> Added {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word == WAITERS {
                return Added::ReleaseFirst;
            }
            let Some(new) = n.checked_mul(UNIT).and_then(|n| word.checked_add(n)) else {
                return Added::Overflow;
            };
            match self.0.compare_exchange_weak(word, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Added::Done,
                Err(now) => word = now,
            }
        }
    }

    #[must_use]
    fn done(&self) -> Done {
        // Release: what was done happens before the wait's return; Acquire: and is seen by the last one,
        // who wakes the waiters.
        let before = self.0.fetch_sub(UNIT, Ordering::AcqRel);
        match before / UNIT {
            0 => {
                self.0.fetch_add(UNIT, Ordering::Relaxed);
                Done::Negative
            }
            1 if before & WAITERS != 0 => Done::Last,
            _ => Done::Quietly,
        }
    }

    /// Under the queue's lock, by a waiter: false if there is nothing to wait for.
    #[must_use]
    fn announce(&self) -> bool {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            if word / UNIT == 0 {
                return false;
            }
            match self.0.compare_exchange_weak(word, word | WAITERS, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Under the queue's lock: whether the waiters are still to be released; they are the caller's then.
    #[must_use]
    fn release(&self) -> bool {
        self.0.compare_exchange(WAITERS, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl WaitGroup {
    /// A group with nothing to wait for.
    pub fn new() -> Self {
        let word = Word(AtomicUsize::new(0));
        Self { inner: Arc::new(Inner { word, queue: WaitQueue::new(), panic: Spin::new(None) }) }
    }

    /// Counts up by `n`. Do it before the goroutines start, not in them: a wait that comes first would
    /// find zero.
    ///
    /// # Panics
    ///
    /// If the count overflows (half of `usize`).
    ///
    /// ```
    /// let wg = gosched::sync::WaitGroup::new();
    /// wg.add(2);
    /// for _ in 0..2 {
    ///     let wg = wg.clone();
    ///     gosched::go(move || wg.done());
    /// }
    /// wg.wait();
    /// ```
    ///
    /// In Go: `WaitGroup.Add`; to count down, call [`done`](WaitGroup::done).
    #[track_caller]
    pub fn add(&self, n: usize) {
        loop {
            match self.inner.word.try_add(n) {
                Added::Done => return,
                Added::ReleaseFirst => self.inner.release_waiters(),
                Added::Overflow => panic!("sync: WaitGroup counter overflow"),
            }
        }
    }

    /// Counts down by one.
    ///
    /// # Panics
    ///
    /// With `sync: negative WaitGroup counter` if the counter is zero; the counter stays zero.
    ///
    /// ```
    /// let wg = gosched::sync::WaitGroup::new();
    /// wg.add(1);
    /// wg.done();
    /// wg.wait();
    /// ```
    ///
    /// In Go: `WaitGroup.Done`.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        assert!(self.inner.count_down(), "sync: negative WaitGroup counter");
    }

    /// Waits until the counter is zero; returns at once if it is.
    ///
    /// # Panics
    ///
    /// Resumes the panic of a child (see the type). While the caller is unwinding itself, it does not.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(wg.wait_async())` can.
    ///
    /// ```
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    ///
    /// let wg = gosched::sync::WaitGroup::new();
    /// wg.go(|| panic!("a child's"));
    /// let panic = catch_unwind(AssertUnwindSafe(|| wg.wait())).unwrap_err();
    /// assert_eq!(*panic.downcast::<&str>().unwrap(), "a child's");
    /// ```
    ///
    /// In Go: `WaitGroup.Wait`.
    #[track_caller]
    pub fn wait(&self) {
        if self.inner.word.count() == 0 {
            return self.inner.deliver_panic();
        }
        let group = Arc::as_ptr(&self.inner).addr();
        let _waiting = circles::waits(WaitReason::WaitGroupWait, || Target::Group(group));
        wait_for(WaitReason::WaitGroupWait, pin!(self.wait_async()));
    }

    /// [`wait`](WaitGroup::wait) for at most `timeout`: false if the time is over first. A timeout too large for the
    /// clock means for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let wg = gosched::sync::WaitGroup::new();
    /// wg.add(1);
    /// assert!(!wg.wait_timeout(Duration::from_millis(1)));
    /// wg.done();
    /// assert!(wg.wait_timeout(Duration::from_millis(1)));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`wait`](WaitGroup::wait); not if the time is over first: then the panic is kept for the next wait.
    #[track_caller]
    #[must_use = "the counter may not have been zero"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.wait_deadline(deadline),
            None => {
                self.wait();
                true
            }
        }
    }

    /// [`wait`](WaitGroup::wait) until `deadline` at the latest; see [`wait_timeout`](WaitGroup::wait_timeout).
    #[track_caller]
    #[must_use = "the counter may not have been zero"]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        wait_deadline(WaitReason::WaitGroupWait, pin!(self.wait_async()), deadline).is_some()
    }

    /// The async form of [`wait`](WaitGroup::wait). Dropping the future cancels it, without a trace.
    ///
    /// ```
    /// let wg = gosched::sync::WaitGroup::new();
    /// wg.go(|| println!("working"));
    /// gosched::wait(async { wg.wait_async().await });
    /// ```
    #[track_caller]
    pub fn wait_async(&self) -> WaitGroupFuture<'_> {
        WaitGroupFuture { inner: &self.inner, node: WaitNode::new(), place: Place::here() }
    }
}

impl Inner {
    #[cold]
    fn release_waiters(&self) {
        self.queue.notify_all_if(|| self.word.release());
    }

    /// False if there was nothing to count down.
    #[inline]
    fn count_down(&self) -> bool {
        match self.word.done() {
            Done::Quietly => true,
            Done::Last => {
                self.release_waiters();
                true
            }
            Done::Negative => {
                // Until it was undone others have seen a count, and may have queued.
                self.release_waiters();
                false
            }
        }
    }

    fn deliver_panic(&self) {
        // A second panic while unwinding would abort the process; the payload stays for another waiter.
        if std::thread::panicking() {
            return;
        }
        let payload = self.panic.lock().take();
        if let Some(payload) = payload {
            std::panic::resume_unwind(payload);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let payload = self.panic.lock().take();
        if let Some(payload) = payload {
            // One piece, so that it does not mix with other threads' lines.
            let told = format!(
                "a goroutine of a WaitGroup panicked and nobody waited for it: {}\n",
                text_of(&*payload)
            );
            let _ = std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes());
        }
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(not a text)",
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("count", &self.inner.word.count())
            .field("waiting", &self.inner.queue.len())
            .finish()
    }
}

/// Waits for a [`WaitGroup`]; from [`WaitGroup::wait_async`].
///
/// # Cancellation
///
/// Dropped at any moment it leaves no trace: the counter stays as it is, and a panic of a child that it has not
/// passed on goes to the next that waits.
///
/// # Example
///
/// ```
/// use gosched::sync::WaitGroup;
/// use gosched::time::{Elapsed, timeout};
/// use std::time::Duration;
///
/// let wg = WaitGroup::new();
/// wg.add(1);
/// assert!(matches!(timeout(Duration::from_millis(1), wg.wait_async()), Err(Elapsed)));
/// wg.done();
/// gosched::wait(wg.wait_async());
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct WaitGroupFuture<'a> {
    inner: &'a Inner,
    node: WaitNode,
    place: Place,
}

impl Future for WaitGroupFuture<'_> {
    type Output = ();

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the node is ours, pinned with us, used with this queue only, and `Drop` takes it out.
        let polled = unsafe {
            let node = Pin::new_unchecked(&self.node);
            self.inner.queue.poll(node, cx, || self.inner.word.announce())
        };
        ready!(self.place.note(WaitReason::WaitGroupWait, cx, polled));
        self.inner.deliver_panic();
        Poll::Ready(())
    }
}

impl Drop for WaitGroupFuture<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `poll`. What was signalled was for all, so nothing is passed on. WAITERS may stay
        // set: then the last `done` finds an empty queue.
        unsafe { self.inner.queue.cancel(Pin::new_unchecked(&self.node)) };
    }
}

impl fmt::Debug for WaitGroupFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WaitGroupFuture").field(&self.node).finish()
    }
}

// ---- `go`: the only part that needs `crate::spawn` -------------------------------------------------------

#[cfg(not(loom))]
impl WaitGroup {
    /// Counts up, runs `f` in a goroutine, and counts down when that ends: by return, by panic (handed to
    /// the waiter, see the type), by `goexit`, or because it never started.
    ///
    /// # Panics
    ///
    /// If no goroutine can be started, as [`go`](crate::go) does; the count is as before.
    ///
    /// ```
    /// let wg = gosched::sync::WaitGroup::new();
    /// let (tx, rx) = gosched::chan::bounded(1);
    /// wg.go(move || tx.send(7).unwrap());
    /// wg.wait();
    /// assert_eq!(rx.recv(), Ok(7));
    /// ```
    ///
    /// In Go: `WaitGroup.Go`.
    #[track_caller]
    pub fn go(&self, f: impl FnOnce() + Send + 'static) {
        self.add(1);
        // Made here and moved in: should the closure be dropped without having run, this counts down too.
        let child = Child(self.clone());
        crate::spawn::go(move || child.run(f));
    }
}

/// One function started by [`WaitGroup::go`]. Counts down when dropped.
#[cfg(not(loom))]
struct Child(WaitGroup);

#[cfg(not(loom))]
impl Child {
    fn run(self, f: impl FnOnce()) {
        let _counted = circles::counted(&*self.0.inner);
        let Err(payload) = crate::task::panics::catch_uncaught(f) else { return };
        if payload.is::<crate::spawn::Goexit>() {
            std::panic::resume_unwind(payload);
        }
        // Kept before the count falls (when `self` is dropped), so that the waiter finds it.
        let surplus = {
            let mut slot = self.0.inner.panic.lock();
            match &*slot {
                None => slot.replace(payload),
                Some(_) => Some(payload),
            }
        };
        // A user's value: dropped after the lock.
        drop(surplus);
    }
}

#[cfg(not(loom))]
impl Drop for Child {
    fn drop(&mut self) {
        self.0.done();
    }
}

#[cfg(all(test, loom))]
#[allow(non_snake_case)]
#[path = "waitgroup_model.rs"]
mod model;
