//! Running a goroutine on a fiber, and what happens at its end.

use super::shared::Shared;
use super::worker::Worker;
use crate::clock::real_now;
use crate::fiber::coro::{Backend, FiberRef, Hooks};
use crate::task::current::{context_ptr, set_context};
use crate::task::header::NO_HOME;
use crate::task::join::Last;
use crate::task::peek::RUNNING;
use crate::task::state::Parked;
use crate::task::waker::waker;
use crate::task::{Request, TaskRef, pool};
use std::sync::atomic::Ordering;
use std::task::Context as PollContext;

/// Fibers without a job that a worker keeps.
const KEEP_FIBERS: usize = 64;

/// Marks a task that yielded: it is in a queue with its state word untouched (running), so taking it up again
/// needs no read-modify-write.
const YIELDED: u8 = u8::MAX;

const HOOKS: Hooks = Hooks { run: run_job, enter: enter_context };

fn enter_context(context: *const ()) {
    set_context(context.cast());
}

impl Worker {
    /// Runs goroutines until the runtime closes.
    pub(super) fn run(&self) {
        loop {
            // A fiber leaves a task here that it could not run itself.
            let next = if self.stash.get().is_some() { self.stash.take() } else { self.next() };
            let Some(task) = next.or_else(|| self.take_injected()).or_else(|| self.find_work()) else {
                return;
            };
            self.execute(task);
            if self.shared.closing.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Runs one goroutine until it ends, blocks or yields (and, on its fiber, fresh ones after it).
    fn execute(&self, task: TaskRef) {
        let fiber = match task.fiber.get() {
            Some(fiber) => fiber,
            None => match self.fiber_for(task) {
                Ok(fiber) => fiber,
                Err(error) => return self.shared.starve(task, &error),
            },
        };
        self.take_up(task);
        self.context.task.set(Some(task));
        self.context.fiber.set(Some(fiber));
        // SAFETY: the task is ours, and so is its fiber. `run_job` takes a task that has not started; one that
        // has may go on here: it is at home, movable by the compiler's word, or by the user's (`migrate`).
        let idle = unsafe { fiber.resume(task.as_ptr().cast(), context_ptr().cast()) };
        let task = self.context.task.take();
        self.context.fiber.set(None);
        if idle {
            self.keep_fiber(fiber);
        } else if let Some(task) = task {
            if task.fiber.get().is_none() {
                self.bind(task, fiber);
            }
            self.set_aside(task);
        }
    }

    /// A goroutine has suspended on this stack for the first time. A stackless one has done so inside a poll: until
    /// that poll returns, this thread is its home.
    fn bind(&self, task: TaskRef, fiber: FiberRef) {
        task.fiber.set(Some(fiber));
        if !task.is_stackful() {
            self.add_home(1);
        }
    }

    /// The owner takes a queued task up.
    #[inline]
    fn take_up(&self, task: TaskRef) {
        if task.reason.get() != YIELDED && task.state.begin() {
            self.note_latency(task);
        }
        task.reason.set(RUNNING);
    }

    /// A goroutine has suspended.
    #[inline]
    fn set_aside(&self, task: TaskRef) {
        match self.context.request.get() {
            Request::Yield => {
                task.reason.set(YIELDED);
                self.push_back(task);
            }
            Request::Park => match task.state.park() {
                // From here on it is its wakers'.
                Parked::Idle => {}
                Parked::Notified => self.push_back(task),
            },
        }
    }

    fn fiber_for(&self, task: TaskRef) -> std::io::Result<FiberRef> {
        match task.stack_log2.get() {
            0 => match self.fibers(Vec::pop) {
                Some(fiber) => Ok(fiber),
                None => self.shared.new_fiber(self.shared.config.stack_size),
            },
            log2 => self.shared.new_fiber(1 << log2),
        }
    }

    /// Makes sure that this worker can run something, so that a runtime that was built can run.
    pub(crate) fn prepare(&self) -> std::io::Result<()> {
        let fiber = self.shared.new_fiber(self.shared.config.stack_size)?;
        self.fibers(|fibers| fibers.push(fiber));
        Ok(())
    }

    fn fibers<R>(&self, f: impl FnOnce(&mut Vec<FiberRef>) -> R) -> R {
        // SAFETY: only this thread uses the list, and `f` is a short closure that does not come back here.
        let fibers = unsafe { &mut *self.fibers.get() };
        let result = f(fibers);
        // One that was taken out has been used when it comes back.
        self.trimmed.set(self.trimmed.get().min(fibers.len()));
        result
    }

    /// A fiber has no job any more.
    #[inline]
    fn keep_fiber(&self, fiber: FiberRef) {
        let usual = fiber.size() == self.shared.config.stack_size;
        if usual && self.fibers(|fibers| fibers.len() < KEEP_FIBERS) {
            self.fibers(|fibers| fibers.push(fiber));
        } else {
            // SAFETY: it has no job, and this was the only reference.
            unsafe { fiber.destroy() };
        }
        if self.shared.starved.len() > 0 {
            self.shared.feed();
        }
    }

    /// Gives stacks that this worker does not use to goroutines that wait for one.
    pub(super) fn relieve(&self) {
        while self.shared.starved.len() > 0 {
            let Some(fiber) = self.fibers(Vec::pop) else { return };
            // SAFETY: it has no job, and this was the only reference.
            unsafe { fiber.destroy() };
            self.shared.feed();
        }
    }

    /// Whether some of the fibers kept here were used since the last [`trim`](Self::trim).
    pub(super) fn has_untrimmed(&self) -> bool {
        self.trimmed.get() < self.fibers(|fibers| fibers.len())
    }

    /// Gives back what deep calls have touched on the fibers kept here.
    pub(super) fn trim(&self) {
        let trimmed = self.trimmed.get();
        self.trimmed_at.set(real_now());
        self.fibers(|fibers| {
            for fiber in &fibers[trimmed..] {
                // SAFETY: the fibers kept here have no job.
                unsafe { fiber.trim() };
            }
        });
        self.trimmed.set(self.fibers(|fibers| fibers.len()));
    }

    /// Gives the fibers kept here back.
    pub(super) fn drop_fibers(&self) {
        while let Some(fiber) = self.fibers(Vec::pop) {
            // SAFETY: it has no job, and this was the only reference.
            unsafe { fiber.destroy() };
        }
    }

    /// The next task, if this fiber may run it: one that has not started (or is between polls), on a stack of
    /// the usual size. What the fiber may not run is stashed for the loop.
    #[inline]
    fn next_fresh(&self, fiber: FiberRef) -> Option<TaskRef> {
        let one_job = self.shared.config.backend == Backend::Threads;
        if one_job
            || fiber.size() != self.shared.config.stack_size
            || self.shared.closing.load(Ordering::Relaxed)
        {
            return None;
        }
        let task = self.next()?;
        if task.fiber.get().is_none() && task.stack_log2.get() == 0 {
            self.take_up(task);
            self.context.task.set(Some(task));
            Some(task)
        } else {
            self.stash.set(Some(task));
            None
        }
    }
}

impl Shared {
    /// A fiber without a job. Made by workers, and by those who start a goroutine with a stack of its own size.
    #[cold]
    pub(super) fn new_fiber(&self, size: usize) -> std::io::Result<FiberRef> {
        FiberRef::new(size, self.config.backend, HOOKS)
    }
}

/// The worker this code runs on. Asked for anew after everything that may have suspended.
#[inline]
fn here<'a>() -> &'a Worker {
    let context = context_ptr();
    debug_assert!(!context.is_null(), "goroutines run on workers");
    // SAFETY: this code runs only on fibers that workers resume, so the context is a worker's.
    unsafe { Worker::of(context) }
}

/// A fiber's job: one task, and then those that can run on the same stack without leaving it.
///
/// # Safety
///
/// `job` is a task the caller owns, taken up and entered into the context.
unsafe fn run_job(job: *mut ()) {
    // SAFETY: by the caller's promise.
    let mut task = unsafe { TaskRef::from_ptr(job.cast()) };
    let fiber = here().context.fiber.get().expect("a job runs on a fiber");
    loop {
        if task.is_stackful() {
            run_closure(task);
        } else {
            poll_future(task);
        }
        let worker = here();
        worker.context.task.set(None);
        match worker.next_fresh(fiber) {
            Some(next) => task = next,
            None => return,
        }
    }
}

#[inline]
fn run_closure(task: TaskRef) {
    let worker = here();
    let pinned = !worker.shared.config.migrate;
    if pinned {
        task.home.set(worker.index as u32);
        worker.add_home(1);
    }
    let run = task.vtable.get().run;
    // SAFETY: the task is ours and has not started.
    unsafe { run(task) };
    finish(task);
    if pinned {
        // Still the same worker: that is what pinned means.
        here().add_home(-1);
    }
}

fn poll_future(task: TaskRef) {
    let poll = task.vtable.get().poll;
    task.begin_poll();
    let waker = waker(task);
    // SAFETY: the task is ours, its future is not being polled, and it stays where it is.
    let ready = unsafe { poll(task, &mut PollContext::from_waker(&waker)) };
    task.depth.set(0);
    untie(task);
    if ready {
        return finish(task);
    }
    task.note_poll(None);
    if task.state.park() == Parked::Notified {
        here().push_back(task);
    }
}

/// If a blocking call has tied a stackless goroutine to this stack and worker: it is over.
#[inline]
fn untie(task: TaskRef) {
    if !task.is_stackful() && task.home.get() != NO_HOME {
        task.home.set(NO_HOME);
        task.fiber.set(None);
        here().add_home(-1);
    }
}

/// The body is over and its output stored: tells who waits, and lets the header go.
fn finish(task: TaskRef) {
    // Users' destructors run while the goroutine is still one: they may block.
    task.drop_locals();
    untie(task);
    if task.join.has_handle() {
        task.state.close();
        if task.join.finish() == Last::No {
            here().count_end();
            return;
        }
        // The handle went away meanwhile, so the output is ours to drop. Its destructor may block, and a closed
        // task cannot be woken.
        task.state.open();
    }
    // SAFETY: no handle is left, so this side is the last.
    unsafe { pool::discard_output(task) };
    // The output's destructor may have used them again.
    task.drop_locals();
    untie(task);
    // Asked for after the user's destructors, which may have moved us.
    let worker = here();
    // SAFETY: discarded just now.
    unsafe { pool::retire(task, Some(&worker.context.cache)) };
    worker.count_end();
}

impl Worker {
    #[inline]
    fn count_end(&self) {
        self.shared.count_finished(Some(self));
    }

    #[inline]
    fn add_home(&self, change: isize) {
        let homes = &self.remote().homes;
        homes.store(homes.load(Ordering::Relaxed).wrapping_add_signed(change), Ordering::Relaxed);
    }
}
