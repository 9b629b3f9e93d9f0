//! Suspending and resuming: the one place that switches stacks.
//!
//! A [`FiberRef`] runs one job after another: [`FiberRef::resume`] with a job starts it, and returns when the
//! job has ended or has called [`FiberRef::suspend`]; in the latter case the next `resume` continues it. A fiber
//! whose job has ended serves the next one without any set-up, which is what makes short goroutines cheap.
//!
//! Two backends keep this contract. *Stacks* switches between memory areas with `corosensei`. *Threads* gives
//! each fiber an OS thread and passes a baton: one of the two threads runs, the other sleeps. It is slow, and
//! every tool that cannot follow a switch of stacks can follow it.
//!
//! The fiber's own record lies at the top of its stack (in a box with the threads backend), so a parked
//! goroutine needs no allocation besides the page it stands on.

use super::baton::Baton;
use super::stack::{self, StackMem};
use crate::sys::mem::prefetch;
use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// What a fiber calls.
#[derive(Clone, Copy)]
pub(crate) struct Hooks {
    /// Runs a job. Must not unwind.
    pub(crate) run: unsafe fn(*mut ()),
    /// With the threads backend: called on the fiber's thread whenever it gets the baton, with what `resume`
    /// was given, to make the worker's thread-local context its own.
    pub(crate) enter: fn(*const ()),
}

/// Which machinery a fiber runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// A stack of our own.
    Stacks,
    /// An OS thread of its own.
    Threads,
}

/// The stack below a fiber's record.
pub(super) struct Below {
    top: usize,
    limit: usize,
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
impl Below {
    /// All of a stack, for a coroutine that is no fiber's.
    pub(super) fn whole(stack: &StackMem) -> Self {
        Below { top: stack.top(), limit: Stack::limit(stack).get() }
    }
}

// SAFETY: the area is a part of a stack from `super::stack`: at least `MIN_SIZE` less the record, with a guard
// at its low end, and `limit` includes that guard.
unsafe impl Stack for Below {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.top).expect("a stack is not at address zero")
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.limit).expect("a stack is not at address zero")
    }
}

pub(super) type Coro = Coroutine<*mut (), (), (), Below>;

struct Stacks {
    /// Never dropped: dropping a suspended one would unwind it.
    coroutine: UnsafeCell<ManuallyDrop<Coro>>,
    /// Where the fiber suspends itself; set when it first runs.
    yielder: Cell<*const Yielder<*mut (), ()>>,
    stack: StackMem,
}

enum Machine {
    Stacks(Stacks),
    Threads(Baton),
}

/// A fiber's record.
pub(crate) struct Fiber {
    machine: Machine,
    /// In the middle of a job.
    busy: Cell<bool>,
    hooks: Hooks,
    /// The size class it was made with.
    size: usize,
}

/// A reference to a fiber. Whoever holds it says when it ends ([`FiberRef::destroy`]); one that is merely
/// forgotten keeps its memory for ever, which is what an abandoned goroutine needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FiberRef(NonNull<Fiber>);

impl fmt::Debug for FiberRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FiberRef({:p})", self.0)
    }
}

/// Room for the record at the top of a stack, keeping the stack's alignment.
const RECORD: usize = size_of::<Fiber>().next_multiple_of(64);

impl FiberRef {
    /// A new fiber without a job. `size` is a size class of [`stack::check_size`].
    pub(crate) fn new(size: usize, backend: Backend, hooks: Hooks) -> io::Result<FiberRef> {
        match backend {
            Backend::Stacks => Self::on_stack(stack::acquire(size)?, size, hooks),
            Backend::Threads => {
                let machine = Machine::Threads(Baton::new(size, hooks)?);
                let fiber = Box::new(Fiber { machine, busy: Cell::new(false), hooks, size });
                Ok(FiberRef(NonNull::from(Box::leak(fiber))))
            }
        }
    }

    fn on_stack(stack: StackMem, size: usize, hooks: Hooks) -> io::Result<FiberRef> {
        let at = stack.top() - RECORD;
        let record = std::ptr::with_exposed_provenance_mut::<Fiber>(at);
        let below = Below { top: at, limit: Stack::limit(&stack).get() };
        let place = record.expose_provenance();
        let coroutine = Coro::with_stack(below, move |yielder, job| serve(place, yielder, job));
        let machine = Machine::Stacks(Stacks {
            coroutine: UnsafeCell::new(ManuallyDrop::new(coroutine)),
            yielder: Cell::new(std::ptr::null()),
            stack,
        });
        // SAFETY: the top of a stack that is ours alone, aligned to 64 and large enough; the coroutine uses
        // only what lies below.
        unsafe { record.write(Fiber { machine, busy: Cell::new(false), hooks, size }) };
        // SAFETY: not null: it lies inside a mapping.
        Ok(FiberRef(unsafe { NonNull::new_unchecked(record) }))
    }

    #[inline]
    fn get<'a>(self) -> &'a Fiber {
        // SAFETY: the record lives until `destroy`, whose caller promises that nobody uses the fiber after it.
        unsafe { self.0.as_ref() }
    }

    /// The size class it was made with.
    #[inline]
    pub(crate) fn size(self) -> usize {
        self.get().size
    }

    /// Asks the processor for the record, which is read first when the fiber goes on. (To ask for the top of the stack below
    /// it, too, was measured to gain nothing.)
    #[inline]
    pub(crate) fn prefetch(self) {
        prefetch(self.0.as_ptr().cast_const().cast(), size_of::<Fiber>());
    }

    /// Whether it is in the middle of a job.
    #[inline]
    pub(crate) fn is_busy(self) -> bool {
        self.get().busy.get()
    }

    /// Starts `job`, or continues the one that was suspended (`job` is then ignored). Returns whether it has
    /// ended.
    ///
    /// # Safety
    ///
    /// Nobody else resumes the fiber meanwhile. `job` is what `Hooks::run` expects. A suspended job must be
    /// content to continue on this thread. `context` is what `Hooks::enter` expects.
    #[inline(always)]
    pub(crate) unsafe fn resume(self, job: *mut (), context: *const ()) -> bool {
        let fiber = self.get();
        fiber.busy.set(true);
        match &fiber.machine {
            Machine::Stacks(stacks) => {
                // SAFETY: only the resumer touches the coroutine, and there is one at a time.
                match unsafe { (*stacks.coroutine.get()).resume(job) } {
                    CoroutineResult::Yield(()) => {}
                    CoroutineResult::Return(()) => unreachable!("a fiber's loop does not end"),
                }
            }
            Machine::Threads(baton) => baton.resume(self.0.as_ptr(), job, context),
        }
        !fiber.busy.get()
    }

    /// Goes back to whoever resumed this fiber, until the next `resume`.
    ///
    /// # Safety
    ///
    /// The caller runs on this fiber.
    #[inline(always)]
    pub(crate) unsafe fn suspend(self) {
        match &self.get().machine {
            Machine::Stacks(stacks) => {
                // SAFETY: the yielder was set when the fiber first ran and lives in its loop's frame.
                unsafe { (*stacks.yielder.get()).suspend(()) };
            }
            Machine::Threads(baton) => baton.suspend(),
        }
    }

    /// Ends a fiber that has no job and gives its stack back.
    ///
    /// # Safety
    ///
    /// The last job has ended, and nobody uses the reference (or a copy) again.
    pub(crate) unsafe fn destroy(self) {
        debug_assert!(!self.get().busy.get());
        match &self.get().machine {
            // The loop's frame owns nothing that wants dropping, so it may simply be forgotten.
            // SAFETY: no job, and nobody uses the fiber again.
            Machine::Stacks(stacks) => unsafe { stack::retire(stacks.stack) },
            Machine::Threads(_) => {
                // SAFETY: made by `Box::leak` in `new`, used by nobody else from here on.
                let fiber = unsafe { Box::from_raw(self.0.as_ptr()) };
                if let Machine::Threads(baton) = fiber.machine {
                    baton.end();
                }
            }
        }
    }

    /// Gives back the pages a deep call has touched.
    ///
    /// # Safety
    ///
    /// The fiber has no job.
    pub(crate) unsafe fn trim(self) {
        if let Machine::Stacks(stacks) = &self.get().machine {
            // SAFETY: between jobs the fiber holds its record and its loop's frame, in the topmost page.
            unsafe { stack::trim(&stacks.stack, crate::sys::mem::page_size()) };
        }
    }

    /// What [`saved`](super::saved) reads: the coroutine, and from where to where its calls may use the stack. `None` with
    /// the threads backend.
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(super) fn parts(self) -> Option<(*const Coro, (usize, usize))> {
        match &self.get().machine {
            Machine::Stacks(stacks) => {
                let bounds = (stacks.stack.limit(), stacks.stack.top() - RECORD);
                Some((stacks.coroutine.get().cast_const().cast(), bounds))
            }
            Machine::Threads(_) => None,
        }
    }

    /// Between which addresses the stack pointer lies while it runs. `None` with the threads backend. Async-signal-safe.
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(crate) fn bounds(self) -> Option<(usize, usize)> {
        self.parts().map(|(_, bounds)| bounds)
    }

    /// For the affinity check of debug builds: whether `address` lies on this fiber's stack. Never true with the threads backend.
    #[cfg(all(debug_assertions, target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn contains(self, address: usize) -> bool {
        match &self.get().machine {
            Machine::Stacks(stacks) => (stacks.stack.limit()..stacks.stack.top()).contains(&address),
            Machine::Threads(_) => false,
        }
    }
}

/// The loop of a fiber with a stack of its own.
fn serve(place: usize, yielder: &Yielder<*mut (), ()>, first: *mut ()) {
    let record = std::ptr::with_exposed_provenance::<Fiber>(place);
    // SAFETY: the record was written before the first resume and lives as long as the stack.
    let fiber = unsafe { &*record };
    if let Machine::Stacks(stacks) = &fiber.machine {
        stacks.yielder.set(yielder);
    }
    let mut job = first;
    loop {
        // SAFETY: `resume` was given this job for `run`.
        unsafe { (fiber.hooks.run)(job) };
        fiber.busy.set(false);
        job = yielder.suspend(());
    }
}

impl Fiber {
    /// One job on the fiber's own thread (threads backend).
    ///
    /// # Safety
    ///
    /// `job` is what `Hooks::run` expects.
    pub(super) unsafe fn run_job(&self, job: *mut ()) {
        // SAFETY: passed on.
        unsafe { (self.hooks.run)(job) };
        self.busy.set(false);
    }
}
