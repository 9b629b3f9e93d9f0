//! Where goroutines are: looked up by address when they are listed, named when somebody reads it.

use crate::task::TaskRef;
use crate::task::current::current_task;
use crate::task::peek::Peek;
use crate::task::reason::GoroutineState;
use crate::unwind::{self, Backtrace, Trace};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Where a goroutine is: the calls on its stack, as addresses. Found in
/// [`GoroutineInfo::stack`](crate::debug::GoroutineInfo::stack).
///
/// Those of goroutines in the same place are equal. Names, files and lines are looked up only when they are asked for,
/// with [`Stack::backtrace`]: so a list of very many goroutines costs no more than their addresses.
///
/// Its text is what a dump has for it, as that of [`Backtrace`]. Making it looks the names up.
///
/// ```
/// use gosched::debug::{self, Stack};
///
/// fn here() -> Option<Stack> {
///     let me = gosched::current().id();
///     debug::goroutines().into_iter().find(|info| info.id == me).unwrap().stack
/// }
/// gosched::run(|| {
///     // Not on all systems.
///     if let Some(stack) = here() {
///         assert!(stack.to_string().contains("::here(...)\n\t"), "{stack}");
///     }
/// });
/// ```
///
/// In Go: what `runtime.Callers` fills.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Stack(Arc<Trace>);

impl Stack {
    /// The return addresses, the innermost first, with the library's own calls. Of a very long stack the inner part.
    pub fn addresses(&self) -> &[usize] {
        self.0.addresses()
    }

    /// The calls by their names.
    ///
    /// The first time that an address is seen this is slow: it reads the program's debug information.
    pub fn backtrace(&self) -> Arc<Backtrace> {
        unwind::symbolise(&self.0)
    }

    /// That of a goroutine which its caller owns.
    pub(super) fn of_owned(task: TaskRef) -> Option<Self> {
        unwind::of_owned(task).map(|trace| Self(Arc::new(trace)))
    }

    /// That of a goroutine which was interrupted.
    pub(crate) fn of_running(trace: Trace) -> Self {
        Self(Arc::new(trace))
    }

    /// Equal ones that were found by the same [`Looker`] are the same.
    pub(super) fn key(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({} addresses)", self.addresses().len())
    }
}

/// A goroutine, and where it is.
pub(super) struct Seen {
    pub(super) peek: Peek,
    pub(super) stack: Option<Stack>,
}

/// Looks at goroutines, one after the other.
pub(super) struct Looker {
    /// Who is looking, if that is a goroutine.
    me: Option<u64>,
    /// What it has seen, so that goroutines in the same place share it.
    known: HashSet<Arc<Trace>>,
}

impl Looker {
    pub(super) fn new() -> Self {
        Self { me: current_task().map(|task| task.id.get()), known: HashSet::new() }
    }

    /// The goroutine that a header serves. `None` if it serves none.
    pub(super) fn look(&mut self, task: TaskRef) -> Option<Seen> {
        /// It wakes up and waits again, each time just before the look: then it is listed without its stack.
        const ATTEMPTS: usize = 4;
        let mut peek = task.peek()?;
        if Some(peek.id) == self.me {
            let stack = unwind::own().map(|trace| self.share(trace));
            return Some(Seen { peek, stack });
        }
        for _ in 0..ATTEMPTS {
            if !peek.on_stack || !matches!(peek.state, GoroutineState::Waiting(_)) {
                break;
            }
            // What it waits for and where belong together: neither changes during the look.
            if let Some((Some(peek), trace)) = unwind::look(task, peek.id, || task.peek()) {
                return Some(Seen { peek, stack: trace.map(|trace| self.share(trace)) });
            }
            peek = task.peek()?;
        }
        Some(Seen { peek, stack: None })
    }

    fn share(&mut self, trace: Trace) -> Stack {
        if let Some(known) = self.known.get(&trace) {
            return Stack(known.clone());
        }
        let trace = Arc::new(trace);
        self.known.insert(trace.clone());
        Stack(trace)
    }
}
