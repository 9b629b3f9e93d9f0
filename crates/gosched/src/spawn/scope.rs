//! Goroutines that may borrow from their creator's stack.

use super::builder;
use super::handle::JoinHandle;
use super::target::Spec;
use crate::sys::global::{Mutex, lock};
use crate::sys::lock::Spin;
use crate::wait::{WaitReason, wait_for};
use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;

/// What a scope and its children share. Counted, so that a child's last touch of it needs no care.
#[derive(Default)]
struct Data {
    running: AtomicUsize,
    waiter: Spin<Option<Waker>>,
    /// The first panic of a child that nobody has joined.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<T: Default> Default for Spin<T> {
    fn default() -> Self {
        Spin::new(T::default())
    }
}

impl Data {
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

/// Where a child leaves its result.
type Packet<T> = Arc<Mutex<Option<thread::Result<T>>>>;

/// The right to wait for a goroutine of a scope. See [`Scope::go`].
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<()>,
    packet: Packet<T>,
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
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.handle.join()?;
        take(&self.packet).unwrap_or_else(|| Err(Box::new(super::ShutDown)))
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

fn take<T>(packet: &Packet<T>) -> Option<thread::Result<T>> {
    lock(packet).take()
}

/// A child's body: the closure, and what must happen at its end, run or not.
struct Child<F: FnOnce() -> T, T> {
    // Dropped in this order by hand: everything that borrows, then the count.
    body: Option<F>,
    packet: Option<Packet<T>>,
    data: Arc<Data>,
}

impl<F: FnOnce() -> T, T> Child<F, T> {
    fn run(mut self) {
        let body = self.body.take().expect("a child runs once");
        let result = catch_unwind(AssertUnwindSafe(body));
        if let Some(packet) = &self.packet {
            *lock(packet) = Some(result);
        }
    }
}

impl<F: FnOnce() -> T, T> Drop for Child<F, T> {
    fn drop(&mut self) {
        // Destructors of the user may panic; the count must fall all the same, and after them.
        let data = self.data.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            drop(self.body.take());
            // Without a handle (or with a forgotten one) the result ends here: a value is dropped while what
            // it borrows lives, a panic goes to the scope.
            if let Some(packet) = self.packet.take()
                && let Some(mut packet) = Arc::into_inner(packet)
                && let Some(Err(panic)) =
                    packet.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
            {
                resume_unwind(panic);
            }
        }));
        if let Err(panic) = ended {
            let mut first = lock(&data.panic);
            first.get_or_insert(panic);
        }
        data.child_ended();
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a goroutine of the scope, as [`crate::go`] does. It may borrow what outlives the scope.
    ///
    /// # Panics
    ///
    /// As [`crate::go`].
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let packet = Packet::<T>::default();
        let child = Child { body: Some(f), packet: Some(packet.clone()), data: self.data.clone() };
        self.data.running.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `scope` does not return or unwind before the count is back at zero, and a child lowers it
        // with its last act, so what the closure borrows outlives it. The bounds have `Send`.
        match unsafe { builder::spawn_unchecked(&Spec::here(), move || child.run()) } {
            Ok(handle) => ScopedJoinHandle { handle, packet, scope: PhantomData },
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
/// has joined is raised again, with its payload.
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
/// Go has no counterpart (its proposal #29011 was declined); std's is `std::thread::scope`.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope { data: Arc::new(Data::default()), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.data.wait_for_children();
    let panic = lock(&scope.data.panic).take();
    match (result, panic) {
        (Err(payload), _) | (Ok(_), Some(payload)) => resume_unwind(payload),
        (Ok(value), None) => value,
    }
}
