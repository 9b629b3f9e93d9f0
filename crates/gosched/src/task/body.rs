//! The body of a task: a closure or a future, later its output, in the header or in a box.

use super::header::{INLINE_WORDS, TaskRef};
use super::panics::{catch_uncaught, uncaught};
use crate::sys::mem::prefetch;
use crate::sys::threads::discard_payload;
use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

/// How many bytes of a body are worth asking for in advance.
const MOST_PREFETCHED: usize = 512;

/// What the storage holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The closure or the future.
    Body,
    /// Nothing: the closure has been moved to its stack, or the body was dropped.
    Empty,
    /// What `join` returns.
    Output,
}

/// The operations on a body, by type.
pub(crate) struct VTable {
    pub(crate) stackful: bool,
    /// There is a goroutine.
    pub(crate) is_body: bool,
    /// The size of the body's box in bytes; 0 if the body lies in the header.
    pub(crate) boxed: usize,
    /// The header is never used again.
    pub(crate) leaked: bool,
    /// Runs a closure to its end and stores its output. Never unwinds.
    pub(crate) run: unsafe fn(TaskRef),
    /// Polls a future once; true when its output is stored. Never unwinds.
    pub(crate) poll: unsafe fn(TaskRef, &mut Context<'_>) -> bool,
    /// Drops whatever the storage holds and frees the box. Returns the payload of a panic nobody took.
    pub(crate) discard: unsafe fn(TaskRef) -> Option<Box<dyn Any + Send>>,
    /// Drops a body that will not run (again), keeping the storage for [`Self::discard`].
    pub(crate) cancel: unsafe fn(TaskRef),
    /// Moves the output to `*mut Option<thread::Result<T>>`; `None` if there is none.
    pub(crate) take: unsafe fn(TaskRef, *mut ()),
}

impl VTable {
    /// For headers in the pool.
    pub(crate) const NONE: VTable = VTable {
        stackful: false,
        is_body: false,
        boxed: 0,
        leaked: false,
        run: |_| {},
        poll: |_, _| true,
        discard: |_| None,
        cancel: |_| {},
        take: |_, _| {},
    };

    /// For goroutines that were abandoned on their stacks.
    pub(crate) const ABANDONED: VTable = VTable { leaked: true, ..Self::NONE };
}

union Value<B, T> {
    body: ManuallyDrop<B>,
    output: ManuallyDrop<thread::Result<T>>,
}

struct Store<B, T> {
    stage: Cell<Stage>,
    value: std::cell::UnsafeCell<Value<B, T>>,
}

/// How `B` runs: a closure or a future.
trait Body<B, T> {
    const VTABLE: &'static VTable;
}

struct Closure;
struct Fut;

impl<F: FnOnce() -> T, T> Body<F, T> for Closure {
    const VTABLE: &'static VTable = &VTable {
        stackful: true,
        is_body: true,
        boxed: boxed::<F, T>(),
        leaked: false,
        run: run::<F, T>,
        poll: |_, _| unreachable!("a closure is not polled"),
        discard: discard::<F, T>,
        cancel: cancel::<F, T>,
        take: take::<F, T>,
    };
}

impl<F: Future<Output = T>, T> Body<F, T> for Fut {
    const VTABLE: &'static VTable = &VTable {
        stackful: false,
        is_body: true,
        boxed: boxed::<F, T>(),
        leaked: false,
        run: |_| unreachable!("a future is not called"),
        poll: poll::<F, T>,
        discard: discard::<F, T>,
        cancel: cancel::<F, T>,
        take: take::<F, T>,
    };
}

const fn boxed<B, T>() -> usize {
    if is_inline::<B, T>() { 0 } else { size_of::<Store<B, T>>() }
}

/// Puts a closure into a new task.
///
/// # Safety
///
/// The caller owns `task`, whose storage is unused. `F` and `T` may be used on any thread, and outlive the
/// task's body.
#[inline]
pub(crate) unsafe fn set_closure<F: FnOnce() -> T, T>(task: TaskRef, f: F) {
    // SAFETY: passed on.
    unsafe { set::<F, T, Closure>(task, f) }
}

/// Puts a future into a new task.
///
/// # Safety
///
/// As for [`set_closure`].
#[inline]
pub(crate) unsafe fn set_future<F: Future<Output = T>, T>(task: TaskRef, f: F) {
    // SAFETY: passed on.
    unsafe { set::<F, T, Fut>(task, f) }
}

const fn is_inline<B, T>() -> bool {
    size_of::<Store<B, T>>() <= INLINE_WORDS * 8 && align_of::<Store<B, T>>() <= 8
}

/// # Safety
///
/// See [`set_closure`].
#[inline]
unsafe fn set<B, T, K: Body<B, T>>(task: TaskRef, body: B) {
    let store = Store::<B, T> {
        stage: Cell::new(Stage::Body),
        value: std::cell::UnsafeCell::new(Value { body: ManuallyDrop::new(body) }),
    };
    if is_inline::<B, T>() {
        // SAFETY: it fits and is aligned; the caller owns the storage.
        unsafe { task.storage.get().cast::<Store<B, T>>().write(store) };
    } else {
        // SAFETY: as above; a pointer fits.
        unsafe { task.storage.get().cast::<*mut Store<B, T>>().write(Box::into_raw(Box::new(store))) };
    }
    // Last: from here on dumps show the goroutine.
    task.vtable.publish(K::VTABLE);
}

impl TaskRef {
    /// Asks the processor for what a future that is about to be polled will touch first. Only the task's owner.
    pub(crate) fn prefetch_body(self) {
        let boxed = self.vtable.get().boxed;
        if boxed > 0 {
            // SAFETY: `set` wrote the box's pointer there, which the owner may read.
            let at = unsafe { self.storage.get().cast::<*const u8>().read() };
            prefetch(at, boxed.min(MOST_PREFETCHED));
        }
    }
}

/// # Safety
///
/// The task was set up with exactly these types, and its storage has not been discarded.
#[inline]
unsafe fn store<'a, B, T>(task: TaskRef) -> &'a Store<B, T> {
    let storage = task.storage.get();
    if is_inline::<B, T>() {
        // SAFETY: `set` wrote it there.
        unsafe { &*storage.cast::<Store<B, T>>() }
    } else {
        // SAFETY: `set` wrote the box's pointer there.
        unsafe { &**storage.cast::<*mut Store<B, T>>() }
    }
}

/// # Safety
///
/// The caller owns the task, whose stage is `Body` and whose types are these.
unsafe fn run<F: FnOnce() -> T, T>(task: TaskRef) {
    // SAFETY: passed on from the caller.
    let store = unsafe { store::<F, T>(task) };
    store.stage.set(Stage::Empty);
    // SAFETY: the stage was `Body`, and is not any more, so the closure is moved out once.
    let f = unsafe { ManuallyDrop::take(&mut (*store.value.get()).body) };
    let output = catch_uncaught(f);
    // SAFETY: the storage is empty; a union field of `ManuallyDrop` type is written without a drop.
    unsafe { (*store.value.get()).output = ManuallyDrop::new(output) };
    store.stage.set(Stage::Output);
}

/// # Safety
///
/// The caller owns the task, whose stage is `Body` and whose types are these. The future never moves.
unsafe fn poll<F: Future<Output = T>, T>(task: TaskRef, cx: &mut Context<'_>) -> bool {
    // SAFETY: passed on from the caller.
    let store = unsafe { store::<F, T>(task) };
    // SAFETY: the stage is `Body`; the future stays where it is until it is dropped in place.
    let future = unsafe { Pin::new_unchecked(&mut *(*store.value.get()).body) };
    let output = match catch_uncaught(|| future.poll(cx)) {
        Ok(Poll::Pending) => return false,
        Ok(Poll::Ready(value)) => Ok(value),
        Err(payload) => Err(payload),
    };
    // SAFETY: the caller owns the task, and the future is not being polled any more.
    if let Some(payload) = unsafe { drop_body::<F, T>(task) } {
        uncaught(&*payload);
        discard_payload(payload);
    }
    // SAFETY: the storage is empty now.
    unsafe { (*store.value.get()).output = ManuallyDrop::new(output) };
    store.stage.set(Stage::Output);
    true
}

/// # Safety
///
/// The caller owns the task, whose types are these, and whose body is not running.
unsafe fn cancel<B, T>(task: TaskRef) {
    // SAFETY: passed on from the caller.
    if let Some(payload) = unsafe { drop_body::<B, T>(task) } {
        discard_payload(payload);
    }
}

/// Drops the body, if there is one. A destructor's panic ends with the goroutine, like any other of its panics; std's
/// hook has printed it, and its payload is returned.
///
/// # Safety
///
/// As for [`cancel`].
unsafe fn drop_body<B, T>(task: TaskRef) -> Option<Box<dyn Any + Send>> {
    // SAFETY: passed on from the caller.
    let store = unsafe { store::<B, T>(task) };
    // Only a body is taken away: what is an output by now stays one, for `discard`.
    if store.stage.get() != Stage::Body {
        return None;
    }
    store.stage.set(Stage::Empty);
    // SAFETY: the stage was `Body` and is not any more: dropped in place, once.
    catch_unwind(AssertUnwindSafe(|| unsafe { ManuallyDrop::drop(&mut (*store.value.get()).body) })).err()
}

/// # Safety
///
/// The caller owns what is left of the task, whose types are these, and never uses its storage again.
unsafe fn discard<B, T>(task: TaskRef) -> Option<Box<dyn Any + Send>> {
    // SAFETY: passed on from the caller.
    unsafe { cancel::<B, T>(task) };
    // SAFETY: passed on from the caller.
    let held = unsafe { store::<B, T>(task) };
    let mut payload = None;
    if held.stage.replace(Stage::Empty) == Stage::Output {
        // SAFETY: the stage was `Output` and is not any more.
        let output = unsafe { ManuallyDrop::take(&mut (*held.value.get()).output) };
        match output {
            // The value's destructor may panic; nobody is left to tell but the hook, which has been told.
            Ok(value) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                    discard_payload(payload);
                }
            }
            Err(panic) => payload = Some(panic),
        }
    }
    if !is_inline::<B, T>() {
        // SAFETY: `set` made the box, and nobody uses the storage after this.
        drop(unsafe { Box::from_raw(*task.storage.get().cast::<*mut Store<B, T>>()) });
    }
    payload
}

/// # Safety
///
/// The body is over and the caller is the one `JoinHandle`; `out` points at an `Option<thread::Result<T>>`.
unsafe fn take<B, T>(task: TaskRef, out: *mut ()) {
    // SAFETY: passed on from the caller.
    let store = unsafe { store::<B, T>(task) };
    if store.stage.get() == Stage::Output {
        store.stage.set(Stage::Empty);
        // SAFETY: the stage was `Output` and is not any more; `out` is what the caller says.
        unsafe {
            let output = ManuallyDrop::take(&mut (*store.value.get()).output);
            *out.cast::<Option<thread::Result<T>>>() = Some(output);
        }
    }
}
