//! What a runtime does when a panic ends one of its goroutines.
//!
//! A goroutine ends by a panic where the library catches it: at the bottom of its stack, or in what started it on
//! somebody's behalf (a scope, a group, a stage), which hands the payload on. Both call [`uncaught`], on the goroutine
//! itself, before anybody else can learn of its end.

use super::current::current_task;
use super::header::TaskRef;
use super::report::{Goexit, ShutDown, text};
use crate::sys::threads::discard_payload;
use std::any::Any;
use std::fmt;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

type HookFn = dyn Fn(&GoroutinePanic<'_>) + Send + Sync;

/// A runtime's settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnPanic {
    hook: Option<Hook>,
    /// Go's rule: the process ends.
    abort: bool,
}

#[derive(Clone)]
struct Hook(Option<Arc<HookFn>>);

impl Drop for Hook {
    fn drop(&mut self) {
        // The last reference may go with a runtime's memory, wherever that is: a destructor's panic stays here.
        if let Some(hook) = self.0.take() {
            discard_payload(Box::new(hook));
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook { .. }")
    }
}

impl OnPanic {
    pub(crate) fn set_hook(&mut self, hook: impl Fn(&GoroutinePanic<'_>) + Send + Sync + 'static) {
        self.hook = Some(Hook(Some(Arc::new(hook))));
    }

    pub(crate) fn set_abort(&mut self, abort: bool) {
        self.abort = abort;
    }
}

/// A panic that has ended a goroutine, as a [`panic_hook`](crate::runtime::Builder::panic_hook) is given it.
///
/// It displays as one line: who, what, and who started it where.
///
/// ```
/// use gosched::runtime::GoroutinePanic;
///
/// fn log(panic: &GoroutinePanic<'_>) {
///     eprintln!("{panic} (created at line {})", panic.created().line());
/// }
/// let runtime = gosched::Runtime::builder().panic_hook(log).build()?;
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: nothing; a panic that is not recovered ends the process.
pub struct GoroutinePanic<'a> {
    task: TaskRef,
    name: Option<Arc<str>>,
    payload: &'a (dyn Any + Send),
}

impl<'a> GoroutinePanic<'a> {
    fn new(task: TaskRef, payload: &'a (dyn Any + Send)) -> Self {
        Self { task, name: task.name(), payload }
    }

    /// The goroutine's id.
    pub fn id(&self) -> u64 {
        self.task.id.get()
    }

    /// The goroutine's name, if it was given one; that of a runtime's main goroutine is "main".
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The id of the goroutine that started it; 0 for a thread that ran none.
    pub fn creator(&self) -> u64 {
        self.task.parent.get()
    }

    /// Where it was started.
    pub fn created(&self) -> &'static Location<'static> {
        self.task.created.get()
    }

    /// What the panic carries.
    pub fn payload(&self) -> &'a (dyn Any + Send) {
        self.payload
    }

    /// The same if it is a text, as `panic!` makes it.
    pub fn payload_as_str(&self) -> Option<&'a str> {
        let owned = || self.payload.downcast_ref::<String>().map(String::as_str);
        self.payload.downcast_ref::<&str>().copied().or_else(owned)
    }
}

impl fmt::Display for GoroutinePanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id())?;
        if let Some(name) = self.name() {
            write!(f, " \"{name}\"")?;
        }
        let (text, creator, created) = (text(self.payload), self.creator(), self.created());
        write!(f, " panicked: {text}; created by goroutine {creator} at {created}")
    }
}

impl fmt::Debug for GoroutinePanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoroutinePanic")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("creator", &self.creator())
            .field("created", &self.created())
            .field("payload", &self.payload_as_str())
            .finish()
    }
}

/// A panic has ended the calling goroutine, though somebody may be handed it: does what its runtime wants done then.
#[cold]
pub(crate) fn uncaught(payload: &(dyn Any + Send)) {
    if payload.is::<Goexit>() || payload.is::<ShutDown>() {
        return;
    }
    let Some(task) = current_task() else { return };
    // SAFETY: the task is running here, so it is not closed, and if its runtime abandons it nothing below goes on.
    let wanted = unsafe { task.scheduler_ref() }.on_panic();
    if let Some(Hook(Some(hook))) = &wanted.hook {
        // No report that nobody has joined it: who has a hook has been told.
        task.set_told();
        call(&**hook, &GoroutinePanic::new(task, payload));
    }
    if wanted.abort {
        abort(&GoroutinePanic::new(task, payload));
    }
}

/// [`catch_unwind`] for those who run a goroutine's function, or a part of it, and hand its panic to somebody else.
#[inline]
pub(crate) fn catch_uncaught<R>(f: impl FnOnce() -> R) -> thread::Result<R> {
    // The closure is gone after a panic, and what it shared follows the rules of `Send`, as in `thread::spawn`.
    let result = catch_unwind(AssertUnwindSafe(f));
    if let Err(payload) = &result {
        uncaught(&**payload);
    }
    result
}

/// Calls `f`, a user's part in a goroutine whose end may also be somebody else's panic, passed on: tells of a panic of
/// `f` alone, and lets it go on.
#[inline]
pub(crate) fn telling<R>(f: impl FnOnce() -> R) -> R {
    catch_uncaught(f).unwrap_or_else(|payload| resume_unwind(payload))
}

fn call(hook: &HookFn, panic: &GoroutinePanic<'_>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| hook(panic)))
        && !second.is::<Goexit>()
    {
        // In one piece, and a standard error that is closed must not take the program down: so each time below.
        let told =
            format!("gosched: the panic hook panicked: {}; it was called for: {panic}\n", text(&*second));
        let _ = std::io::stderr().write_all(told.as_bytes());
        discard_payload(second);
    }
}

/// Ends the process, with Go's text (U11). std's hook has told where the panic was, when it began.
fn abort(panic: &GoroutinePanic<'_>) -> ! {
    static DYING: AtomicBool = AtomicBool::new(false);
    if DYING.swap(true, Ordering::AcqRel) {
        // Only one tells of the end (U13).
        loop {
            thread::park();
        }
    }
    let name = panic.name().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let told = format!(
        "panic: {}\n\ngoroutine {}{name} [running]:\ncreated by goroutine {}\n\t{}\n",
        text(panic.payload()),
        panic.id(),
        panic.creator(),
        panic.created(),
    );
    let _ = std::io::stderr().write_all(told.as_bytes());
    std::process::abort()
}
