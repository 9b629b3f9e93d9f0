//! Making goroutines: `go`, `go_async` and what comes with them.

mod blocking;
mod builder;
mod handle;
mod info;
mod local;
mod origin;
mod scope;
pub(crate) mod target;

pub(crate) use builder::{spawn_closure, spawn_closure_on, spawn_unchecked_on};
pub(crate) use origin::Origin;

pub use blocking::{Blocking, blocking, blocking_async};
pub use builder::Builder;
pub use handle::JoinHandle;
pub use info::{Goroutine, current, goexit, labels, num_goroutine, set_labels};
pub use local::LocalKey;
pub use scope::{Scope, ScopedJoinHandle, scope};

pub use crate::task::labels::Labels;
pub use crate::task::report::{Goexit, ShutDown};

use std::future::Future;

/// Starts a goroutine that runs `f` on a stack of its own.
///
/// The goroutine belongs to the runtime of the caller: that of the goroutine that calls, else the one that was
/// entered (`runtime::Handle::enter`), else the process-wide default runtime, which the first use starts. `f`
/// may block on anything in this library: only the goroutine waits. It starts soon, in no promised order.
///
/// The handle may be dropped: the goroutine goes on. A panic of `f` ends the goroutine only; [`JoinHandle::join`]
/// returns it, and if nobody joins it is printed with the goroutine's id, name and place of creation. A runtime may be
/// built to do something else, [tell a function](crate::runtime::Builder::panic_hook) or [end the
/// process](crate::runtime::Builder::abort_on_panic).
///
/// # Panics
///
/// When the runtime has been shut down, or has no stack left; [`Builder::spawn`] returns an error instead.
///
/// # Examples
///
/// ```
/// gosched::run(|| {
///     let answer = gosched::go(|| 6 * 7);
///     assert_eq!(answer.join().unwrap(), 42);
/// });
/// ```
///
/// In Go: `go f()`. Arguments are captured by the closure, when it is made (G01).
#[track_caller]
#[inline]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match builder::spawn_closure(&target::Spec::here(), f) {
        Ok(handle) => handle,
        Err(error) => refuse(&error),
    }
}

/// Starts a goroutine that polls `future` to its end.
///
/// It needs no stack while it waits, and moves freely between workers. The future may come from any async
/// library; a blocking call inside its `poll` is allowed (it borrows a stack until that poll returns). All that
/// is said of [`go`] holds.
///
/// # Panics
///
/// When the runtime has been shut down.
///
/// # Examples
///
/// ```
/// gosched::run(|| {
///     let answer = gosched::go_async(async { 6 * 7 });
///     assert_eq!(answer.join().unwrap(), 42);
/// });
/// ```
///
/// Go has no counterpart; tokio's is `spawn`.
#[track_caller]
#[inline]
pub fn go_async<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match builder::spawn_future(&target::Spec::here(), future) {
        Ok(handle) => handle,
        Err(error) => refuse(&error),
    }
}

/// [`go`] on behalf of somebody else's call, which the goroutine's reports are to name.
pub(crate) fn go_at<F>(created: &'static std::panic::Location<'static>, f: F) -> JoinHandle<()>
where
    F: FnOnce() + Send + 'static,
{
    match builder::spawn_closure(&target::Spec::at(created), f) {
        Ok(handle) => handle,
        Err(error) => refuse(&error),
    }
}

#[cold]
#[track_caller]
fn refuse(error: &std::io::Error) -> ! {
    panic!("cannot start a goroutine: {error}")
}
