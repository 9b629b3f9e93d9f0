//! What a goroutine knows of itself, and how it ends itself.

use super::target;
use crate::task::current::current_task;
use crate::task::labels::Labels;
use crate::task::report::Goexit;
use std::fmt;
use std::sync::Arc;

/// Who runs here: an id and perhaps a name.
///
/// ```
/// use gosched::goroutine::{Builder, Goroutine};
///
/// let named = Builder::new().name("worker").spawn(gosched::current)?;
/// let who: Goroutine = named.join().unwrap();
/// assert_eq!(who.name(), Some("worker"));
/// # std::io::Result::Ok(())
/// ```
///
/// Go keeps its ids to itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Goroutine {
    id: u64,
    name: Option<Arc<str>>,
}

impl Goroutine {
    /// The goroutine's id: unique in the process, never used again. 0 on a thread that runs no goroutine.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The name it was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Debug for Goroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goroutine").field("id", &self.id).field("name", &self.name()).finish()
    }
}

/// The goroutine that calls. On a thread that runs none: id 0 and the thread's name.
///
/// # Examples
///
/// ```
/// gosched::run(|| assert_ne!(gosched::current().id(), 0));
/// assert_eq!(gosched::current().id(), 0);
/// ```
///
/// Go keeps its ids to itself.
pub fn current() -> Goroutine {
    match current_task() {
        Some(task) => Goroutine { id: task.id.get(), name: task.name() },
        None => Goroutine { id: 0, name: std::thread::current().name().map(Arc::from) },
    }
}

/// Gives the calling goroutine labels: texts by name, in place of those it had. Dumps show them, and goroutines that it
/// starts from now on have them, too.
///
/// Of two labels with one name the later one counts. On a thread that runs no goroutine it does nothing.
///
/// ```
/// use gosched::goroutine::{labels, set_labels};
///
/// gosched::run(|| {
///     set_labels([("request", "17")]);
///     let child = gosched::go(|| labels().get("request").map(str::to_owned));
///     assert_eq!(child.join().unwrap().as_deref(), Some("17"));
/// });
/// ```
///
/// In Go: `pprof.SetGoroutineLabels`, and `pprof.Do`.
pub fn set_labels<K: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (K, V)>) {
    // The iterator is the caller's code, and may block: we ask who runs here afterwards.
    let labels = Labels::new(labels.into_iter().map(|(name, value)| (name.into(), value.into())));
    if let Some(task) = current_task() {
        task.set_labels(labels);
    }
}

/// The labels of the calling goroutine. None on a thread that runs no goroutine.
///
/// ```
/// gosched::run(|| assert!(gosched::goroutine::labels().is_empty()));
/// ```
///
/// In Go: `pprof.ForLabels`, for those of a context.
pub fn labels() -> Labels {
    current_task().map(|task| task.labels()).unwrap_or_default()
}

/// How many goroutines of the caller's runtime have not ended. A moment old when it is returned.
///
/// 0 on a thread that is in no runtime.
///
/// ```
/// gosched::run(|| assert_eq!(gosched::num_goroutine(), 1));
/// ```
///
/// In Go: `runtime.NumGoroutine`.
pub fn num_goroutine() -> usize {
    target::existing().map_or(0, |scheduler| scheduler.live())
}

/// Ends the calling goroutine: its destructors run, then it is over, and `join` returns
/// [`Goexit`](crate::goroutine::Goexit) as its error. Nothing is printed.
///
/// It unwinds like a panic, and std counts it as one while it does: `std::thread::panicking()` is true in the
/// destructors, std's locks that are held are poisoned, and blocking calls in destructors block the thread. So
/// it is meant for rare use; returning is better. `catch_unwind` stops it, unlike Go's.
///
/// In the main goroutine it ends main; `run` then waits for all other goroutines, and panics since it has
/// nothing to return (G09).
///
/// # Panics
///
/// With an ordinary panic on a thread that runs no goroutine.
///
/// # Example
///
/// ```
/// use gosched::goroutine::Goexit;
///
/// let ended = gosched::go(|| gosched::goexit()).join().unwrap_err();
/// assert!(ended.is::<Goexit>());
/// ```
///
/// In Go: `runtime.Goexit`.
pub fn goexit() -> ! {
    assert!(current_task().is_some(), "goexit was called on a thread that runs no goroutine");
    std::panic::resume_unwind(Box::new(Goexit))
}
