//! Waiting for the end of a goroutine.

use crate::task::join::Last;
use crate::task::report::ShutDown;
use crate::task::{TaskRef, pool};
use crate::wait::circles::{self, Target};
use crate::wait::{WaitReason, note_await, wait_deadline, wait_for};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// The right to wait for a goroutine and to have what it returns.
///
/// Dropping it lets the goroutine go on by itself. It is a future, too, whose output is that of
/// [`JoinHandle::join`].
///
/// # Errors
///
/// `join` returns `Err` with the payload of the goroutine's panic. If the goroutine called
/// [`goexit`](crate::goexit) the payload is a [`Goexit`](crate::goroutine::Goexit); if its runtime was shut
/// down before it ended, a [`ShutDown`](crate::goroutine::ShutDown).
///
/// Go has no counterpart; a channel or a `sync.WaitGroup` does this job there.
///
/// # Cancellation
///
/// Dropping the handle, as a future or not, loses nothing but the output. A wait by reference (`(&mut handle).await`,
/// `ctx.wait(&mut handle)`) may be given up at any moment, and taken up again. The goroutine is not stopped: tell it to, by a context for instance.
///
/// # Example
///
/// ```
/// use gosched::{chan, go, time::{Elapsed, timeout}};
/// use std::time::Duration;
///
/// let (tx, rx) = chan::bounded(0);
/// let mut handle = go(move || rx.recv().unwrap());
/// assert!(matches!(timeout(Duration::from_millis(1), &mut handle), Err(Elapsed)));
/// tx.send(7).unwrap();
/// assert_eq!(handle.join().unwrap(), 7);
/// ```
pub struct JoinHandle<T> {
    task: TaskRef,
    id: u64,
    taken: bool,
    output: PhantomData<fn() -> T>,
}

// SAFETY: whoever holds the handle may take the output out, so sending it sends `T`.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle gives access to atomics only.
unsafe impl<T> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// `task` is new, its output is a `T`, and this is its only handle.
    #[inline]
    pub(crate) unsafe fn new(task: TaskRef) -> Self {
        // Read now: the id stays the handle's when the header serves another goroutine. (It cannot while the
        // handle lives; but a copy costs nothing and needs no argument.)
        Self { task, id: task.id.get(), taken: false, output: PhantomData }
    }

    /// Waits for the goroutine to end, and returns what it returned.
    ///
    /// # Errors
    ///
    /// The payload of its panic; see [`JoinHandle`] for the other two.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop; `ctx.wait(&mut handle)` can.
    ///
    /// # Examples
    ///
    /// ```
    /// gosched::run(|| {
    ///     assert_eq!(gosched::go(|| 1).join().unwrap(), 1);
    ///     let panic = gosched::go(|| std::panic::resume_unwind(Box::new("no"))).join().unwrap_err();
    ///     assert_eq!(*panic.downcast::<&str>().unwrap(), "no");
    /// });
    /// ```
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        let _waiting = circles::waits(WaitReason::Join, || Target::End(self.id));
        wait_for(WaitReason::Join, pin!(self))
    }

    /// [`join`](JoinHandle::join) for at most `timeout`: `None` if the goroutine is still running then, and the handle
    /// is as it was. A timeout too large for the clock means for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = gosched::chan::bounded(0);
    /// let mut child = gosched::go(move || rx.recv().unwrap());
    /// assert!(child.join_timeout(Duration::from_millis(1)).is_none());
    /// tx.send("done").unwrap();
    /// assert_eq!(child.join().unwrap(), "done");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`join`](JoinHandle::join).
    ///
    /// # Panics
    ///
    /// If the goroutine's output was returned before.
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<thread::Result<T>> {
        match crate::clock::now().checked_add(timeout) {
            Some(deadline) => self.join_deadline(deadline),
            None => Some(wait_for(WaitReason::Join, Pin::new(self))),
        }
    }

    /// [`join_timeout`](JoinHandle::join_timeout) with a point in time.
    ///
    /// # Errors
    ///
    /// As [`join`](JoinHandle::join).
    ///
    /// # Panics
    ///
    /// If the goroutine's output was returned before.
    #[track_caller]
    pub fn join_deadline(&mut self, deadline: Instant) -> Option<thread::Result<T>> {
        wait_deadline(WaitReason::Join, Pin::new(self), deadline)
    }

    /// Whether the goroutine has ended. `join` returns at once then.
    ///
    /// ```
    /// let handle = gosched::go(|| ());
    /// while !handle.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// handle.join().unwrap();
    /// ```
    pub fn is_finished(&self) -> bool {
        self.task.join.is_done()
    }

    /// The goroutine's id: unique in the process, never used again.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.taken, "a JoinHandle was polled after it had returned the goroutine's output");
        if self.task.join.poll_done(cx).is_pending() {
            // Where is not known: the handle was made long ago.
            note_await(WaitReason::Join, None, cx);
            return Poll::Pending;
        }
        self.taken = true;
        let mut output: Option<thread::Result<T>> = None;
        let take = self.task.vtable.get().take;
        // SAFETY: the body is over, this is its only handle, and `T` is the output's type.
        unsafe { take(self.task, (&raw mut output).cast()) };
        Poll::Ready(output.unwrap_or_else(|| Err(Box::new(ShutDown))))
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.task.join.release_handle() == Last::Yes {
            // SAFETY: the body's side has let go before; this was the other one.
            unsafe { pool::dispose(self.task) };
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).field("finished", &self.is_finished()).finish()
    }
}
