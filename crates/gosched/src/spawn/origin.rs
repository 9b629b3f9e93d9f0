//! Where a function was handed over that is to become a goroutine later.

use super::builder::spawn_unchecked_on;
use super::target::{self, Spec};
use crate::sys::global::{Mutex, lock};
use crate::task::Schedule;
use std::fmt;
use std::io::{self, Write as _};
use std::panic::Location;
use std::sync::Arc;

/// A place in the program and its runtime. A function started through it is a goroutine of that runtime, whoever
/// starts it; of the process-wide default runtime if there was none, or when that one has been shut down.
pub(crate) struct Origin {
    scheduler: Option<Arc<dyn Schedule>>,
    spec: Spec,
}

impl Origin {
    /// The caller's.
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self { scheduler: target::existing(), spec: Spec::at(Location::caller()) }
    }

    /// Starts `f` in a goroutine, whose panics go where those of goroutines go that nobody joins. Should there be
    /// no runtime at all that takes it, that is said on standard error: the caller may be a destructor.
    pub(crate) fn start(self, f: impl FnOnce() + Send + 'static) {
        // Kept outside of the goroutine, so that a refusal does not cost it.
        let cell = Arc::new(Mutex::new(Some(f)));
        let own = self.scheduler.as_deref().map(|scheduler| self.start_on(scheduler, &cell));
        if let Some(Ok(())) = own {
            return;
        }
        let other = target::default_scheduler().and_then(|scheduler| self.start_on(&*scheduler, &cell));
        if let Err(error) = other {
            // One piece, so that it does not mix with other threads' lines.
            let told =
                format!("gosched: the function given at {} cannot be started: {error}\n", self.spec.created);
            let _ = io::stderr().write_all(told.as_bytes());
        }
    }

    fn start_on<F>(&self, scheduler: &dyn Schedule, cell: &Arc<Mutex<Option<F>>>) -> io::Result<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let cell = cell.clone();
        let body = move || {
            let f = lock(&cell).take();
            if let Some(f) = f {
                f();
            }
        };
        // SAFETY: the closure is `Send` and `'static`, and so is its output.
        unsafe { spawn_unchecked_on(scheduler, &self.spec, body) }.map(drop)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.spec.created).finish()
    }
}
