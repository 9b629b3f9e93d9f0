//! Goroutines that may borrow from their creator's stack.

use super::Goexit;
use super::builder;
use super::handle::JoinHandle;
use super::target::Spec;
use crate::sys::global::{Mutex, MutexGuard, lock};
use crate::sys::lock::Spin;
use crate::sys::threads::discard_payload;
use crate::task::panics::{catch_uncaught, uncaught};
use crate::wait::{WaitReason, wait_for};
use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;

type Payload = Box<dyn Any + Send>;

/// What a scope and its children share. Counted, so that a child's last touch of it needs no care.
#[derive(Default)]
struct Data {
    running: AtomicUsize,
    /// How many children there have been: the next one's number.
    children: AtomicUsize,
    waiter: Spin<Option<Waker>>,
    /// The panics of children, in the order in which they ended, until a `join` takes its own. They are kept
    /// here and not with the handles, so that none is lost with a handle that is dropped or forgotten.
    panics: Mutex<Vec<(usize, Payload)>>,
}

impl<T: Default> Default for Spin<T> {
    fn default() -> Self {
        Spin::new(T::default())
    }
}

impl Data {
    fn panics(&self) -> MutexGuard<'_, Vec<(usize, Payload)>> {
        lock(&self.panics)
    }

    fn panicked(&self, child: usize, payload: Payload) {
        self.panics().push((child, payload));
    }

    /// The panic of one child, if it has panicked.
    fn take_panic(&self, child: usize) -> Option<Payload> {
        let mut panics = self.panics();
        let at = panics.iter().position(|(other, _)| *other == child)?;
        Some(panics.remove(at).1)
    }

    /// The first panic that nobody has joined. A child that has ended itself (`goexit`) has not panicked.
    fn first_panic(&self) -> Option<Payload> {
        let panics = mem::take(&mut *self.panics());
        let mut panics =
            panics.into_iter().map(|(_, payload)| payload).filter(|payload| !payload.is::<Goexit>());
        let first = panics.next();
        panics.for_each(discard_payload);
        first
    }

    fn child_ended(&self) {
        // AcqRel: whoever sees zero sees all that the children did.
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiter = self.waiter.lock().take();
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
    }

    #[track_caller]
    fn wait_for_children(&self) {
        let all_ended = poll_fn(|cx| {
            if self.running.load(Ordering::Acquire) == 0 {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            let old = self.waiter.lock().replace(waker);
            drop(old);
            // Looked at again: the last child may have ended before it could see the waker.
            if self.running.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        wait_for(WaitReason::Scope, pin!(all_ended));
    }
}

/// A scope in which goroutines may borrow. See [`scope()`].
///
/// ```
/// use gosched::goroutine::Scope;
///
/// fn start<'scope>(s: &'scope Scope<'scope, '_>, word: &'scope str) {
///     s.go(move || assert_eq!(word.len(), 6));
/// }
/// let word = String::from("gopher");
/// gosched::scope(|s| start(s, &word));
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    data: Arc<Data>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &self.data.running).finish_non_exhaustive()
    }
}

/// Where a child leaves what it returns.
type Packet<T> = Arc<Mutex<Option<T>>>;

/// The right to wait for a goroutine of a scope. See [`Scope::go`].
///
/// ```
/// use gosched::goroutine::ScopedJoinHandle;
///
/// let word = String::from("gopher");
/// let length = gosched::scope(|s| {
///     let handle: ScopedJoinHandle<'_, usize> = s.go(|| word.len());
///     handle.join().unwrap()
/// });
/// assert_eq!(length, 6);
/// ```
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<()>,
    packet: Packet<T>,
    data: Arc<Data>,
    /// The child's number in the scope.
    number: usize,
    scope: PhantomData<&'scope ()>,
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the goroutine to end, and returns what it returned.
    ///
    /// # Errors
    ///
    /// The payload of its panic, which the scope then does not raise again.
    ///
    /// # Cancellation
    ///
    /// Cannot be told to stop.
    ///
    /// ```
    /// let caught = gosched::scope(|s| s.go(|| std::panic::resume_unwind(Box::new("a child's"))).join());
    /// assert!(caught.is_err(), "and the scope does not raise it again");
    /// ```
    ///
    /// In Go: nothing; a channel or a `sync.WaitGroup` does this job there.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.handle.join()?;
        if let Some(panic) = self.data.take_panic(self.number) {
            return Err(panic);
        }
        take(&self.packet).ok_or_else(|| Box::new(super::ShutDown) as Payload)
    }

    /// Whether the goroutine has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The goroutine's id.
    pub fn id(&self) -> u64 {
        self.handle.id()
    }
}

fn take<T>(packet: &Packet<T>) -> Option<T> {
    lock(packet).take()
}

/// A child's body: the closure, and what must happen at its end, run or not.
struct Child<F: FnOnce() -> T, T> {
    // Dropped in this order by hand: everything that borrows, then the count.
    body: Option<F>,
    packet: Option<Packet<T>>,
    data: Arc<Data>,
    number: usize,
}

impl<F: FnOnce() -> T, T> Child<F, T> {
    fn run(mut self) {
        let body = self.body.take().expect("a child runs once");
        let packet = self.packet.as_ref().expect("a child has a packet until it is dropped");
        match catch_uncaught(body) {
            Ok(value) => *lock(packet) = Some(value),
            Err(panic) => self.data.panicked(self.number, panic),
        }
    }
}

impl<F: FnOnce() -> T, T> Drop for Child<F, T> {
    fn drop(&mut self) {
        // Destructors of the user may panic; the count must fall all the same, and after them.
        let data = self.data.clone();
        let ran = self.body.is_none();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            drop(self.body.take());
            // If the handle is gone the value ends here, while what it borrows lives.
            drop(self.packet.take());
        }));
        if let Err(panic) = ended {
            if ran {
                // Else this is not the child's goroutine, which was never started, or whose runtime has ended.
                uncaught(&*panic);
            }
            data.panicked(NOBODY, panic);
        }
        data.child_ended();
    }
}

/// The number of no child: for panics that no `join` returns.
const NOBODY: usize = usize::MAX;

impl<'scope> Scope<'scope, '_> {
    /// Starts a goroutine of the scope, as [`crate::go`] does. It may borrow what outlives the scope.
    ///
    /// # Panics
    ///
    /// As [`crate::go`].
    ///
    /// ```
    /// let (words, mut lengths) = (["one", "three"], [0; 2]);
    /// gosched::scope(|s| {
    ///     for (word, length) in words.iter().zip(&mut lengths) {
    ///         s.go(move || *length = word.len());
    ///     }
    /// });
    /// assert_eq!(lengths, [3, 5]);
    /// ```
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let packet = Packet::<T>::default();
        let number = self.data.children.fetch_add(1, Ordering::Relaxed);
        let child = Child { body: Some(f), packet: Some(packet.clone()), data: self.data.clone(), number };
        self.data.running.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `scope` does not return or unwind before the count is back at zero, and a child lowers it
        // with its last act, so what the closure borrows outlives it. The bounds have `Send`.
        match unsafe { builder::spawn_unchecked(&Spec::here(), move || child.run()) } {
            Ok(handle) => {
                ScopedJoinHandle { handle, packet, data: self.data.clone(), number, scope: PhantomData }
            }
            Err(error) => super::refuse(&error),
        }
    }
}

/// Runs `f` with a scope in which goroutines may borrow from the caller's stack, and waits for all of them.
///
/// Cannot be cancelled: it returns, or unwinds, only when every child has ended.
///
/// # Panics
///
/// A panic of `f` is passed on after the children have ended; else the first panic of a child that nobody
/// has joined is raised again, with its payload. A child that calls [`goexit`](crate::goexit) has not panicked.
///
/// # Examples
///
/// ```
/// gosched::run(|| {
///     let mut parts = [0, 0, 0];
///     gosched::scope(|s| {
///         for (i, part) in parts.iter_mut().enumerate() {
///             s.go(move || *part = i * i);
///         }
///     });
///     assert_eq!(parts, [0, 1, 4]);
/// });
/// ```
///
/// Two goroutines that count with one variable, Go's best known data race, do not compile:
///
/// ```compile_fail,E0499
/// let mut counter = 0;
/// gosched::scope(|s| {
///     for _ in 0..2 {
///         s.go(|| counter += 1);
///     }
/// });
/// ```
///
/// Go has no counterpart (its proposal #29011 was declined); std's is `std::thread::scope`.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope { data: Arc::new(Data::default()), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.data.wait_for_children();
    let panic = scope.data.first_panic();
    match (result, panic) {
        (Err(payload), _) | (Ok(_), Some(payload)) => resume_unwind(payload),
        (Ok(value), None) => value,
    }
}
