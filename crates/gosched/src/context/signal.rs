//! Contexts that end when the process is asked to.

use super::core::Core;
use super::error::Reason;
use super::{CancelContext, Context};
use crate::sys::census::{self, Harmless};
use crate::sys::global::{AtomicBool, Mutex, Ordering, lock};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};
use std::{io, thread};

/// The cause of a context that a signal has ended. Its text is Go's: `interrupt signal received`.
///
/// ```
/// use gosched::context::{Context, SignalReceived};
///
/// fn exit_code(ctx: &Context) -> i32 {
///     match ctx.cause().and_then(|cause| cause.downcast_ref::<SignalReceived>().copied()) {
///         Some(received) => 128 + received.signal(),
///         None => 0,
///     }
/// }
/// assert_eq!(exit_code(&Context::background()), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalReceived(i32);

impl SignalReceived {
    /// The signal's number.
    pub const fn signal(self) -> i32 {
        self.0
    }
}

impl fmt::Display for SignalReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SIGINT => f.write_str("interrupt signal received"),
            SIGTERM => f.write_str("terminated signal received"),
            other => write!(f, "signal {other} received"),
        }
    }
}

impl Error for SignalReceived {}

/// A child of `parent` that is done when the process is interrupted (ctrl-C, SIGINT) or asked to end (SIGTERM).
///
/// As long as the owner has neither been cancelled nor dropped, these signals do nothing else, also after the first
/// one: whoever has seen the context done should drop the owner, so that a second ctrl-C ends a process whose
/// tidying up hangs. After the last owner has gone they end the process as they do by default.
///
/// The cause is a [`SignalReceived`]. The first call starts a thread that stays.
///
/// ```
/// use gosched::context::{Context, signal_context};
///
/// let ctx = signal_context(&Context::background())?;
/// // let result = serve(&ctx);
/// # assert_eq!(ctx.err(), None);
/// drop(ctx);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// When the signals cannot be received, or the thread cannot be started.
///
/// In Go: `signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)`.
pub fn signal_context(parent: &Context) -> io::Result<CancelContext> {
    let owner = parent.with_cancel();
    let mut hub = lock(&HUB);
    hub.start()?;
    let id = hub.next_id;
    hub.next_id += 1;
    let core = owner.core().expect("an owner's context can be cancelled");
    hub.listeners.push(Listener { id, core: Arc::downgrade(core), detached: None });
    NOBODY.store(false, Ordering::SeqCst);
    drop(hub);
    Ok(owner.with_signals(Listening { id }))
}

/// Read by the handler: nobody listens, so a signal does what it does by default.
static NOBODY: AtomicBool = AtomicBool::new(true);

static HUB: Mutex<Hub> = Mutex::new(Hub { started: false, next_id: 0, listeners: Vec::new() });

/// Who listens to signals. `NOBODY` is written under its lock.
struct Hub {
    started: bool,
    next_id: u64,
    listeners: Vec<Listener>,
}

struct Listener {
    id: u64,
    core: Weak<Core>,
    /// The context itself, if it has no owner any more who would stop listening.
    detached: Option<Context>,
}

impl Hub {
    /// Has the signals caught, and starts the thread that they come to.
    fn start(&mut self) -> io::Result<()> {
        if self.started {
            return Ok(());
        }
        // The thread first: it waits where no signal comes yet, and if there is none, nothing has been changed.
        let mut signals = Signals::new(NONE)?;
        let handle = signals.handle();
        thread::Builder::new().name("gosched-signal".into()).spawn(move || {
            let _harmless = Harmless::here();
            signals.forever().for_each(arrived);
        })?;
        census::enter_probe(is_awaited);
        let registered = [SIGINT, SIGTERM].into_iter().try_for_each(|signal| {
            // Before the signal is passed on, so that it does not need the thread in order to end the process.
            signal_hook::flag::register_conditional_default(signal, &NOBODY)?;
            handle.add_signal(signal)
        });
        if registered.is_err() {
            handle.close();
        }
        self.started = registered.is_ok();
        registered
    }
}

const NONE: [i32; 0] = [];

/// Whether somebody waits for a signal: for a context that one would end.
fn is_awaited() -> bool {
    listening().iter().any(|core| core.is_awaited())
}

/// The contexts that a signal would end.
fn listening() -> Vec<Arc<Core>> {
    lock(&HUB).listeners.iter().filter_map(|listener| listener.core.upgrade()).collect()
}

/// A signal has come: ends whoever listens.
fn arrived(signal: i32) {
    let cores = listening();
    let reason = Reason::caused_by(SignalReceived(signal));
    // This thread is harmless in all else that it does.
    census::begin_deliveries(1);
    for core in cores {
        core.cancel(&reason);
    }
    census::end_deliveries(1);
}

/// That a context listens, until it is stopped.
pub(super) struct Listening {
    id: u64,
}

impl Listening {
    pub(super) fn stop(&self) {
        let mut hub = lock(&HUB);
        let at = hub.listeners.iter().position(|listener| listener.id == self.id);
        let gone = at.map(|at| hub.listeners.swap_remove(at));
        NOBODY.store(hub.listeners.is_empty(), Ordering::SeqCst);
        drop(hub);
        drop(gone);
    }

    /// Listens for ever.
    pub(super) fn detach(self, ctx: Context) {
        let mut hub = lock(&HUB);
        if let Some(listener) = hub.listeners.iter_mut().find(|listener| listener.id == self.id) {
            listener.detached = Some(ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case)]

    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context as PollContext, Wake};

    /// Looks, when it is woken, whether those who search for deadlocks know.
    #[derive(Default)]
    struct Looks(Mutex<Vec<bool>>);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            lock(&self.0).push(census::awaits_outside());
        }
    }

    #[test]
    fn D03_who_is_about_to_be_woken_for_a_signal_is_not_taken_for_dead() {
        let ctx = signal_context(&Context::background()).unwrap();
        let done = ctx.done();
        let mut ended = pin!(done.recv_async());
        let looks = Arc::new(Looks::default());
        let waker = looks.clone().into();
        assert!(ended.as_mut().poll(&mut PollContext::from_waker(&waker)).is_pending());
        arrived(SIGINT);
        assert_eq!(*lock(&looks.0), [true]);
        assert!(ended.as_mut().poll(&mut PollContext::from_waker(&waker)).is_ready());
    }
}
