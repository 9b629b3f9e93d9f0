//! Type-stable memory for task headers.
//!
//! A header, once made, is a header for ever: when its goroutine is over it goes back to a pool and serves
//! another. (Go keeps its goroutine structures the same way.) That is what lets wakers, wait nodes and dumps
//! hold bare pointers. Each worker keeps some free headers to itself; the rest are in one pool for the process.

use super::body::VTable;
use super::header::{Anchor, NO_HOME, Task, TaskRef};
use crate::sys::global::{Mutex, MutexGuard, lock};
use crate::sys::mem;
use crate::sys::prim::Ordering;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::fence;

/// Headers made at a time.
const CHUNK: usize = 64;
/// Headers a worker keeps before it gives half of them back.
const KEEP: usize = 256;

/// From this many headers on, new ones come out of huge pages: first touching small ones costs a spawn more than all
/// the rest of it.
const MANY: usize = 8192;
/// Address space reserved at a time for many headers.
const SLAB: usize = 64 << 20;

struct Global {
    free: Option<TaskRef>,
    chunks: Vec<&'static [Task]>,
    /// What is left of the newest slab.
    slab: &'static mut [MaybeUninit<Task>],
}

static GLOBAL: Mutex<Global> = Mutex::new(Global { free: None, chunks: Vec::new(), slab: &mut [] });

fn global() -> MutexGuard<'static, Global> {
    lock(&GLOBAL)
}

impl Global {
    fn pop(&mut self) -> TaskRef {
        if self.free.is_none() {
            self.grow();
        }
        let task = self.free.expect("a chunk was just added");
        self.free = task.next();
        task
    }

    fn push(&mut self, task: TaskRef) {
        task.set_next(self.free);
        self.free = Some(task);
    }

    fn grow(&mut self) {
        let many = self.chunks.len() * CHUNK >= MANY;
        let chunk = many.then(|| self.carve()).flatten();
        let chunk = chunk.unwrap_or_else(|| Box::leak((0..CHUNK).map(|_| Task::new()).collect()));
        self.chunks.push(chunk);
        for task in chunk.iter().rev() {
            self.push(TaskRef::new(task));
        }
    }

    /// A chunk out of a slab. `None` if there is no address space for one: the allocator may have some left.
    fn carve(&mut self) -> Option<&'static [Task]> {
        if self.slab.len() < CHUNK {
            let memory = mem::reserve(SLAB).ok()?;
            mem::want_huge_pages(memory, SLAB);
            let count = SLAB / size_of::<Task>();
            // SAFETY: fresh memory that is never given back, aligned to pages and hence to headers.
            self.slab = unsafe { std::slice::from_raw_parts_mut(memory.cast().as_ptr(), count) };
        }
        let (chunk, rest) = std::mem::take(&mut self.slab).split_at_mut(CHUNK);
        self.slab = rest;
        for place in chunk.iter_mut() {
            place.write(Task::new());
        }
        // SAFETY: all of it was just written.
        Some(unsafe { &*(std::ptr::from_ref::<[MaybeUninit<Task>]>(chunk) as *const [Task]) })
    }
}

/// A worker's own free headers. Used by its thread only.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    free: Cell<Option<TaskRef>>,
    len: Cell<usize>,
}

impl Cache {
    #[inline]
    fn pop(&self) -> TaskRef {
        match self.free.get() {
            Some(task) => {
                self.free.set(task.next());
                self.len.set(self.len.get() - 1);
                task
            }
            None => self.refill(),
        }
    }

    #[cold]
    fn refill(&self) -> TaskRef {
        let mut global = global();
        for _ in 1..CHUNK {
            let task = global.pop();
            self.put(task);
        }
        global.pop()
    }

    #[inline]
    fn put(&self, task: TaskRef) {
        task.set_next(self.free.get());
        self.free.set(Some(task));
        self.len.set(self.len.get() + 1);
    }

    #[inline]
    fn push(&self, task: TaskRef) {
        self.put(task);
        if self.len.get() > KEEP {
            self.give_back(KEEP / 2);
        }
    }

    /// Leaves `keep` headers here and gives the others to the process.
    #[cold]
    pub(crate) fn give_back(&self, keep: usize) {
        let mut global = global();
        while self.len.get() > keep {
            let Some(task) = self.free.get() else { break };
            self.free.set(task.next());
            self.len.set(self.len.get() - 1);
            global.push(task);
        }
    }
}

/// A fresh header, owned by the caller.
#[inline]
pub(crate) fn allocate(cache: Option<&Cache>) -> TaskRef {
    match cache {
        Some(cache) => cache.pop(),
        None => global().pop(),
    }
}

/// Takes back a header nobody uses any more.
///
/// # Safety
///
/// The task is closed, its storage discarded, and both sides of its `JoinSlot` are done with it.
#[inline]
pub(crate) unsafe fn free(task: TaskRef, cache: Option<&Cache>) {
    task.vtable.set(&VTable::NONE);
    task.free_extra();
    match cache {
        Some(cache) => cache.push(task),
        None => global().push(task),
    }
}

/// Drops what a finished task still holds, and tells of a panic nobody joined. Runs users' destructors.
///
/// # Safety
///
/// The caller is the last to use the task.
#[inline]
pub(crate) unsafe fn discard_output(task: TaskRef) {
    // SAFETY: nobody else uses the storage, by the caller's promise.
    if let Some(payload) = unsafe { (task.vtable.get().discard)(task) } {
        super::report::unjoined_panic(task, payload);
    }
}

/// Closes a task whose output is discarded, and frees its header.
///
/// # Safety
///
/// As for [`discard_output`], which has been called.
#[inline]
pub(crate) unsafe fn retire(task: TaskRef, cache: Option<&Cache>) {
    task.state.close();
    if !task.vtable.get().leaked {
        // SAFETY: closed, discarded, and nobody else's, by the caller's promise.
        unsafe { free(task, cache) };
    }
}

/// Both, for those who are not on the task's own stack.
///
/// # Safety
///
/// The caller is the last to use the task.
pub(crate) unsafe fn dispose(task: TaskRef) {
    // SAFETY: passed on.
    unsafe { discard_output(task) };
    // SAFETY: passed on. The destructors may have changed what runs here, so the context is asked for now.
    unsafe { retire(task, super::context().map(|context| &context.cache)) };
}

/// Makes a header ready for a new body (set right after).
///
/// # Safety
///
/// The caller owns the header, fresh from [`allocate`]; `scheduler` outlives the task.
#[inline]
pub(crate) unsafe fn prepare(
    task: TaskRef,
    id: u64,
    parent: u64,
    scheduler: *const Anchor,
    created: &'static std::panic::Location<'static>,
) {
    // For those who look from outside: see `peek`.
    task.id.set(0);
    fence(Ordering::Release);
    task.parent.set(parent);
    task.scheduler.store(scheduler.cast_mut(), Ordering::Relaxed);
    task.created.set(created);
    task.home.set(NO_HOME);
    task.stack_log2.set(0);
    task.reason.set(0);
    task.waits_at.set(None);
    task.depth.set(0);
    task.fiber.set(None);
    task.join.open();
    task.id.publish(id);
    // Last: from here on a stale wake counts as one for the new goroutine.
    task.state.open();
}

/// Calls `f` for every header of the process, whatever it serves just now.
pub(crate) fn for_each(mut f: impl FnMut(TaskRef)) {
    let mut done = 0;
    loop {
        // One chunk at a time, so that `f` runs without the lock.
        let Some(chunk) = global().chunks.get(done).copied() else { return };
        chunk.iter().for_each(|task| f(TaskRef::new(task)));
        done += 1;
    }
}
