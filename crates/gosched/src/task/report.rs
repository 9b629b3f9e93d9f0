//! What people are told of a goroutine that panicked while nobody waits for it.

use super::header::TaskRef;
use crate::sys::threads::discard_payload;
use std::any::Any;
use std::io::Write as _;

/// The payload of [`crate::goexit`]: what `join` of such a goroutine returns as its error.
///
/// ```
/// let ended = gosched::go(|| gosched::goexit()).join().unwrap_err();
/// assert!(ended.is::<gosched::goroutine::Goexit>());
/// ```
///
/// In Go: nothing; `runtime.Goexit` leaves no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goexit;

impl std::fmt::Display for Goexit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the goroutine called goexit")
    }
}

impl std::error::Error for Goexit {}

/// What `join` returns as the error of a goroutine that its runtime's shutdown ended or abandoned.
///
/// ```
/// use gosched::goroutine::ShutDown;
/// use std::future::pending;
///
/// let handle = gosched::run(|| gosched::go_async(pending::<()>()));
/// assert!(handle.join().unwrap_err().is::<ShutDown>());
/// ```
///
/// In Go: nothing; when `main` returns, the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown;

impl std::fmt::Display for ShutDown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the goroutine's runtime was shut down")
    }
}

impl std::error::Error for ShutDown {}

/// The text of a panic's payload.
pub(crate) fn text(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a value that is not a text",
    }
}

/// Tells of a panic that no `join` will return. The panic hook has already told where it happened, but names
/// the worker's thread, not the goroutine.
#[cold]
pub(crate) fn unjoined_panic(task: TaskRef, payload: Box<dyn Any + Send>) {
    tell(task, &*payload);
    discard_payload(payload);
}

/// The same for one that was to be handed to somebody who did not come.
#[cold]
pub(crate) fn untold_panic(what: &str, payload: Box<dyn Any + Send>) {
    let told = format!("gosched: {what}: {}\n", text(&*payload));
    let _ = std::io::stderr().write_all(told.as_bytes());
    discard_payload(payload);
}

fn tell(task: TaskRef, payload: &(dyn Any + Send)) {
    if payload.is::<Goexit>() || payload.is::<ShutDown>() {
        return;
    }
    if task.is_told() {
        return;
    }
    let name = task.name().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    // In one piece, so that it does not mix with other threads' lines; and a standard error that is closed must not
    // take the program down.
    let told = format!(
        "gosched: goroutine {}{name} panicked and nobody joined it: {}\n    created by goroutine {} at {}\n",
        task.id.get(),
        text(payload),
        task.parent.get(),
        task.created.get(),
    );
    let _ = std::io::stderr().write_all(told.as_bytes());
}
