//! One goroutine, as data.

use super::runtimes::Names;
use super::stack::{Looker, Seen, Stack};
use crate::clock::coarse;
use crate::task::labels::Labels;
use crate::task::peek::Peek;
use crate::task::pool;
use crate::task::reason::{GoroutineState, WaitReason};
use crate::task::{Anchor, TaskRef};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a goroutine. Made by [`debug::goroutines`](crate::debug::goroutines).
///
/// Its text is what a dump says of it.
///
/// ```
/// use gosched::debug::{self, GoroutineInfo};
///
/// gosched::run(|| {
///     let child = gosched::goroutine::Builder::new().name("child").spawn(gosched::yield_now).unwrap();
///     let all: Vec<GoroutineInfo> = debug::goroutines();
///     if let Some(info) = all.iter().find(|info| info.id == child.id()) {
///         assert_eq!(info.name.as_deref(), Some("child"));
///         assert_eq!(info.parent, gosched::current().id());
///         assert!(info.to_string().starts_with(&format!("goroutine {} \"child\" [", info.id)));
///     } // else it has ended
/// });
/// ```
///
/// In Go: nothing; programs read the text of `runtime.Stack`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GoroutineInfo {
    /// Unique in the process.
    pub id: u64,
    /// The name it was given. That of a main goroutine is "main".
    pub name: Option<Arc<str>>,
    /// What it does.
    pub state: GoroutineState,
    /// How long it has been waiting: within half a minute, and for up to 22 days, after which it counts from zero. Real
    /// time, also where goroutines live by a manual clock. `None` if it does not wait.
    pub waiting: Option<Duration>,
    /// Where it is, if it waits on a stack of its own, or is the goroutine that asks. `None` for those that run, are about
    /// to or have not started, for futures between two polls, for those whose stack is an OS thread's, and on systems
    /// other than Linux on x86-64 and AArch64.
    pub stack: Option<Stack>,
    /// Where the operation was called in which it waits, or has been woken. For a future between two polls: where the
    /// future of this library was made that it awaits. `None` for others, and for what is awaited of other libraries.
    pub waits_at: Option<&'static Location<'static>>,
    /// The goroutine that started it; 0 if that was a thread that ran none.
    pub parent: u64,
    /// Where it was started.
    pub created_at: &'static Location<'static>,
    /// Its labels.
    pub labels: Labels,
    /// Whether it has a stack, being a closure; else it is a future.
    pub stackful: bool,
    /// The name of its runtime. `None` for what is still running of one that was shut down.
    pub runtime: Option<Arc<str>>,
    /// The main goroutine of a `run`.
    pub(crate) is_main: bool,
    /// Which runtime.
    pub(crate) runtime_at: usize,
}

impl GoroutineInfo {
    /// What there is to say of a goroutine that was seen. `None` if it has ended since.
    fn of(Seen { peek, stack }: Seen, names: &Names) -> Option<Self> {
        let extra = peek.task.shown_extra(peek.id)?;
        Some(Self {
            id: peek.id,
            name: extra.name,
            state: peek.state,
            waiting: matches!(peek.state, GoroutineState::Waiting(_)).then(|| coarse::age(peek.since)),
            stack,
            waits_at: peek.waits_at,
            parent: peek.parent,
            created_at: peek.created,
            labels: extra.labels,
            stackful: peek.stackful,
            runtime: names.of(peek.runtime),
            is_main: extra.is_main,
            runtime_at: peek.runtime,
        })
    }

    /// What there is to say of goroutines of the runtime at `anchor` that have not ended.
    pub(crate) fn of_runtime(anchor: *const Anchor, name: &Arc<str>) -> Vec<Self> {
        let mut all = goroutines();
        all.retain(|info| info.runtime_at == anchor.addr());
        all.iter_mut().for_each(|info| info.runtime = Some(name.clone()));
        all
    }

    /// The same of one that its caller owns, and that will not go on. It was parked if it `waited`, else queued.
    pub(crate) fn of_owned(task: TaskRef, waited: bool, name: &Arc<str>) -> Option<Self> {
        let mut peek = task.peek()?;
        peek.state = match WaitReason::of(task.reason.get()).filter(|_| waited) {
            Some(reason) => GoroutineState::Waiting(reason),
            None => GoroutineState::Runnable,
        };
        Self::named(Seen { peek, stack: Stack::of_owned(task) }, name)
    }

    /// The same of one that was seen while it ran.
    pub(crate) fn of_running(peek: Peek, name: &Arc<str>) -> Option<Self> {
        Self::named(Seen { peek, stack: None }, name)
    }

    fn named(seen: Seen, name: &Arc<str>) -> Option<Self> {
        Some(Self { runtime: Some(name.clone()), ..Self::of(seen, &Names::none())? })
    }

    /// The same for many, sorted by their ids.
    pub(super) fn of_all(seen: Vec<Seen>) -> Vec<Self> {
        // Of these at least there is a time to compare with.
        coarse::refresh();
        let names = Names::now();
        let mut all: Vec<Self> = seen.into_iter().filter_map(|seen| Self::of(seen, &names)).collect();
        all.sort_unstable_by_key(|info| info.id);
        // One that ends and begins elsewhere while we look is another goroutine, so there are no two of one id.
        all
    }
}

/// All goroutines of the process, sorted by their ids.
pub(crate) fn goroutines() -> Vec<GoroutineInfo> {
    let (mut seen, mut looker) = (Vec::new(), Looker::new());
    pool::for_each(|task| seen.extend(looker.look(task)));
    GoroutineInfo::of_all(seen)
}
